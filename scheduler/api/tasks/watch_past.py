"""The past of a watch: what changed before the ring of recent changes begins, read from etcd.

```
 place ...... floor of the ring: one producer a watch, `AT_ONCE` at a time --2 answers--> watch
              queue's records alone   when it is known that, and up to where, they changed
              all of the cluster's    else, up to the ring's floor
```

etcd's watch has no end: that nothing more of a queue is to come is known only by its last change,
which the ring remembers for what it let go itself (`Recent.missed`). For what is older the whole
cluster is read, whose events reach the floor for certain: a floor is the revision of an event.

A producer whose watch takes nothing for `PATIENCE` seconds ends, and so does the watch: it may
resume from its last token. So a slow reader holds two answers and no turn of the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final

import grpc

from quorate.etcd.api import Compacted, Etcd, EtcdError, WatchBatch, WatchEvent, prefix_end
from quorate.runtime.errors import QuorateError, unavailable
from scheduler.api.tasks.changes import WHOLE, Change, Recent, changes_in
from scheduler.api.tasks.watch_pick import Answer, Pick

AT_ONCE: Final = 4
PATIENCE: Final = 10.0
_BUFFERED: Final = 2
# Events looked at between two turns of the event loop.
_SLICE: Final = 500


class Past:
    """Reads the past for all watches of one leader.

    Args:
        recent: the ring that the watches go on with.
        progress: seconds after which a watch without answers gets an empty one.
    """

    def __init__(self, etcd: Etcd, recent: Recent, progress: float) -> None:
        self._etcd = etcd
        self._recent = recent
        self._progress = progress
        self._turns = asyncio.Semaphore(AT_ONCE)

    def needed(self, pick: Pick) -> bool:
        """Whether something between the place of `pick` and the ring may have to be sent."""
        recent, (revision, offset) = self._recent, pick.at
        if pick.at >= (recent.floor, WHOLE):
            return False
        if not pick.queue or offset != WHOLE or revision < recent.since:
            return True
        return any(recent.missed(pick.queue, kind, revision) for kind in pick.kinds)

    async def answers(self, pick: Pick) -> AsyncGenerator[Answer, None]:
        """Tell the past up to where the ring began when this was called, or a little further.

        Raises:
            QuorateError: OUT_OF_RANGE: etcd does not have it any more. UNAVAILABLE: etcd does not
                answer, or the watch was too slow to take it.
        """
        ready: asyncio.Queue[Answer | QuorateError | None] = asyncio.Queue(_BUFFERED)
        producer = asyncio.create_task(self._produce(pick, ready), name="past")
        try:
            while True:
                try:
                    async with asyncio.timeout(self._progress):
                        answer = await ready.get()
                except TimeoutError:
                    # The place is that of all answers in `ready`, so there must be none.
                    if ready.empty():
                        yield pick.progress()
                    continue
                if answer is None:
                    return
                if isinstance(answer, QuorateError):
                    raise answer
                yield answer
        finally:
            producer.cancel()
            await asyncio.gather(producer, return_exceptions=True)

    async def _produce(
        self, pick: Pick, ready: asyncio.Queue[Answer | QuorateError | None]
    ) -> None:
        end: QuorateError | None = None
        try:
            async with self._turns:
                changes = self._changes(pick)
                async with aclosing(changes):
                    async for some, revision in changes:
                        for answer in pick.answers(some):
                            async with asyncio.timeout(PATIENCE):
                                await ready.put(answer)
                        pick.reached(revision)
        except Compacted as error:
            end = gone(f"revisions before {error.revision} are compacted")
        except EtcdError as error:
            end = unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}")
        except TimeoutError:
            end = unavailable(
                "WATCH_TOO_SLOW",
                f"the client read nothing for {PATIENCE:g} s; resume the watch from the last token",
            )
            # All of them: what comes behind a gap must not be sent.
            while not ready.empty():
                ready.get_nowait()
        await ready.put(end)

    async def _changes(self, pick: Pick) -> AsyncGenerator[tuple[Sequence[Change], int], None]:
        """Changes, and the revision up to which all are sent once these are."""
        recent, (revision, offset) = self._recent, pick.at
        floor = recent.floor
        if not pick.queue or offset != WHOLE or revision < recent.since:
            # From `since` on the queue's own records are enough.
            begin = revision + (offset == WHOLE)
            async with self._watch(recent.prefix, begin) as batches:
                async for batch in batches:
                    async for some in self._slices(batch, pick):
                        yield some, 0
                    yield (), batch.revision
                    end = recent.since if pick.queue else recent.floor
                    if batch.revision >= max(end, revision):
                        return
        ends = {}
        for kind in pick.kinds:
            last = recent.missed(pick.queue, kind, revision)
            if last:
                ends[recent.prefix + kind + b"/" + pick.queue.encode() + b"/"] = last
        async with AsyncExitStack() as stack:
            streams = []
            for prefix, last in ends.items():
                batches = await stack.enter_async_context(self._watch(prefix, revision + 1))
                streams.append(_Stream(batches, last))
            async with aclosing(_merged(streams)) as events:
                async for some_events, reached in events:
                    found = changes_in(some_events, recent.prefix, recent.generation, exact=False)
                    yield list(found), reached
        yield (), floor

    def _watch(self, prefix: bytes, begin: int) -> Any:
        return self._etcd.watch(prefix, prefix_end(prefix), start_revision=begin)

    async def _slices(self, batch: WatchBatch, pick: Pick) -> AsyncIterator[Sequence[Change]]:
        """A batch's changes behind the place of `pick`."""
        recent, some = self._recent, list[Change]()
        for number, change in enumerate(
            changes_in(batch.events, recent.prefix, recent.generation), 1
        ):
            # A resumed revision comes again from its first event.
            if change.at > pick.at:
                some.append(change)
            if number % _SLICE == 0:
                yield some
                some = []
                await asyncio.sleep(0)
        yield some


class _Stream:
    """A watch of one kind of records, up to its last event that is wanted."""

    def __init__(self, batches: AsyncIterator[WatchBatch], last: int) -> None:
        self._batches = batches
        self._last = last
        self._reached = 0
        self.events: deque[WatchEvent] = deque()

    async def fill(self) -> bool:
        """Have an event at hand; False when there is none any more."""
        while not self.events:
            if self._reached >= self._last:
                return False
            batch = await anext(self._batches)
            self._reached = batch.revision
            # What is behind the last one comes from the ring, both kinds in their order.
            self.events.extend(e for e in batch.events if e.kv.mod_revision <= self._last)
        return True


async def _merged(
    streams: Sequence[_Stream],
) -> AsyncGenerator[tuple[list[WatchEvent], int], None]:
    """Events of whole revisions in their order, and the revision that they reach; a task's record
    before its run, as a Txn has them."""
    while True:
        left = [stream for stream in streams if await stream.fill()]
        if not left:
            return
        some: list[WatchEvent] = []
        revision = 0
        while len(some) < _SLICE and all(stream.events for stream in left):
            revision = min(stream.events[0].kv.mod_revision for stream in left)
            for stream in left:
                while stream.events and stream.events[0].kv.mod_revision == revision:
                    some.append(stream.events.popleft())
        yield some, revision
        await asyncio.sleep(0)


def gone(why: str) -> QuorateError:
    """A token that cannot be resumed from."""
    return QuorateError(
        grpc.StatusCode.OUT_OF_RANGE,
        "RESUME_TOKEN_GONE",
        f"resume_token: {why}; list the tasks again and watch from now",
        field="resume_token",
    )
