"""What Quorate needs of etcd, as plain values and one protocol.

Two stores implement `Etcd`: `quorate.etcd.client.EtcdClient` (real, over gRPC) and
`quorate.etcd.memory.store.MemoryEtcd` (a twin for tests and simulation). Both pass the same
contract suite, `tests/integration/test_etcd_contract.py`.

Errors: every call raises `EtcdError`; its subclasses say what the caller has to do about it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol


class EtcdError(Exception):
    """Something went wrong between us and etcd."""


class EtcdUnavailable(EtcdError):
    """No endpoint answered in time: the outcome of a write is UNKNOWN."""


class EtcdNoSpace(EtcdError):
    """The NOSPACE alarm is raised; the outcome of a write is UNKNOWN (it may have committed)."""


class EtcdRefused(EtcdError):
    """A definite refusal (too large, duplicate key, bad request): nothing was written."""


class EtcdAnswerTooLarge(EtcdError):
    """The answer to a read is larger than a message may be: read less at once."""


class EtcdUnauthenticated(EtcdError):
    """Credentials are missing, wrong or lack the permission."""


class LeaseNotFound(EtcdError):
    """The lease expired or was revoked."""


class Compacted(EtcdError):
    """The asked-for revision is gone; `revision` is the first one still to be had."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"compacted up to revision {revision}")
        self.revision = revision


class KeyValue(NamedTuple):
    """One key at one revision."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class Put(NamedTuple):
    """Write one key."""

    key: bytes
    value: bytes
    lease: int = 0


class Delete(NamedTuple):
    """Delete one key, or `[key, range_end)`."""

    key: bytes
    range_end: bytes = b""


class Range(NamedTuple):
    """Read one key, or `[key, range_end)` in key order. `limit` 0 means no limit."""

    key: bytes
    range_end: bytes = b""
    limit: int = 0
    revision: int = 0
    keys_only: bool = False
    count_only: bool = False
    serializable: bool = False


Op = Put | Delete | Range


class Compare(NamedTuple):
    """`create`/`mod`/`version` of `key` compared with a number (0: the key is absent)."""

    key: bytes
    target: Literal["create", "mod", "version"]
    op: Literal["=", "!=", "<", ">"]
    value: int


@dataclass(frozen=True, slots=True)
class RangeResult:
    """What a Range read. `revision` is the store's revision when it was read."""

    kvs: Sequence[KeyValue]
    more: bool
    count: int
    revision: int


@dataclass(frozen=True, slots=True)
class TxnResult:
    """What a Txn did. `ranges` holds the results of the branch's Range ops, in order."""

    succeeded: bool
    revision: int
    ranges: Sequence[RangeResult]


class WatchEvent(NamedTuple):
    """One change. For a deletion only `kv.key` and `kv.mod_revision` mean anything."""

    deleted: bool
    kv: KeyValue


# Deletion, key, value, mod_revision, lease.
Change = tuple[bool, bytes, bytes, int, int]


class CompactEvents(Sequence[WatchEvent]):
    """Events in the form in which they came; each becomes an object when it is asked for.

    For followers: tens of thousands a second pass one, and it keeps the latest for watchers.

    Attributes:
        size: bytes that they take: not less than their keys and values.
    """

    size: int

    @abstractmethod
    def changes(self) -> Iterator[Change]:
        """What following needs of each event, in a third of the time that the objects take."""


def changes_of(events: Sequence[WatchEvent]) -> Iterator[Change]:
    """What following needs of each event."""
    if isinstance(events, CompactEvents):
        return events.changes()
    return ((e.deleted, e.kv.key, e.kv.value, e.kv.mod_revision, e.kv.lease) for e in events)


def size_of(events: Sequence[WatchEvent]) -> int:
    """Bytes of their keys and values, or more."""
    if isinstance(events, CompactEvents):
        return events.size
    return sum(len(event.kv.key) + len(event.kv.value) for event in events)


@dataclass(frozen=True, slots=True)
class WatchBatch:
    """All of a watch's events of one or more WHOLE revisions, in order.

    `revision` is the last revision that is complete: resume at `revision + 1`. A batch without
    events is a progress mark.
    """

    revision: int
    events: Sequence[WatchEvent]


@dataclass(frozen=True, slots=True)
class LeaseGrant:
    """A lease and the TTL (seconds) that the server settled on."""

    id: int
    ttl: int


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """One endpoint's view of itself."""

    version: str
    db_size: int
    db_size_in_use: int
    revision: int
    leader: int
    members: int


class Etcd(Protocol):
    """The store. All keys and values are bytes; times are seconds."""

    async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
        """Read; linearizable unless `read.serializable`. Raises Compacted for an old revision."""

    async def put(self, key: bytes, value: bytes, *, lease: int = 0, timeout: float = 5.0) -> int:
        """Write one key unconditionally; the new revision."""

    async def delete(self, key: bytes, range_end: bytes = b"", *, timeout: float = 5.0) -> int:
        """Delete; how many keys went."""

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        """One atomic transaction. Never repeated by this layer: the outcome may be unknown."""

    async def lease_grant(self, ttl: int, *, timeout: float = 5.0) -> LeaseGrant:
        """A new lease of at least `ttl` seconds."""

    async def lease_keepalive(self, lease: int, *, timeout: float = 2.0) -> int:
        """Renew once; the remaining TTL in seconds. Raises LeaseNotFound."""

    async def lease_revoke(self, lease: int, *, timeout: float = 5.0) -> None:
        """Revoke; its keys are deleted. Revoking a missing lease is not an error."""

    def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[WatchBatch]]:
        """Follow changes from `start_revision` (0: from now).

        Entering returns once the server created the watch. The iterator resumes by itself on
        another endpoint after a broken stream, without gaps or repeats; it raises Compacted when
        the revisions to resume from are gone. It never skips: a slow reader holds back the stream.
        """

    async def compact(self, revision: int, *, timeout: float = 30.0) -> None:
        """Forget revisions up to `revision`. An older or future one is not an error."""

    async def status(self, *, timeout: float = 2.0) -> StoreStatus:
        """Status of the endpoint in use."""

    async def close(self) -> None:
        """Close all channels. Calls under way raise EtcdUnavailable."""


def prefix_end(prefix: bytes) -> bytes:
    """The `range_end` that makes `[prefix, range_end)` cover every key with that prefix."""
    trimmed = prefix.rstrip(b"\xff")
    if not trimmed:
        return b"\0"
    return trimmed[:-1] + bytes([trimmed[-1] + 1])
