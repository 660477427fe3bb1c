"""The events that a journal has taken and does not know to be committed, in batches.

    append -> | open batch | -> | sealed | sealed | -> in flight
                 fills while a Txn is in flight

The journal takes batches out; everything else here is for the driver of the term, which appends.
A base class and not an object of its own: `append` is on the path of every task.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import After, Batch, Failed, Fit, conflicting, touches, weigh
from quorate.etcd.journal.joined import Addition


class OutOfSpace(Exception):
    """etcd has no space for the put in flight: nothing behind it can be committed."""


# etcd refuses requests over 1.5 MiB; what is left is for the compares, the head and framing.
_REQUEST_BYTES = 1_500_000


class Backlog(ABC):
    """Bounded by `max_pending_events` and `max_pending_bytes`: see `room`. Other arguments as of
    `Journal`."""

    def __init__(
        self, max_txn_ops: int, max_txn_bytes: int, max_pending_events: int, max_pending_bytes: int
    ) -> None:
        assert max_txn_ops >= 2
        # The head takes one of the operations; a purge has no head.
        self._max_ops = max_txn_ops - 1
        self._max_bytes = max_txn_bytes
        self._max_event_bytes = max(max_txn_bytes, _REQUEST_BYTES)
        self._max_pending_events = max_pending_events
        self._max_pending_bytes = max_pending_bytes
        # Not yet in flight, oldest first. `_open` is the last one, while it may still grow.
        self._queue: deque[Batch] = deque()
        self._open: Batch | None = None
        self._flight: Batch | None = None
        self._pending_events = 0
        self._pending_bytes = 0
        self._work = asyncio.Event()
        self._freed = asyncio.Event()
        self._ended: Exception | None = None

    @property
    @abstractmethod
    def no_space(self) -> bool:
        """A put waits because etcd has no space for it; only purges get through."""

    def append(
        self,
        writes: Sequence[Put | Delete],
        after: After | None = None,
        failed: Failed | None = None,
    ) -> None:
        """Take one event. Never blocks; its writes are committed in one Txn, in append order.

        An event without writes is answered behind all writes before it and behind a commit that
        began after it: of writes if there are any, else a barrier Txn.

        Args:
            after: called with the revision of the commit, once it is known, in append order.
                Must not raise.
            failed: called instead when the journal ends before the commit is known (at once, when
                it has ended already). Must not raise.

        Raises:
            ValueError: no Txn can hold the event, or it puts a key inside a range it deletes.
        """
        weight = weigh(writes)
        # Most have puts alone, which is found out in no time.
        ranged = Delete in map(type, writes) and any(
            type(write) is Delete and write.range_end for write in writes
        )
        if ranged or len(writes) > self._max_ops or weight > self._max_bytes:
            self._check_event(writes, weight)
        if self._ended is not None:
            if failed is not None:
                failed(self._ended)
            return
        batch = self._open
        if (
            batch is None
            or batch.size + len(writes) > self._max_ops
            # The second half lets a lone heavy event have a batch of its own.
            or (batch.weight + weight > self._max_bytes and batch.weight > 0)
            or ((ranged or batch.ranges or batch.joins) and batch.clashes(writes))
        ):
            batch = self._open = Batch()
            self._queue.append(batch)
            self._work.set()
        self._pending_bytes += batch.add(writes, weight, after, failed)
        self._pending_events += 1

    def append_joined(
        self,
        writes: Sequence[Put | Delete],
        additions: Sequence[Addition],
        after: After | None = None,
        failed: Failed | None = None,
    ) -> None:
        """Take one event that adds to joined writes, beside its own writes. As `append` otherwise.

        All of it is committed in one Txn. Additions to one place are joined in the order of
        append. A batch is sealed first if one of its joined writes is full for the event, or
        would write what the event writes itself.

        Raises:
            ValueError: no Txn can hold the event, or it writes a key of a joined write that it
                adds to.
        """
        weight = weigh(writes)
        self._check_event(writes, weight)
        added: dict[bytes, list[Addition]] = {}
        for addition in additions:
            added.setdefault(addition.place, []).append(addition)
        batch = self._open
        fit = batch.fit(added) if batch is not None else None
        if (
            batch is None
            or fit is None
            or batch.size + len(writes) + len(fit.keys) > self._max_ops
            or (batch.weight + weight + fit.weight > self._max_bytes and batch.weight > 0)
            or batch.clashes(writes)
            or batch.writes_any(fit.keys)
            or touches(writes, fit.keys)
        ):
            batch = Batch()
            fit = batch.fit(added)
            assert fit is not None, "a joined write is full when it begins"
            self._check_fit(writes, weight, fit)
            if self._ended is None:
                self._open = batch
                self._queue.append(batch)
                self._work.set()
        if self._ended is not None:
            if failed is not None:
                failed(self._ended)
            return
        self._pending_bytes += batch.join(fit)
        self._pending_bytes += batch.add(writes, weight, after, failed)
        self._pending_events += 1

    def append_purge(
        self,
        deletes: Sequence[Delete],
        after: After | None = None,
        failed: Failed | None = None,
        *,
        ahead: bool = True,
    ) -> None:
        """Take one retention event: a Txn of its own with the two compares and `deletes` only.

        It must delete nothing but what is finished and expired: it may be applied more than once,
        and while etcd is out of space it goes ahead of the puts that wait (never ahead of a put
        of a key that it deletes).

        Args:
            ahead: if False, it never goes ahead of anything: what an earlier event deletes or
                overwrites needs what it deletes.

        Raises:
            ValueError: no Txn can hold it.
        """
        assert deletes, "a purge without deletes"
        weight = weigh(deletes)
        if len(deletes) > self._max_ops or weight > self._max_event_bytes:
            raise ValueError(f"{len(deletes)} deletes of {weight} bytes do not fit into a Txn")
        if self._ended is not None:
            if failed is not None:
                failed(self._ended)
            return
        batch = Batch(purge=True, ahead=ahead)
        self._pending_bytes += batch.add(deletes, weight, after, failed)
        self._pending_events += 1
        self._queue.append(batch)
        self._open = None
        self._work.set()

    @property
    def room(self) -> bool:
        """Whether there is room for another event. `append` does not check it: callers do."""
        return (
            self._pending_events < self._max_pending_events
            and self._pending_bytes < self._max_pending_bytes
        )

    async def wait_room(self, *, while_space: bool = False) -> None:
        """Return when there is room: append before the next await.

        Waits in the order of arrival. Raises what ended the journal.

        Args:
            while_space: raise OutOfSpace instead of waiting while etcd has no space.
        """
        while not self.room or self._ended is not None:
            if self._ended is not None:
                raise self._ended
            if while_space and self.no_space:
                raise OutOfSpace
            self._freed.clear()
            await self._freed.wait()

    async def wait_short(self) -> None:
        """Return when one Txn waits behind the one in flight, at most, or the journal has ended.

        What fills the journal in the background waits for this: the others' events are behind no
        more than that, and no commit waits for what is to fill it.
        """
        while len(self._queue) > 1 and self._ended is None:
            self._freed.clear()
            await self._freed.wait()

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is in flight."""
        return self._flight is None and not self._queue

    @property
    def pending_events(self) -> int:
        """Events appended and not known committed."""
        return self._pending_events

    @property
    def pending_bytes(self) -> int:
        """Bytes of the writes appended and not known committed."""
        return self._pending_bytes

    def abandon(self, error: Exception) -> None:
        """End the journal: every event that waits fails; nothing is sent any more. Idempotent.

        `run` calls it when it ends. A driver that stops first may call it with its own error, and
        then cancels `run`.
        """
        if self._ended is not None:
            return
        self._ended = error
        left = ([self._flight] if self._flight else []) + list(self._queue)
        self._queue.clear()
        self._flight = self._open = None
        self._pending_events = self._pending_bytes = 0
        self._freed.set()
        self._work.set()
        for batch in left:
            batch.abandoned(error)

    async def _next(self) -> Batch:
        """Wait for work and seal the oldest batch."""
        while not self._queue:
            self._work.clear()
            if self._ended is None:
                await self._work.wait()
            if self._ended is not None:
                raise self._ended
        # Once round the loop, so that whatever is ready joins: load makes batches, never a timer.
        await asyncio.sleep(0)
        if self._ended is not None:
            raise self._ended
        batch = self._queue[0]
        if batch.joins:
            # Before it leaves the queue: if this raises, its events fail with all others.
            self._pending_bytes += batch.seal()
        self._queue.popleft()
        if batch is self._open:
            self._open = None
        return batch

    def _check_event(self, writes: Sequence[Put | Delete], weight: int) -> None:
        """Raise ValueError for an event that no Txn can hold."""
        if len(writes) > self._max_ops:
            raise ValueError(f"an event of {len(writes)} writes; a Txn holds {self._max_ops}")
        if weight > self._max_event_bytes:
            raise ValueError(f"an event of {weight} bytes; a Txn holds {self._max_event_bytes}")
        if conflicting(writes):
            raise ValueError("an event puts a key inside a range that it deletes")

    def _check_fit(self, writes: Sequence[Put | Delete], weight: int, fit: Fit) -> None:
        """Raise ValueError for an event that no Txn can hold with what it adds."""
        ops, total = len(writes) + len(fit.keys), weight + fit.weight
        if ops > self._max_ops:
            raise ValueError(f"an event of {ops} writes; a Txn holds {self._max_ops}")
        if total > self._max_event_bytes:
            raise ValueError(f"an event of {total} bytes; a Txn holds {self._max_event_bytes}")
        if touches(writes, fit.keys) or len(set(fit.keys)) < len(fit.keys):
            raise ValueError("an event writes a key of a joined write that it adds to")
