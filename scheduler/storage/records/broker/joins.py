"""What the journal joins of a sub-log: the messages of one commit are a chunk, and of its
acknowledgements the last snapshot is written.

A chunk is full at 256 KiB, with the bodies that it refers to, or at 1,024 messages: the journal
seals the batch then. One event that
publishes more makes several chunks of one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from quorate.etcd.api import Put
from quorate.etcd.journal.batch import WRITE_OVERHEAD
from quorate.etcd.journal.joined import Addition, Joined
from scheduler.core.broker.storage.format import HEADER_BYTES, Packed, Summary, chunked
from scheduler.core.broker.storage.records import Acks
from scheduler.storage import keys
from scheduler.storage.records.broker.acks import acks_value

# Called with what was committed, and the revision.
Committed = Callable[[Sequence[tuple[Summary, bytes]], int], None]

# Of a message in a chunk in which numbers are missing.
_OFFSET_BYTES = 4


@dataclass(frozen=True, slots=True)
class Publication(Addition):
    """What one event publishes to a sub-log.

    Attributes:
        place: as of `keys.message_sub_log`.
        messages: of ascending sequences, above those of all publications before. Not empty.
        committed: gets the chunks of the commit, before the after-effects of its events: the first
            publication of a batch is the one whose `committed` is called, so all of a sub-log have
            the same.
    """

    place: bytes
    messages: Sequence[Packed]
    committed: Committed

    def begin(self, additions: Sequence[Publication]) -> ChunkWrite:
        return ChunkWrite(additions)


class ChunkWrite(Joined[Publication]):
    """The chunk of one sub-log and commit; several if one event makes them."""

    __slots__ = ("_builders", "_built", "_committed")

    def __init__(self, additions: Sequence[Publication]) -> None:
        messages = _messages(additions)
        self._builders = chunked(messages)
        place = additions[0].place
        found = [keys.message_chunk_key(place, builder.first) for builder in self._builders]
        heads = sum(len(key) + WRITE_OVERHEAD + HEADER_BYTES for key in found)
        super().__init__(found, heads + _weight(messages))
        self._committed = additions[0].committed
        self._built: list[tuple[Summary, bytes]] = []

    def growth(self, additions: Sequence[Publication]) -> int | None:
        messages = _messages(additions)
        weight = sum([message.weight for message in messages])
        if not self._builders[-1].holds(len(messages), weight, messages[-1].sequence):
            return None
        return _weight(messages)

    def add(self, additions: Sequence[Publication]) -> None:
        messages = _messages(additions)
        for message in messages:
            self._builders[-1].add(message)
        self.weight += _weight(messages)

    def seal(self) -> Sequence[Put]:
        self._built = [builder.build() for builder in self._builders]
        return [Put(key, value) for key, (_, value) in zip(self.keys, self._built, strict=True)]

    def committed(self, revision: int) -> None:
        self._committed(self._built, revision)


@dataclass(frozen=True, slots=True)
class Acknowledgement(Addition):
    """What is acknowledged in a sub-log after one event. `place`: the key."""

    place: bytes
    acks: Acks

    def begin(self, additions: Sequence[Acknowledgement]) -> AcksWrite:
        return AcksWrite(additions)


class AcksWrite(Joined[Acknowledgement]):
    """The last snapshot of a batch: serialized once, however many events there were."""

    __slots__ = ("_acks",)

    def __init__(self, additions: Sequence[Acknowledgement]) -> None:
        key = additions[0].place
        self._acks = additions[-1].acks
        super().__init__((key,), len(key) + WRITE_OVERHEAD + self._acks.weight)

    def growth(self, additions: Sequence[Acknowledgement]) -> int:
        return additions[-1].acks.weight - self._acks.weight

    def add(self, additions: Sequence[Acknowledgement]) -> None:
        self.weight += self.growth(additions)
        self._acks = additions[-1].acks

    def seal(self) -> Sequence[Put]:
        return (Put(self.keys[0], acks_value(self._acks)),)


def _messages(additions: Sequence[Publication]) -> Sequence[Packed]:
    if len(additions) == 1:
        return additions[0].messages
    return list(chain.from_iterable(addition.messages for addition in additions))


def _weight(messages: Sequence[Packed]) -> int:
    return sum([message.size for message in messages]) + _OFFSET_BYTES * len(messages)
