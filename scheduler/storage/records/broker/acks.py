"""What is acknowledged, as records.

Reading is lenient: what makes no sense is left out, and nothing that bytes say makes the values
larger than a chunk's 1,024 messages.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.internal.v1 import messages_pb2 as r
from scheduler.core.broker.storage.format import MOST_MESSAGES
from scheduler.core.broker.storage.records import MOST_DELIVERIES, Acks, ChunkDone
from scheduler.storage.unknown_fields import unknown_fields

_ALL = (1 << MOST_MESSAGES) - 1


def acks_value(acks: Acks) -> bytes:
    """The record `acks`, serialized."""
    record = r.MessageAcksRecord(
        cursor=acks.cursor,
        tail=acks.tail,
        instant=acks.instant,
        chunks=[_done_record(done) for done in sorted(acks.chunks)],
    )
    record.MergeFromString(acks.unknown)
    return record.SerializeToString()


def acks_of(value: bytes) -> Acks:
    """The record `acks`, read."""
    record = r.MessageAcksRecord.FromString(value)
    chunks = tuple(_done_of(done) for done in record.chunks)
    return Acks(record.cursor, record.tail, record.instant, chunks, unknown_fields(record))


def chunk_done_value(done: ChunkDone) -> bytes:
    """A record below `a/`, serialized."""
    return _done_record(done).SerializeToString()


def chunk_done_of(value: bytes) -> ChunkDone:
    """A record below `a/`, read."""
    return _done_of(r.MessageChunkDoneRecord.FromString(value))


def _done_record(done: ChunkDone) -> r.MessageChunkDoneRecord:
    record = r.MessageChunkDoneRecord(first=done.first)
    size = (done.done.bit_length() + 7) // 8
    # As `ChunkDone.weight` counts: a run takes up to four bytes.
    if size <= 4 * done.runs:
        record.done = done.done.to_bytes(size, "little")
    else:
        record.runs.extend(_runs(done.done))
    for pair in done.returned:
        record.returned.extend(pair)
    if done.unknown:
        record.MergeFromString(done.unknown)
    return record


def _done_of(record: r.MessageChunkDoneRecord) -> ChunkDone:
    done = int.from_bytes(record.done[: MOST_MESSAGES // 8], "little") | _mask(record.runs)
    pairs = zip(record.returned[::2], record.returned[1::2], strict=False)
    returned = {
        ordinal: min(deliveries, MOST_DELIVERIES)
        for ordinal, deliveries in pairs
        if ordinal < MOST_MESSAGES
    }
    return ChunkDone(
        record.first, done & _ALL, tuple(sorted(returned.items())), unknown_fields(record)
    )


def _runs(mask: int) -> list[int]:
    """Lengths of the runs of zeros and ones of a mask, alternately, from the lowest bit."""
    lengths: list[int] = []
    while mask:
        zeros = (mask & -mask).bit_length() - 1
        mask >>= zeros
        ones = (~mask & (mask + 1)).bit_length() - 1
        mask >>= ones
        lengths += zeros, ones
    return lengths


def _mask(runs: Sequence[int]) -> int:
    mask = place = 0
    for zeros, ones in zip(runs[::2], runs[1::2], strict=False):
        begin = place + zeros
        place = begin + ones
        if place > MOST_MESSAGES:
            break
        mask |= (1 << ones) - 1 << begin
    return mask
