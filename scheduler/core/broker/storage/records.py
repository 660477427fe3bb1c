"""The values of a sub-log that are written and folded, beside its chunks."""

from __future__ import annotations

from typing import Final, NamedTuple

# Bounds of one record of acknowledgements: runs of done messages, and bytes.
MOST_RUNS: Final = 256
MOST_ACKS_BYTES: Final = 4_096
# More deliveries of one message are not counted.
MOST_DELIVERIES: Final = (1 << 21) - 1

# Of such a record without chunks, and of each chunk in it: see `ChunkDone.weight`.
ACKS_BYTES: Final = 40
_CHUNK_BYTES: Final = 20
_RUN_BYTES: Final = 4
_RETURNED_BYTES: Final = 5
# Bits of a whole chunk.
_DONE_BYTES: Final = 128


class ChunkDone(NamedTuple):
    """What of one chunk is done, and how often its other messages came back. Immutable.

    Messages are counted from 0 within the chunk (ordinals), so it is of this very composition of
    the chunk: what replaces the chunk replaces this, too.

    Attributes:
        done: a bit a message, the lowest bit the first one.
        returned: (ordinal, deliveries on record), ascending; of messages that are alive.
        unknown: what a later version wrote beside it.
    """

    first: int
    done: int = 0
    returned: tuple[tuple[int, int], ...] = ()
    unknown: bytes = b""

    @property
    def runs(self) -> int:
        """Runs of done messages."""
        return (self.done & ~(self.done << 1)).bit_count()

    @property
    def weight(self) -> int:
        """Bytes that it takes in a record, rounded up."""
        bits = (self.done.bit_length() + 7) // 8
        return (
            _CHUNK_BYTES
            + min(bits, _RUN_BYTES * self.runs)
            + _RETURNED_BYTES * len(self.returned)
            + len(self.unknown)
        )


def heaviest(known: ChunkDone, count: int) -> int:
    """Bytes that it takes at most when so many more messages of the chunk are done or come back."""
    return known.weight + min(_DONE_BYTES, _RUN_BYTES * count) + _RETURNED_BYTES * count


class Acks(NamedTuple):
    """`acks`: what is acknowledged in a sub-log. A snapshot: what follows makes another one.

    Attributes:
        cursor: all messages of lower sequences are done.
        tail: no sequence below may be given to another message.
        instant: the leader's clock when it was made, seconds since the epoch.
        chunks: those with messages that are done or came back, but those with records of their
            own; in no order.
        unknown: what a later version wrote beside it.
        weight: bytes of its record, rounded up.
    """

    cursor: int = 0
    tail: int = 0
    instant: float = 0.0
    chunks: tuple[ChunkDone, ...] = ()
    unknown: bytes = b""
    weight: int = ACKS_BYTES


class PutAcks(NamedTuple):
    """Write `acks`: of one batch, the last one counts."""

    acks: Acks


class PutChunkDone(NamedTuple):
    """Write `a/<first>`: of a chunk that has no room in `acks`."""

    done: ChunkDone


class DeleteChunkDone(NamedTuple):
    """Delete `a/<first>`."""

    first: int


class PutChunk(NamedTuple):
    """Write `c/<first>`: what a merge left."""

    first: int
    value: bytes


class DeleteChunks(NamedTuple):
    """Delete the chunks whose first sequences are from `first` to `last`, which were next to each
    other, and what they have below `a/`. `bodies`: what they referred to, packed."""

    first: int
    last: int
    own_records: bool
    bodies: bytes = b""


Write = PutAcks | PutChunkDone | DeleteChunkDone | PutChunk | DeleteChunks


class Change(NamedTuple):
    """What an event did to a sub-log.

    Attributes:
        changed: messages that it changed (acknowledged, given back, dropped).
        writes: to be committed in one Txn. Without space in etcd the deletions go as a purge.
        released: of a merge: references to bodies that are gone, packed. Others are in the
            `DeleteChunks` of `writes`.
    """

    changed: int = 0
    writes: tuple[Write, ...] = ()
    released: bytes = b""
