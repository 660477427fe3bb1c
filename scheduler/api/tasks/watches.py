"""WatchTasks: the versions of tasks as etcd committed them, served from one upstream watch.

```
 etcd --one watch, while anybody watches--> Recent (a ring, lanes by queue) --> each watch: a place
   '----- Past: what is older than the ring, a few at a time ------------------^
```

A watch sends only what is committed, in the order of the log, and can begin at any
revision that is not compacted. A restore from a backup begins another generation, in which
revisions mean other things: tokens of an earlier one are gone. The revision in an event
is scoped by the generation, so that it grows for ever.

What a watch costs the leader: no stream of etcd's, a place in the ring and one answer under way
(`BYTES_AT_ONCE`, or the events of one revision); when it is silent one small message a second, so
that its token is always fresh; when its queue changes a look at the new changes of that queue and
one message for all that it wants of them. All watches together get at most `ANSWERS_A_SECOND`
answers, those of one caller `ANSWERS_OF_CALLER`: past that each waits its turn and gets more in one
answer. A watch that is not read costs nothing further: it goes on from etcd's past, or ends with a
token to resume from.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final

import structlog

from quorate.etcd.api import Compacted, Etcd, EtcdError, prefix_end
from quorate.runtime.errors import exhausted, leader_lost
from quorate.runtime.timing.token_bucket import TokenBucket
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.tasks.changes import ALL, WHOLE, Recent
from scheduler.api.tasks.running.progress import ProgressFeed
from scheduler.api.tasks.watch_past import Past, gone
from scheduler.api.tasks.watch_pick import Answer, Pick, Place, decode_token
from scheduler.core.model.state import State

log = structlog.get_logger(__name__)

# Of one scheduler.
MAX_WATCHES: Final = 512
# Seconds of silence after which a watch gets an answer without events.
PROGRESS: Final = 1.0
# Answers of all watches, about a tenth of the leader's time; and of those of one caller with a
# name: one watch gets them as fast as anybody can read, of hundreds each gets more in one answer.
# So many go at once.
ANSWERS_A_SECOND: Final = 1_000
ANSWERS_OF_CALLER: Final = 200
_BURST: Final = 8
# Watches woken between two turns of the event loop.
_WOKEN: Final = 32
# Seconds that the upstream watch outlives the last watch.
LINGER: Final = 60.0
# Seconds that a new leader follows changes before anybody watches: its ring begins in its time as a
# standby, and clients resume there. Longer than a client needs to notice that a leader is silent.
# It begins at once, not with the first watch: etcd 3.4 reads the history of a busy cluster anew for
# each thousand revisions, so the ring would not catch up.
AWAITED: Final = 8.0
# Changes looked at between two turns of the event loop.
_SLICE: Final = 1_000
_PAUSE: Final = 0.2


class Watches:
    """Serves WatchTasks. Owns the upstream watch: `run` is to be awaited.

    Args:
        recent: the ring; of what it holds nothing is missing up to its revision.
        head: the revision of this leader's last commit that wrote something.
        confirm: reads etcd's revision, fenced.
        trusted: whether this process may answer.
        state: has the progress of running tasks; None: nobody gets any.
    """

    def __init__(
        self,
        etcd: Etcd,
        recent: Recent,
        head: Callable[[], int],
        confirm: Callable[[], Awaitable[int]],
        trusted: Callable[[], bool] = lambda: True,
        state: State | None = None,
    ) -> None:
        self._etcd = etcd
        self._recent = recent
        self._head = head
        self._confirm = confirm
        self._trusted = trusted
        self._state = state
        self._past = Past(etcd, recent, PROGRESS)
        self._answering = _Answering()
        self._open = 0
        self._wanted = asyncio.Event()
        # Indexes what came while nobody watched.
        self._catching_up: asyncio.Task[None] | None = None
        # Whether the ring goes on from where it is: a standby's does for a while.
        self._live = bool(recent.revision)
        # Those that wait for a change of a queue.
        self._waiting: dict[str, dict[asyncio.Event, None]] = {}
        self._closed = asyncio.Event()

    def close(self) -> None:
        """The term is over: all watches end with LEADER_LOST, to be resumed at the next leader.

        What they send would still be true, but each would keep the whole dropped state in memory.
        """
        self._closed.set()
        for waiting in self._waiting.values():
            for event in waiting:
                event.set()

    # -- upstream

    async def run(self) -> None:
        """Follow etcd while anybody watches; until cancelled."""
        linger = AWAITED
        while True:
            if not self._live:
                await self._wanted.wait()
            upstream = asyncio.create_task(self._follow(), name="task changes")
            try:
                await self._until_unwatched(upstream, linger)
            finally:
                upstream.cancel()
                await asyncio.gather(upstream, return_exceptions=True)
            linger = LINGER

    async def _until_unwatched(self, upstream: asyncio.Task[None], linger: float) -> None:
        """Until nobody has watched for `linger` seconds; raises what ended `upstream`."""
        idle = 0.0
        while idle < linger:
            await asyncio.wait((upstream,), timeout=PROGRESS)
            if upstream.done():
                upstream.result()
            if self._open:
                idle, linger = 0.0, LINGER
            else:
                idle += PROGRESS
        self._live = False
        self._wanted.clear()
        self._recent.restart(0)

    async def _follow(self) -> None:
        recent = self._recent
        prefix, end = recent.prefix, prefix_end(recent.prefix)
        while True:
            try:
                async with self._etcd.watch(
                    prefix, end, start_revision=recent.revision + 1
                ) as batches:
                    async for batch in batches:
                        if self._open:
                            recent.take(batch, indexed_next=True)
                            await self._index()
                        else:
                            # Kept as it came: the first watch has it looked at.
                            recent.take(batch)
            except Compacted as error:
                # It fell behind by more than etcd keeps: what was missed is gone for all.
                log.warning("watches_compacted", at=recent.revision, first=error.revision)
                recent.restart(self._head())
            except EtcdError as error:
                log.warning("watches_etcd_unreachable", error=str(error))
                await asyncio.sleep(_PAUSE)

    async def _index(self) -> None:
        recent = self._recent
        while (touched := recent.index(_SLICE)) is not None:
            if touched:
                for queue in (*touched, ALL):
                    # As of now: who begins to wait meanwhile has seen the change.
                    for number, event in enumerate(tuple(self._waiting.get(queue, ())), 1):
                        event.set()
                        if number % _WOKEN == 0:
                            await asyncio.sleep(0)
            await asyncio.sleep(0)

    # -- watches

    async def follow(
        self, request: pb.WatchTasksRequest, caller: str = ""
    ) -> AsyncGenerator[Answer, None]:
        """Answer one call of a caller ("" for the anonymous one).

        Raises:
            QuorateError: INVALID_ARGUMENT for a bad token, OUT_OF_RANGE for one that etcd cannot
                resume from any more, RESOURCE_EXHAUSTED past the bound, UNAVAILABLE when the
                term ends or the watch is too slow.
        """
        start = decode_token(request.resume_token)
        recent = self._recent
        now = max(recent.revision, self._head())
        if start is None:
            start = Place(now, WHOLE, recent.generation)
        elif start.generation != recent.generation:
            raise gone("the cluster was restored from a backup since the token was given out")
        elif start.revision > now and start.revision > await self._confirm():
            raise gone("the token is of a later revision than the log: it was restored")
        if self._open >= MAX_WATCHES:
            raise exhausted(
                "TOO_MANY_WATCHES",
                f"{MAX_WATCHES} watches are open, which is the limit; close some or try again "
                "later",
                limit=MAX_WATCHES,
            )
        pick = Pick(request, start)
        with self._counted(), self._answering.of(caller) as bucket:
            yield pick.progress()
            silent_until = _soon()
            feed = None
            if request.progress and self._state is not None:
                feed = ProgressFeed(self._state, pick, silent_until)
            while not self._closed.is_set():
                if self._past.needed(pick):
                    async with aclosing(self._past.answers(pick)) as past:
                        async for answer in past:
                            if self._closed.is_set():
                                break
                            yield answer
                    silent_until = _soon()
                    continue
                await self._answering.turn(bucket)
                if self._closed.is_set():
                    break
                if feed is not None and self._trusted():
                    said = feed.answer(asyncio.get_running_loop().time())
                    if said is not None:
                        yield said
                        silent_until = _soon()
                found, more = self._look(pick)
                if found is None and asyncio.get_running_loop().time() >= silent_until:
                    # Also while changes come of which it wants none. A leader that is not trusted
                    # says nothing: whoever hears nothing asks another one.
                    found = pick.progress() if self._trusted() else None
                    silent_until = _soon()
                if found is not None:
                    yield found
                    silent_until = _soon()
                if not more:
                    await self._change(pick.queue, silent_until)
            raise leader_lost()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if not self._live:
            # What changed before is read from etcd. The head is an event: it is sure to be met.
            self._recent.restart(self._head())
            self._live = True
        self._open += 1
        self._wanted.set()
        if self._open == 1:
            self._catching_up = asyncio.create_task(self._index(), name="task changes kept")
        try:
            yield
        finally:
            self._open -= 1

    def _look(self, pick: Pick) -> tuple[Answer | None, bool]:
        """The answer that the next changes make, and whether there may be more of them."""
        changes = self._recent.behind(pick.queue, pick.at, _SLICE)
        answer = next(pick.answers(changes), None)
        more = bool(changes) and (len(changes) == _SLICE or pick.at < changes[-1].at)
        if not more:
            pick.reached(self._recent.at)
        return answer, more

    async def _change(self, queue: str, until: float) -> None:
        """Wait for a change of a queue, and at most until then (loop time)."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(queue, {})
        waiting[event] = None
        try:
            async with asyncio.timeout_at(until):
                await event.wait()
        except TimeoutError:
            return
        finally:
            del waiting[event]
            if not waiting and self._waiting.get(queue) is waiting:
                del self._waiting[queue]


