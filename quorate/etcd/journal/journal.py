"""The group-commit journal: one leader's writes, in order, each exactly once.

    append -> | open batch | -> | sealed | sealed | -> | in flight | -> etcd
                 fills while a Txn is in flight            one at a time

Guarantee: every event's writes are applied in one Txn, in append order, exactly once or (when the
journal ends first) not at all or with an outcome that is unknown, which its caller learns; an
after-effect runs only when the Txn is known committed. `fence` says how; `joined` has the writes
that several events of a batch make together.

Txns that leave the head alone: retention (deletions of what is finished and expired, idempotent)
and the barrier behind which reads are answered when there is nothing to write.

Owner. The driver of one leader's term owns the journal and the task that runs `run`. When `run`
ends, however it ends, every event that is not known committed has its `failed` callback called,
and the journal is dead: a new term makes a new one.

Bounds. `max_pending_events` and `max_pending_bytes` of uncommitted events; past them `room` is
false and callers are to `wait_room` before they append.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from quorate.etcd.api import Etcd
from quorate.etcd.generation import FIRST_GENERATION
from quorate.etcd.journal.backlog import Backlog, OutOfSpace
from quorate.etcd.journal.batch import After, Batch, Failed
from quorate.etcd.journal.fence import (
    Deposed,
    Fence,
    JournalCounters,
    JournalEnded,
    JournalError,
    JournalStalled,
    read_head,
)
from quorate.internal.v1.records_pb2 import HeadRecord
from quorate.runtime.timing.clock import Clock

__all__ = [
    "After",
    "Deposed",
    "Failed",
    "Journal",
    "JournalCounters",
    "JournalEnded",
    "JournalError",
    "JournalStalled",
    "OutOfSpace",
]


# Between two looks at the trust window while it is shut.
_TRUST_PAUSE = 0.02


class Journal(Backlog):
    """One leader's log.

    Args:
        etcd: the store.
        prefix: the cluster's key prefix, ending in a slash.
        leader_key: this leader's election key.
        elected: that key's create_revision; with the generation it is the epoch.
        generation: of the cluster.
        clock: for durations.
        max_txn_ops: etcd's `--max-txn-ops`; one of them is the head.
        max_txn_bytes: a batch is sealed before it grows past this; a single event may.
        max_pending_events, max_pending_bytes: bound of what is appended and not committed.
        stall_after: seconds without a commit, although there is work, until JournalStalled. Those
            in which `acts` is false do not count.
        txn_timeout: deadline of one call, seconds; past it the outcome is unknown.
        acts: whether the leader may act on what it committed (its trust window). While it is false
            after-effects wait, and so does everything behind them.
        on_commit: called with the seconds and the writes (0: a barrier) of each Txn, once known;
            for metrics. Must not raise.
    """

    def __init__(
        self,
        etcd: Etcd,
        *,
        prefix: bytes,
        leader_key: bytes,
        elected: int,
        generation: int = FIRST_GENERATION,
        clock: Clock,
        max_txn_ops: int = 128,
        max_txn_bytes: int = 1 << 20,
        max_pending_events: int = 20_000,
        max_pending_bytes: int = 64 << 20,
        stall_after: float,
        txn_timeout: float = 2.0,
        acts: Callable[[], bool] = lambda: True,
        on_commit: Callable[[float, int], None] = lambda seconds, writes: None,
    ) -> None:
        assert elected > 0
        super().__init__(max_txn_ops, max_txn_bytes, max_pending_events, max_pending_bytes)
        self._fence = Fence(
            etcd,
            prefix=prefix,
            leader_key=leader_key,
            elected=elected,
            generation=generation,
            clock=clock,
            stall_after=stall_after,
            txn_timeout=txn_timeout,
            acts=acts,
        )
        self._acts = acts
        self._clock = clock
        self._on_commit = on_commit
        self._last_commit = clock.monotonic()
        self._no_space_observers: list[Callable[[], None]] = []

    def observe_no_space(self, observer: Callable[[], None]) -> None:
        """Call `observer` when etcd refuses the put in flight for want of space.

        It may be called again for the same one, and must not raise.
        """
        self._no_space_observers.append(observer)

    # -- before the term ---------------------------------------------------------------------

    @staticmethod
    async def read_head(
        etcd: Etcd, prefix: bytes, *, timeout: float = 5.0
    ) -> tuple[HeadRecord | None, int, int]:
        """The head (None: no log yet), its mod_revision, and the store's revision."""
        return await read_head(etcd, prefix, timeout=timeout)

    async def claim(self, *, expected_head_mod: int | None = None) -> int:
        """Make the log this leader's: the first Txn of the epoch, head = (epoch, 0).

        Args:
            expected_head_mod: the mod_revision of head up to which memory was folded; a head
                that has moved since raises Deposed.

        Returns:
            The revision at which it committed.

        Raises:
            Deposed, JournalFault; JournalStalled when etcd takes no Txn for `stall_after`.
        """
        revision = await self._fence.claim(expected_head_mod)
        self._last_commit = self._clock.monotonic()
        return revision

    # -- for the driver ------------------------------------------------------------------------

    async def flush(self) -> None:
        """Return when everything appended so far is committed. Raises what ended the journal."""
        if self._ended is None and self.idle:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def after(_revision: int) -> None:
            if not done.done():
                done.set_result(None)

        def failed(error: Exception) -> None:
            if not done.done():
                done.set_exception(error)

        # An event, not a look at the last batch: a purge may go ahead of others.
        self.append((), after, failed)
        await done

    @property
    def sequence(self) -> int:
        """The sequence of the last Txn known committed; -1 before the claim."""
        return self._fence.sequence

    @property
    def head_revision(self) -> int:
        """The revision of the last Txn known committed that moved the head."""
        return self._fence.head_mod

    @property
    def last_commit(self) -> float:
        """Monotonic time of the last commit, barriers and purges included."""
        return self._last_commit

    @property
    def no_space(self) -> bool:
        """A put waits because etcd has no space for it; only purges get through."""
        return self._fence.no_space

    @property
    def counters(self) -> JournalCounters:
        """Running totals, for metrics."""
        return self._fence.counters

    # -- the committing task -------------------------------------------------------------------

    async def run(self) -> NoReturn:
        """Commit, one Txn in flight, until something ends the journal.

        Raises:
            Deposed, JournalError, JournalStalled; whatever an after-effect raised (our bug).
        """
        assert self._fence.sequence >= 0, "claim first"
        try:
            while True:
                batch = self._flight = await self._next()
                started = self._clock.monotonic()
                revision = await self._commit(batch)
                if not self._acts():
                    await self._trusted_again()
                if self._ended is not None:
                    raise self._ended
                self._flight = None
                self._committed(batch, revision, started)
        except asyncio.CancelledError:
            self.abandon(JournalEnded("the journal was stopped"))
            raise
        except Exception as error:
            self.abandon(error)
            raise

    async def _trusted_again(self) -> None:
        """Wait until the leader may act again: whoever ends its term ends this, too."""
        # The window opens and shuts with the time: nothing signals it.
        while not self._acts() and self._ended is None:  # noqa: ASYNC110
            await asyncio.sleep(_TRUST_PAUSE)

    async def _commit(self, batch: Batch) -> int:
        if batch.purge:
            return await self._fence.leave_head(batch.ops())
        if batch.size:
            return await self._fence.put(batch.ops(), self._purge_ahead)
        return await self._fence.barrier()

    def _committed(self, batch: Batch, revision: int, started: float) -> None:
        """Make room, then run the after-effects: they may append."""
        self._last_commit = self._clock.monotonic()
        counters = self.counters
        counters.txns += 1
        counters.commit_seconds += self._last_commit - started
        counters.events += batch.events
        counters.puts += batch.size
        counters.bytes += 0 if batch.purge else batch.weight
        self._on_commit(self._last_commit - started, batch.size)
        if batch.purge:
            counters.purges += 1
        elif batch.size:
            counters.last_batch = batch.size
        else:
            counters.barriers += 1
        self._pending_events -= batch.events
        self._pending_bytes -= batch.weight
        if self.room:
            self._freed.set()
        batch.committed(revision)

    async def _purge_ahead(self) -> None:
        """etcd is out of space: only deletions make room for the put in flight.

        A purge stays behind an earlier put of a key it deletes: that put would bring the key back.
        One that may not go ahead waits with the puts.
        """
        if self._ended is not None:
            raise self._ended
        assert self._flight is not None
        # Who waits for room looks again.
        self._freed.set()
        for observer in self._no_space_observers:
            observer()
        earlier = [self._flight]
        for batch in list(self._queue):
            if not batch.ahead or any(put.puts_into(batch.deletes()) for put in earlier):
                earlier.append(batch)
                continue
            started = self._clock.monotonic()
            revision = await self._fence.try_delete(batch.deletes())
            if revision is None or self._ended is not None:
                return
            self._queue.remove(batch)
            self._committed(batch, revision, started)
