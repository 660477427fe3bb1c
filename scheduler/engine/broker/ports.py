"""What the broker's driver needs of the rooms above it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.joined import Addition
from scheduler.core.broker import effects as fx
from scheduler.core.broker.rows import QueueUid, SessionId
from scheduler.core.broker.storage.bodies import BodyRef
from scheduler.core.broker.storage.format import Summary
from scheduler.core.broker.storage.places import SubLogName

# Gets the chunks of one sub-log that a commit made, and its revision.
ChunksOf: TypeAlias = Callable[[Sequence[tuple[Summary, bytes]], int], None]
# (uid, sub-log, first sequence)
ChunkPlace: TypeAlias = tuple[QueueUid, SubLogName, int]


class MessageSessions(Protocol):
    """The streams of the sessions that consume.

    Attributes:
        outgoing: bytes of large answers that clients have not taken yet.

    Each message is sent at once, or dropped when the stream is gone (the inventory of the next one
    settles it). None of these may raise, block, or call the driver.
    """

    @property
    def outgoing(self) -> int: ...

    def deliver(self, effect: fx.Deliver) -> None: ...

    def fetched(self, effect: fx.SendFetched) -> None: ...

    def ended(self, effect: fx.EndConsumer) -> None: ...

    def refused(self, effect: fx.SettleRefused) -> None: ...

    def settled(self, session: SessionId, number: int) -> None:
        """All settlements of the session up to this number are durable."""


class NoSessions:
    """Of a process that serves no sessions: what it is given is dropped."""

    outgoing = 0

    def deliver(self, effect: fx.Deliver) -> None: ...

    def fetched(self, effect: fx.SendFetched) -> None: ...

    def ended(self, effect: fx.EndConsumer) -> None: ...

    def refused(self, effect: fx.SettleRefused) -> None: ...

    def settled(self, session: SessionId, number: int) -> None: ...


class BrokerEncoder(Protocol):
    """Turns what the broker writes into operations on etcd: `BrokerCodec` of
    `scheduler.storage.records.broker`."""

    def encode(
        self,
        out: fx.BrokerEffects,
        committed: Callable[[QueueUid, SubLogName], ChunksOf],
        *,
        space: bool = True,
    ) -> EncodedStep: ...

    def orphans(self, uids: Sequence[QueueUid]) -> list[Delete]: ...


class EncodedStep(Protocol):
    """One event's writes.

    Attributes:
        purged: what goes as a purge, as etcd has no space.
        bodies: the same of bodies, in a purge that is behind all that waits.
        weight: bytes of the others, rounded up.
    """

    @property
    def purged(self) -> list[Delete]: ...

    @property
    def bodies(self) -> list[Delete]: ...

    @property
    def writes(self) -> list[Put | Delete]: ...

    @property
    def additions(self) -> list[Addition]: ...

    @property
    def weight(self) -> int: ...


class StoredChunks(Protocol):
    """Reads chunks back: `scheduler.storage.records.broker.stored`."""

    async def read(self, places: Sequence[ChunkPlace]) -> list[bytes | None]:
        """The bytes of each as they are now; None for one that is not there. Raises EtcdError."""

    async def read_bodies(self, refs: Sequence[BodyRef]) -> list[bytes | None]:
        """Each body as it is now; None for one that is not there, or not whole. Raises
        EtcdError."""
