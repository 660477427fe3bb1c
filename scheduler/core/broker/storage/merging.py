"""Which chunks are merged or rewritten, and what that writes.

A chunk of one message costs etcd and the index as much as one of a thousand, and one message that
is alive keeps the 256 KiB of its chunk. So, in the background, chunks next to each other are merged
if they are small, and chunks are rewritten of which less than a quarter is alive. What is alive
keeps its sequence, so that consumers, delivery tags and acknowledgements notice nothing; sequences
that are done go missing, which a chunk can say.

The caller decides when: not while the database in use is above half of its quota, since a merge
writes before it frees. It reads the chunks of a plan, which takes a while; what was acknowledged
meanwhile is left out by `merge`, which refuses chunks that are no longer what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from scheduler.core.broker.storage.format import (
    MOST_BYTES,
    MOST_MESSAGES,
    MOST_SPAN,
    Packed,
    chunked,
    split,
    summarize,
)
from scheduler.core.broker.storage.index import is_small
from scheduler.core.broker.storage.records import (
    Change,
    DeleteChunkDone,
    DeleteChunks,
    PutChunk,
    Write,
)
from scheduler.core.broker.storage.sub_log import SubLog

# Fewer small chunks in a row are left alone, so that each message is copied a few times at most.
LEAST_MERGED: Final = 8
# A chunk is rewritten if less than one in so many of its messages is alive.
SPARSE: Final = 4
# Chunks looked at in one go.
MOST_LOOKED_AT: Final = 1_000


class Plan(NamedTuple):
    """What to merge next.

    Attributes:
        firsts: the chunks, next to each other; empty for none among those looked at.
        following: where to look on, as `start`; 0 when the end was reached.
    """

    firsts: tuple[int, ...]
    following: int


def plan(log: SubLog, start: int = 0) -> Plan:
    """Look for chunks to merge among those whose sequences are `start` or above."""
    chunks = log.chunks
    place = chunks.behind(start)
    end = min(place + MOST_LOOKED_AT, len(chunks))
    run: list[int] = []
    sparse = False
    messages = size = 0
    while place < end:
        chunk = chunks.at(place)
        alive = chunk.messages - log.done(chunk.first).bit_count()
        is_sparse = alive * SPARSE < chunk.messages
        if not (is_small(chunk) or is_sparse) or chunk.newer:
            if sparse or len(run) >= LEAST_MERGED:
                break
            run, sparse, messages, size = [], False, 0, 0
            place += 1
            continue
        # At most what is alive now: the share of the bytes is a guess.
        guess = chunk.size * alive // chunk.messages
        full = messages + alive > MOST_MESSAGES or size + guess > MOST_BYTES
        if run and (full or chunk.last - run[0] >= MOST_SPAN):
            if sparse or len(run) >= LEAST_MERGED:
                break
            run, sparse, messages, size = [], False, 0, 0
        run.append(chunk.first)
        sparse |= is_sparse
        messages += alive
        size += guess
        place += 1
    if not sparse and len(run) < LEAST_MERGED:
        run = []
    following = chunks.firsts[place] if place < len(chunks) else 0
    return Plan(tuple(run), following)


def merge(log: SubLog, chunks: Sequence[tuple[int, bytes]], now: float) -> Change | None:
    """Merge chunks that were read back: first sequence and bytes of each, ascending.

    Those in front that went meanwhile are left out: a full queue loses its oldest messages all the
    time, and would never be merged otherwise.

    Returns:
        What is written; None if they are not what is on record any more, or not next to each other:
        nothing has happened then, and the caller plans again. `released` has the references of all
        old chunks; each new one (`PutChunk`) has its own.

    Raises:
        BadChunk: bytes that nobody wrote.
    """
    gone = next((n for n, (first, _) in enumerate(chunks) if first in log.chunks), len(chunks))
    if gone:
        chunks = chunks[gone:]
        if len(chunks) < LEAST_MERGED:
            return None
    if not _current(log, chunks):
        return None
    survivors: list[Packed] = []
    returned: dict[int, int] = {}
    own_records: list[int] = []
    for first, value in chunks:
        of_chunk = log.of_chunk(first)
        if log.has_own_record(first):
            own_records.append(first)
        messages = split(value)
        survivors += [
            message for ordinal, message in enumerate(messages) if not of_chunk.done >> ordinal & 1
        ]
        for ordinal, deliveries in of_chunk.returned:
            returned[messages[ordinal].sequence] = deliveries
    built = [builder.build() for builder in chunked(survivors)] if survivors else []
    olds = [first for first, _ in chunks]
    news = [summary.first for summary, _ in built]
    writes: list[Write] = [PutChunk(summary.first, value) for summary, value in built]
    writes += _deletions(olds, news, own_records)
    released = log.drop(olds[0], olds[-1]).bodies
    left = iter(survivors)
    for summary, _ in built:
        ordinals = enumerate(next(left).sequence for _ in range(summary.messages))
        counts = [(n, returned[sequence]) for n, sequence in ordinals if sequence in returned]
        log.take_merged(summary, tuple(counts))
    recorded = log.recorded(now)
    # One that has a record of its own again is written instead.
    kept = {first for first in news if log.has_own_record(first)}
    writes += [
        DeleteChunkDone(first) for first in own_records if first in news and first not in kept
    ]
    return Change(len(survivors), (*writes, *recorded), released)


def _current(log: SubLog, chunks: Sequence[tuple[int, bytes]]) -> bool:
    begin = log.chunks.position(chunks[0][0]) if chunks else -1
    if begin < 0 or begin + len(chunks) > len(log.chunks):
        return False
    for number, (first, value) in enumerate(chunks):
        there = log.chunks.at(begin + number)
        if there.first != first or there.newer or there != summarize(value):
            return False
    return True


def _deletions(
    olds: Sequence[int], news: Sequence[int], own_records: Sequence[int]
) -> list[DeleteChunks]:
    """The old chunks whose keys are not written again: none of the ranges holds such a key."""
    runs: list[list[int]] = []
    written = iter(news)
    following = next(written, None)
    fresh = True
    for first in olds:
        while following is not None and following < first:
            following, fresh = next(written, None), True
        if first == following:
            fresh = True
            continue
        if fresh:
            runs.append([])
            fresh = False
        runs[-1].append(first)
    return [
        DeleteChunks(run[0], run[-1], any(run[0] <= first <= run[-1] for first in own_records))
        for run in runs
    ]
