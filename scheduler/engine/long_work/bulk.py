"""Heavy writes, callers in turn: parts of batches and of calls about many tasks, calls with much
in them.

```
 batch --next part--> Turns, by caller and bytes --> step --> journal
 heavy call ----------^                                          |
                      '--- alone: one Txn waits at most ---------'
                           others write, too: small parts, each one's commit, and `REST` times as
                           long for the others
```

What the others write must not wait behind a Txn of 1 MiB each time. While there are others (who
wrote in the last seconds), heavy writes go one at a time, and all together have a quarter of the
journal's time and `BYTES_A_SECOND`. A caller that is alone has all of it; so has everybody where
nobody has a name.

Bounds: a call under way has one part here, or waits here itself: `WriteAdmission` bounds those.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol, TypeGuard

from quorate.etcd.journal.journal import Journal
from quorate.runtime.errors import QuorateError
from scheduler.core.handlers import requests
from scheduler.core.handlers.requests import TASKS_SCOPE
from scheduler.core.model import events as e
from scheduler.core.model.state import State
from scheduler.core.queues.turns import Contention, Turns

Part = e.BatchContinued | e.BulkContinued | e.JobContinued


class ReadBack(Protocol):
    """Gets what is on record of the tasks of a part. Raises QuorateError."""

    async def __call__(self, part: e.BulkContinued) -> e.BulkContinued: ...

    async def of_job(self, part: e.JobContinued) -> e.JobContinued: ...


# Bytes of a call that goes past all this, of a few small tasks.
LIGHT: Final = 8 << 10
# Bytes of a turn: those of a small part.
_QUANTUM: Final = 16 << 10
# How many times as long as a heavy write's commit the others have the journal for themselves, and
# seconds at most; bytes a second, since the request that brought them takes time of the loop too.
REST: Final = 3
_LONGEST_REST: Final = 0.5
BYTES_A_SECOND: Final = 4 << 20
# Seconds until a part is read back again whose records etcd did not give.
_READ_AGAIN: Final = 0.2


class Bulk:
    """The heavy writes of one leader.

    Args:
        handle: steps a part's event.
        contention: who wrote of late.
        read_back: gets what is on record of a part's tasks; None: no call needs it.
    """

    def __init__(
        self,
        journal: Journal,
        handle: Callable[[Part], None],
        contention: Contention,
        read_back: ReadBack | None = None,
    ) -> None:
        self._journal = journal
        self._handle = handle
        self._contention = contention
        self._read_back = read_back
        # The part whose records are being read: its turn has come, and it is not stepped yet.
        self._reading: e.BulkContinued | e.JobContinued | None = None
        self._turns = Turns[Part | asyncio.Future[None]](_QUANTUM)
        self._added = asyncio.Event()
        self._wait: Callable[[], Awaitable[None]] | None = None

    def wait_for(self, others: Callable[[], Awaitable[None]]) -> None:
        """Wait, before each part, until what followed from the others is written, too."""
        self._wait = others

    def callers(self, state: State) -> Iterator[e.Token]:
        """Those who wait for calls under way: their reply would come with the last part."""
        waiting = [part for part in self._turns if not isinstance(part, asyncio.Future)]
        for part in (*waiting, self._reading):
            if part is None or isinstance(part, e.JobContinued):
                continue
            if isinstance(part, e.BulkContinued):
                scope, request, first = TASKS_SCOPE, part.asked.request, part.asked.token
            else:
                scope, request, first = str(part.queue), part.request, part.token
            known = state.dedup.get(requests.key_of(state, scope, request))
            yield from (first, *((known.waiters if known else None) or ()))

    def add(self, part: Part) -> None:
        """A part is to be written; when it is, the next one of its call is added."""
        self._put(_caller(part), part, _QUANTUM)

    async def turn(
        self, caller: str, weight: int, wait: Callable[[asyncio.Future[None]], Awaitable[None]]
    ) -> bool:
        """Wait until a call of so many bytes may be stepped, at once; whether others write, too.

        Args:
            wait: awaits a turn that does not come at once.
        """
        now = asyncio.get_running_loop().time()
        self._contention.heard(caller, now)
        if not self._contention.others(caller, now):
            return False
        if weight <= LIGHT:
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._put(caller, turn, weight)
        await wait(turn)
        return True

    def close(self, error: Callable[[], Exception]) -> None:
        """The term is over: nobody waits any longer."""
        for waiting in self._turns:
            if isinstance(waiting, asyncio.Future) and not waiting.done():
                waiting.set_exception(error())
        self._turns.clear()

    async def run(self) -> None:
        """Write what is added, as the journal has room; until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._turns:
                self._added.clear()
                await self._added.wait()
            await self._journal.wait_room()
            if self._wait is not None:
                await self._wait()
            caller, item = self._turns.take()
            began, before = loop.time(), self._journal.counters.bytes
            contended = self._contention.others(caller, began)
            if not isinstance(item, asyncio.Future):
                await self._step(item._replace(small=contended))
            elif item.done():
                # Its caller went away.
                continue
            else:
                item.set_result(None)
                # Its caller steps its event now.
                await asyncio.sleep(0)
            if not contended:
                # Between parts the loop is free for keepalives and other callers.
                await asyncio.sleep(0)
                await self._journal.wait_short()
                continue
            # Behind what was just stepped, in the same Txn.
            await self._journal.flush()
            wrote = self._journal.counters.bytes - before
            rest = max(REST * (loop.time() - began), wrote / BYTES_A_SECOND)
            await asyncio.sleep(min(rest, _LONGEST_REST))

    async def _step(self, part: Part) -> None:
        """Step a part, with what is on record of its tasks where it needs that."""
        if _reads(part):
            assert self._read_back is not None
            self._reading = part
            try:
                # What is read is to be what memory says.
                await self._journal.flush()
                if isinstance(part, e.JobContinued):
                    part = await self._read_back.of_job(part)
                else:
                    part = await self._read_back(part)
            except QuorateError:
                # Either etcd answers again, or the term is over soon.
                await asyncio.sleep(_READ_AGAIN)
                self.add(part)
                return
            finally:
                self._reading = None
        self._handle(part)

    def _put(self, caller: str, item: Part | asyncio.Future[None], cost: int) -> None:
        self._turns.add(caller, item, cost)
        self._added.set()


def _reads(part: Part) -> TypeGuard[e.BulkContinued | e.JobContinued]:
    """Whether a part needs what is on record of its tasks."""
    if isinstance(part, e.JobContinued):
        return bool(part.tasks)
    return isinstance(part, e.BulkContinued) and part.asked.act.reads


def _caller(part: Part) -> str:
    if isinstance(part, e.JobContinued):
        return part.creator
    if isinstance(part, e.BatchContinued):
        return part.created_by
    request = part.asked.request
    if request.caller or request.origin is None or not request.origin.role:
        return request.caller
    return f"{request.origin.role}:{request.origin.caller}"