def _soon() -> float:
    """When the silence of a watch that was just answered has lasted long enough."""
    return asyncio.get_running_loop().time() + PROGRESS


class _Answering:
    """The answers of all watches of a leader, and of each caller's: so many a second.

    A caller is known while it has a watch.
    """

    def __init__(self) -> None:
        self._all = TokenBucket(ANSWERS_A_SECOND, _BURST)
        # By caller: its bucket, and how many watches it has.
        self._callers: dict[str, tuple[TokenBucket, int]] = {}

    @contextmanager
    def of(self, caller: str) -> Iterator[TokenBucket]:
        """The bucket of a caller that has one more watch."""
        known, count = self._callers.get(caller, (None, 0))
        rate = ANSWERS_A_SECOND if not caller else ANSWERS_OF_CALLER
        bucket = known or TokenBucket(rate, _BURST)
        self._callers[caller] = bucket, count + 1
        try:
            yield bucket
        finally:
            bucket, count = self._callers.pop(caller)
            if count > 1:
                self._callers[caller] = bucket, count - 1

    async def turn(self, bucket: TokenBucket) -> None:
        """Wait until a watch of a caller with this bucket may be answered."""
        loop = asyncio.get_running_loop()
        if wait := bucket.reserve(loop.time()):
            await asyncio.sleep(wait)
        # Only now: whoever must wait for its own turn takes none of the others'.
        if wait := self._all.reserve(loop.time()):
            await asyncio.sleep(wait)
