"""`Etcd` in memory: the twin for tests and simulation.

It refuses what etcd refuses (a key twice in a Txn, a put inside a deleted range, too many ops, a
request too large, a lease that is gone), and numbers revisions as etcd does, so that a simulated
history meets the same answers as a real one; `tests/integration/test_etcd_contract.py` holds both
to it. One object is one cluster: it may be shared by all simulated processes.

Time comes from the clock argument and passes only in `tick`. Each call gives way to the event loop
once, before it does anything, so that callers interleave; its effect is then atomic.

`keys` and the history of each key are kept until compacted, as is the log that watches read: a
watch keeps a position in it, no queue, so that a slow reader costs nothing and loses nothing.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from quorate.etcd.api import (
    Compacted,
    Compare,
    Delete,
    EtcdNoSpace,
    EtcdRefused,
    EtcdUnavailable,
    KeyValue,
    LeaseGrant,
    LeaseNotFound,
    Op,
    Put,
    Range,
    RangeResult,
    StoreStatus,
    TxnResult,
    WatchBatch,
    WatchEvent,
)
from quorate.etcd.memory.checks import check_txn, within
from quorate.runtime.timing.clock import Clock, SystemClock

_FIRST_LEASE = 0x1000
# etcd settles on 1.5 election timeouts, rounded up.
_LEAST_TTL = 2


@dataclass(slots=True)
class _Lease:
    ttl: int
    expires: float
    keys: set[bytes] = field(default_factory=set)


class MemoryEtcd:
    """See `Etcd` for what each call promises.

    Args:
        clock: its monotonic time drives lease expiry, when `tick` is called.
        max_txn_ops: as etcd's `--max-txn-ops`.
        max_request_bytes: as etcd's `--max-request-bytes`.
        revision: of the empty store; a new etcd's is 1.

    Attributes:
        no_space: the NOSPACE alarm: puts and grants are refused, deletions are not.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        max_txn_ops: int = 128,
        max_request_bytes: int = 3 * 512 * 1024,
        revision: int = 1,
    ) -> None:
        self.no_space = False
        self._clock = clock or SystemClock()
        self._max_txn_ops = max_txn_ops
        self._max_request_bytes = max_request_bytes
        self._revision = revision
        self._compacted = 0
        self._live: dict[bytes, KeyValue] = {}
        self._keys: list[bytes] = []
        """Sorted; every key that has a history, alive or not."""
        self._history: dict[bytes, list[WatchEvent]] = {}
        self._log: list[tuple[int, list[WatchEvent]]] = []
        """The events of each revision above `_compacted`, oldest first."""
        self._leases: dict[int, _Lease] = {}
        self._next_lease = _FIRST_LEASE
        self._changed = asyncio.Event()
        """Set and replaced whenever the log grew or the store was closed."""
        self._closed = False

    def tick(self) -> None:
        """Let the leases that are due by now expire, each in a revision of its own."""
        now = self._clock.monotonic()
        for number in [n for n, lease in self._leases.items() if lease.expires <= now]:
            self._end_lease(number)

    async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
        await self._turn()
        if not read.key:
            raise EtcdRefused("key is not provided")
        return self._read(read, [])

    async def put(self, key: bytes, value: bytes, *, lease: int = 0, timeout: float = 5.0) -> int:
        return (await self.txn([], [Put(key, value, lease)])).revision

    async def delete(self, key: bytes, range_end: bytes = b"", *, timeout: float = 5.0) -> int:
        await self._turn()
        check_txn([], [Delete(key, range_end)], [], self._max_txn_ops, self._max_request_bytes)
        events: list[WatchEvent] = []
        self._apply([Delete(key, range_end)], events)
        self._commit(events)
        return len(events)

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        await self._turn()
        check_txn(compares, success, failure, self._max_txn_ops, self._max_request_bytes)
        # etcd looks at both branches: the quota is checked before the compares are.
        if self.no_space and any(isinstance(op, Put) for op in (*success, *failure)):
            raise EtcdNoSpace("database space exceeded")
        succeeded = all(self._holds(compare) for compare in compares)
        branch = success if succeeded else failure
        for op in branch:
            if isinstance(op, Put) and op.lease and op.lease not in self._leases:
                raise LeaseNotFound(f"lease {op.lease:x} does not exist")
            if isinstance(op, Range):
                self._check_revision(op.revision)
        events: list[WatchEvent] = []
        ranges = self._apply(branch, events)
        self._commit(events)
        return TxnResult(succeeded, self._revision, ranges)

    async def lease_grant(self, ttl: int, *, timeout: float = 5.0) -> LeaseGrant:
        await self._turn()
        if self.no_space:
            raise EtcdNoSpace("database space exceeded")
        number, self._next_lease = self._next_lease, self._next_lease + 1
        ttl = max(ttl, _LEAST_TTL)
        self._leases[number] = _Lease(ttl, self._clock.monotonic() + ttl)
        return LeaseGrant(number, ttl)

    async def lease_keepalive(self, lease: int, *, timeout: float = 2.0) -> int:
        await self._turn()
        held = self._leases.get(lease)
        if held is None:
            raise LeaseNotFound(f"lease {lease:x} expired or was revoked")
        held.expires = self._clock.monotonic() + held.ttl
        return held.ttl

    async def lease_revoke(self, lease: int, *, timeout: float = 5.0) -> None:
        await self._turn()
        if lease in self._leases:
            self._end_lease(lease)

    def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        return _MemoryWatch(self, key, range_end, start_revision)

    async def compact(self, revision: int, *, timeout: float = 30.0) -> None:
        await self._turn()
        if not self._compacted < revision <= self._revision:
            return
        self._compacted = revision
        del self._log[: bisect_left(self._log, revision + 1, key=_revision_of)]
        for key in list(self._history):
            self._forget(key, revision)

    async def status(self, *, timeout: float = 2.0) -> StoreStatus:
        await self._turn()
        size = sum(len(kv.key) + len(kv.value) for kv in self._live.values())
        return StoreStatus(
            version="3.4.23", db_size=size, db_size_in_use=size, revision=self._revision,
            leader=1, members=1,
        )  # fmt: skip

    async def close(self) -> None:
        """End the store, for everyone who shares it."""
        self._closed = True
        self._wake()

    # What follows is synchronous: nobody else runs meanwhile.

    async def _turn(self) -> None:
        self._check_open()
        await asyncio.sleep(0)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise EtcdUnavailable("the store was closed")

    def _holds(self, compare: Compare) -> bool:
        kv = self._live.get(compare.key)
        if compare.target == "create":
            actual = kv.create_revision if kv else 0
        elif compare.target == "mod":
            actual = kv.mod_revision if kv else 0
        else:
            actual = kv.version if kv else 0
        if compare.op == "=":
            return actual == compare.value
        if compare.op == "!=":
            return actual != compare.value
        return actual < compare.value if compare.op == "<" else actual > compare.value

    def _apply(self, ops: Sequence[Op], events: list[WatchEvent]) -> list[RangeResult]:
        """Carry out one branch; what it changed is in `events`, for `_commit`."""
        ranges = []
        for op in ops:
            if isinstance(op, Put):
                self._put(op, events)
            elif isinstance(op, Delete):
                doomed = [k for k in self._span(op.key, op.range_end) if k in self._live]
                for key in doomed:
                    self._remove(key, events)
            else:
                ranges.append(self._read(op, events))
        return ranges

    def _put(self, op: Put, events: list[WatchEvent]) -> None:
        before = self._live.get(op.key)
        revision = self._revision + 1
        kv = KeyValue(
            op.key,
            op.value,
            before.create_revision if before else revision,
            revision,
            before.version + 1 if before else 1,
            op.lease,
        )
        if before and before.lease:
            self._leases[before.lease].keys.discard(op.key)
        if op.lease:
            self._leases[op.lease].keys.add(op.key)
        self._live[op.key] = kv
        self._record(WatchEvent(False, kv), events)

    def _remove(self, key: bytes, events: list[WatchEvent]) -> None:
        before = self._live.pop(key)
        if before.lease:
            self._leases[before.lease].keys.discard(key)
        gone = KeyValue(key, b"", 0, self._revision + 1, 0, 0)
        self._record(WatchEvent(True, gone), events)

    def _record(self, event: WatchEvent, events: list[WatchEvent]) -> None:
        key = event.kv.key
        if key not in self._history:
            self._history[key] = []
            insort(self._keys, key)
        self._history[key].append(event)
        events.append(event)

    def _commit(self, events: list[WatchEvent]) -> None:
        if not events:
            return
        self._revision += 1
        self._log.append((self._revision, events))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _end_lease(self, number: int) -> None:
        events: list[WatchEvent] = []
        for key in sorted(self._leases[number].keys):
            self._remove(key, events)
        del self._leases[number]
        self._commit(events)

    def _span(self, key: bytes, range_end: bytes) -> Sequence[bytes]:
        """The keys with a history in `[key, range_end)`, in order."""
        if not range_end:
            return [key] if key in self._history else []
        low = bisect_left(self._keys, key)
        if range_end == b"\0":
            return self._keys[low:]
        return self._keys[low : bisect_left(self._keys, range_end)]

    def _check_revision(self, revision: int) -> None:
        if revision > self._revision:
            raise EtcdRefused("required revision is a future revision")
        if 0 < revision < self._compacted:
            raise Compacted(self._compacted)

    def _read(self, read: Range, events: list[WatchEvent]) -> RangeResult:
        """A read inside a Txn sees what the Txn did before it (`events`)."""
        self._check_revision(read.revision)
        span = self._span(read.key, read.range_end)
        found = (
            [kv for key in span if (kv := self._at(key, read.revision))]
            if read.revision
            else [self._live[key] for key in span if key in self._live]
        )
        kvs = [] if read.count_only else found[: read.limit] if read.limit else found
        if read.keys_only:
            kvs = [kv._replace(value=b"") for kv in kvs]
        return RangeResult(
            kvs=kvs,
            more=not read.count_only and len(kvs) < len(found),
            count=len(found),
            revision=self._revision + 1 if events else self._revision,
        )

    def _at(self, key: bytes, revision: int) -> KeyValue | None:
        for event in reversed(self._history[key]):
            if event.kv.mod_revision <= revision:
                return None if event.deleted else event.kv
        return None

    def _forget(self, key: bytes, revision: int) -> None:
        """Keep of `key` what reads at `revision` and later can see."""
        events = self._history[key]
        kept = [event for event in events if event.kv.mod_revision > revision]
        older = len(events) - len(kept)
        if older and not events[older - 1].deleted:
            kept.insert(0, events[older - 1])
        if kept:
            self._history[key] = kept
        else:
            del self._history[key]
            del self._keys[bisect_left(self._keys, key)]

    # For `_MemoryWatch`.

    def position(self, start_revision: int) -> int:
        """Where a watch begins."""
        self._check_open()
        return start_revision or self._revision + 1

    def since(self, revision: int) -> Iterator[tuple[int, list[WatchEvent]]]:
        """The log from `revision` on. Raises Compacted."""
        self._check_open()
        # Revision 1 is the empty store: nothing of it can be missed.
        if revision <= self._compacted and self._compacted > 1:
            raise Compacted(self._compacted + 1)
        start = bisect_left(self._log, revision, key=_revision_of)
        return (self._log[i] for i in range(start, len(self._log)))

    async def growth(self) -> None:
        """Wait until the log has grown."""
        await self._changed.wait()


class _MemoryWatch:
    """A position in the log."""

    def __init__(
        self, store: MemoryEtcd, key: bytes, range_end: bytes, start_revision: int
    ) -> None:
        self._store = store
        self._key = key
        self._range_end = range_end
        self._next = start_revision

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0)
        self._next = self._store.position(self._next)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        await asyncio.sleep(0)
        while True:
            for revision, events in self._store.since(self._next):
                self._next = revision + 1
                mine = [e for e in events if within(e.kv.key, self._key, self._range_end)]
                if mine:
                    return WatchBatch(revision, mine)
            await self._store.growth()


def _revision_of(entry: tuple[int, list[WatchEvent]]) -> int:
    return entry[0]
