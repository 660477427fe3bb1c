"""A store of a hundred lines with etcd's Txn semantics and a script of faults, for the journal.

It implements `txn` and `range` of `quorate.etcd.api.Etcd` only; the whole store is
`quorate.etcd.memory.store.MemoryEtcd`. Each `txn` call takes the next fault of `script`; without
one it goes through.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

from quorate.etcd.api import (
    Compare,
    Delete,
    EtcdError,
    EtcdNoSpace,
    EtcdRefused,
    EtcdUnavailable,
    KeyValue,
    Op,
    Put,
    Range,
    RangeResult,
    TxnResult,
)
from quorate.etcd.journal.batch import covers


class ErrorKind(Enum):
    """What the network or the store does to one Txn."""

    NONE = auto()
    LOST_REQUEST = auto()
    LOST_REPLY = auto()
    # The caller gives up; `deliver_late` brings the request to the store.
    LATE = auto()
    # Delivered twice; the caller sees the answer to the second copy.
    TWICE = auto()
    NO_SPACE = auto()
    NO_SPACE_BUT_APPLIED = auto()
    REFUSED = auto()
    # The request waits until `release`.
    HELD = auto()


class FakeStore:
    """One store. `applied` lists the writes of every Txn whose compares held, in order."""

    def __init__(self) -> None:
        self.kvs: dict[bytes, KeyValue] = {}
        self.revision = 1
        self.applied: list[Sequence[Op]] = []
        self.sent: list[Sequence[Op]] = []
        self.script: deque[ErrorKind] = deque()
        self.range_errors: deque[EtcdError] = deque()
        self.full = False
        self.late: deque[tuple[Sequence[Compare], Sequence[Op], Sequence[Op]]] = deque()
        self.on_call: Callable[[], None] = lambda: None
        self.held = asyncio.Event()
        self._released = asyncio.Event()

    # -- what the journal calls ----------------------------------------------------------------

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        assert timeout > 0
        self.on_call()
        self.sent.append(list(success))
        fault = self.script.popleft() if self.script else ErrorKind.NONE
        call = (list(compares), list(success), list(failure))
        if fault is ErrorKind.HELD:
            self.held.set()
            await self._released.wait()
            self._released.clear()
            self.held.clear()
        elif fault is ErrorKind.LATE:
            self.late.append(call)
        elif fault in (ErrorKind.LOST_REPLY, ErrorKind.NO_SPACE_BUT_APPLIED, ErrorKind.TWICE):
            self.apply(*call)
        if fault in (ErrorKind.LOST_REQUEST, ErrorKind.LOST_REPLY, ErrorKind.LATE):
            raise EtcdUnavailable("scripted")
        if fault is ErrorKind.REFUSED:
            raise EtcdRefused("scripted")
        puts = any(isinstance(op, Put) for op in success)
        if fault in (ErrorKind.NO_SPACE, ErrorKind.NO_SPACE_BUT_APPLIED) or (self.full and puts):
            raise EtcdNoSpace("scripted")
        await asyncio.sleep(0)
        return self.apply(*call)

    async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
        assert timeout > 0
        self.on_call()
        await asyncio.sleep(0)
        if self.range_errors:
            raise self.range_errors.popleft()
        return self._read(read)

    # -- what the tests call -------------------------------------------------------------------

    def release(self) -> None:
        """Let the held Txn go on."""
        self._released.set()

    def deliver_late(self) -> TxnResult:
        """Deliver the oldest request whose caller gave up."""
        return self.apply(*self.late.popleft())

    def put(self, key: bytes, value: bytes = b"") -> int:
        """Write from outside."""
        self.apply((), (Put(key, value),), ())
        return self.revision

    def delete(self, key: bytes) -> None:
        """Delete from outside."""
        self.apply((), (Delete(key),), ())

    def value(self, key: bytes) -> bytes | None:
        """The value now."""
        return self.kvs[key].value if key in self.kvs else None

    def apply(
        self, compares: Sequence[Compare], success: Sequence[Op], failure: Sequence[Op]
    ) -> TxnResult:
        """What the store does when a Txn arrives."""
        _check(success)
        held = all(self._holds(compare) for compare in compares)
        ops = success if held else failure
        ranges = [self._read(op) for op in ops if isinstance(op, Range)]
        writes = [op for op in ops if not isinstance(op, Range)]
        if writes:
            self._write(writes)
        return TxnResult(held, self.revision, ranges)

    def _write(self, writes: Sequence[Op]) -> None:
        revision = self.revision + 1
        changed = False
        for op in writes:
            if isinstance(op, Put):
                old = self.kvs.get(op.key)
                self.kvs[op.key] = KeyValue(
                    op.key,
                    op.value,
                    old.create_revision if old else revision,
                    revision,
                    old.version + 1 if old else 1,
                    op.lease,
                )
                changed = True
            elif isinstance(op, Delete):
                for key in [key for key in self.kvs if covers(op, key)]:
                    del self.kvs[key]
                    changed = True
        if changed:
            self.revision = revision
        self.applied.append(writes)

    def _read(self, read: Range) -> RangeResult:
        assert not read.range_end
        assert not read.serializable
        found = [self.kvs[read.key]] if read.key in self.kvs else []
        return RangeResult(found, False, len(found), self.revision)

    def _holds(self, compare: Compare) -> bool:
        kv = self.kvs.get(compare.key)
        assert compare.op == "="
        if compare.target == "create":
            return (kv.create_revision if kv else 0) == compare.value
        assert compare.target == "mod"
        return (kv.mod_revision if kv else 0) == compare.value


def _check(ops: Sequence[Op]) -> None:
    """etcd: a key put twice, or put and deleted, in one Txn is refused."""
    puts = [op.key for op in ops if isinstance(op, Put)]
    deletes = [op for op in ops if isinstance(op, Delete)]
    if len(set(puts)) < len(puts) or any(covers(d, key) for d in deletes for key in puts):
        raise EtcdRefused("etcdserver: duplicate key given in txn request")
