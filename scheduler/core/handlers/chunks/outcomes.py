"""What is on record of subtasks that ended: who ran them, their results, and why they failed. Pure.

A record is about one block. Who ran a subtask is kept also where it has no result: its output is on
that node, in the log of that chunk."""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.core.arrays.positions import BLOCK, Range, mask_of, offsets_of, ranges_of, within
from scheduler.core.model.effects import Effects, PutJobErrors, PutJobResults
from scheduler.core.model.indexes.usage import Sized
from scheduler.core.model.rows import JobRow, TaskRow

# Bytes of the results in one record; one result may be larger alone.
_RECORD_BYTES = 256 << 10
# Of the failures in one record those that are kept in full; of the others type and message, cut.
_FULL_ERRORS = 8
_SHORT_MESSAGE = 200
# What it takes on record to say who ran subtasks, and of each range of them.
_ORIGIN_BYTES = 64
_RANGE_BYTES = 12
# Results: first position, kind, values.
Run = tuple[int, int, Sequence[bytes]]
# Failed for good: (positions, error, its type and message where it is ours).
Failure = tuple[list[int], Sized | None, str, str]


def store_results(
    job: JobRow,
    row: TaskRow,
    accepted: dict[int, int],
    results: Sequence[Run],
    out: Effects,
) -> None:
    """Write who ran accepted subtasks, and their results: a record or more for each block."""
    by_block: dict[int, list[Run]] = {}
    for run in results:
        for number, piece in _accepted_part(run, accepted):
            by_block.setdefault(number, []).append(piece)
    for number, mask in accepted.items():
        runs = by_block.get(number, ())
        block = job.array.block(number)
        part: list[Run] = []
        size = 0
        # Who ran them is to be known also of those without a result.
        positions: Sequence[Range] = ()
        if sum(len(run[2]) for run in runs) != mask.bit_count():
            positions = ranges_of(number, mask)
        job.array.store(number, _ORIGIN_BYTES + _RANGE_BYTES * len(positions))
        for run in runs:
            weight = sum(map(len, run[2]))
            if part and size + weight > _RECORD_BYTES:
                out.writes.append(PutJobResults(job.id, number, part, row.node, row.id, positions))
                block.pieces += 1
                part, size, positions = [], 0, ()
            part.append(run)
            size += weight
            job.array.store(number, weight)
        if part or positions:
            block.pieces += 1
            out.writes.append(PutJobResults(job.id, number, part, row.node, row.id, positions))


def _accepted_part(run: Run, accepted: dict[int, int]) -> list[tuple[int, Run]]:
    """What of a run of results belongs to accepted subtasks: (block, run)."""
    first, kind, values = run
    if not values:
        return []
    last = first + len(values) - 1
    number = first // BLOCK
    if last // BLOCK == number:
        # As a rule: all of it.
        mask = mask_of(first % BLOCK, last % BLOCK)
        if accepted.get(number, 0) & mask == mask:
            return [(number, run)]
    found: list[tuple[int, Run]] = []
    for block, mask in within(((first, last),), number, last // BLOCK):
        for place in offsets_of(mask & accepted.get(block, 0)):
            position = block * BLOCK + place
            found.append((block, (position, kind, (values[position - first],))))
    return found


def store_errors(
    job: JobRow, failures: dict[int, list[Failure]], row: TaskRow, out: Effects
) -> None:
    """Write why subtasks failed for good, those with the very same error together."""
    for number, found in failures.items():
        groups: dict[tuple[str, str], Failure] = {}
        for positions, error, kind, message in found:
            known = groups.setdefault((kind, message), ([], error, kind, message))
            known[0].extend(positions)
        kept = [
            one if place < _FULL_ERRORS else (one[0], None, one[2], one[3][:_SHORT_MESSAGE])
            for place, one in enumerate(groups.values())
        ]
        size = sum(
            200 + (error.ByteSize() if error is not None else len(kind) + len(message))
            for _, error, kind, message in kept
        )
        job.array.store(number, size)
        earlier = job.array.block(number).earlier
        again = earlier is not None and any(
            earlier[position % BLOCK] for one in kept for position in one[0]
        )
        out.writes.append(PutJobErrors(job.id, number, kept, row.node, row.id, again))
