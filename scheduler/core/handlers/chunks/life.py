"""Chunks of arrays: given to a node, reported, ended.

A chunk is an attempt like any other to the rules of attempts and nodes (`attempts`, `nodes`): these
call `ended` where a task would finish or be tried again. Here is what is different: its work is
positions of an array, and reports tell of them one after the other.

A report counts position by position: one that is on record as out with this very chunk leaves it
with the report, and never again. So a report that is repeated, reordered or of a process that was
given up changes nothing, and is acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from zlib import crc32

from quorate.runtime.ids import InstanceId, TaskId, offset_id
from scheduler.core.arrays.chunk import Chunk
from scheduler.core.arrays.positions import BLOCK, lowest, mask_of, offsets_of, within
from scheduler.core.handlers import start_limits
from scheduler.core.handlers.chunks import merging
from scheduler.core.handlers.chunks.ending import advance
from scheduler.core.model.effects import (
    AcknowledgeReport,
    DropChunk,
    Effects,
    PutChunk,
    PutJobBlock,
    PutJobErrors,
    PutJobResults,
    RecallChunk,
    StartAttempt,
)
from scheduler.core.model.events.jobs import ChunkReported, Ranges, SubtaskFailed
from scheduler.core.model.indexes.usage import Sized
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import JobRow, NodeRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import TaskState

CANCELLED = "CANCELLED"
CRASH_LIMIT = "CRASH_LIMIT"
# Bytes of the results in one record; one result may be larger alone.
_RECORD_BYTES = 256 << 10
# Of the failures in one record those that are kept in full; of the others type and message, cut.
_FULL_ERRORS = 8
_SHORT_MESSAGE = 200
# Work, in seconds, for which it is worth to ask for a chunk's rest; also how long a chunk must have
# been silent for that where it is not known how long its subtasks take.
_WORTH = 0.02
# Chunks that are recalled in one step.
_RECALLED_AT_ONCE = 64

# Results: first position, kind, values.
_Run = tuple[int, int, Sequence[bytes]]
# Failed for good: (positions, error, its type and message where it is ours).
_Failure = tuple[list[int], Sized | None, str, str]


# -- given to a node


def give(
    state: State,
    entry: TaskRow,
    node: NodeRow,
    slots: int,
    chunk_id: TaskId,
    now: float,
    out: Effects,
) -> None:
    """Give some pending subtasks of the job of `entry` to a node.

    Args:
        slots: of all nodes that may take some of it.
    """
    job = entry.job
    assert job is not None
    rated = job.queue.limits.rate is not None
    # Each subtask takes a start of its own: one at a time, whenever there is one.
    size = 1 if rated else job.durations.chunk(job.array.pending, slots)
    row = moves.chunk_out(
        state,
        job,
        chunk_id,
        job.array.cut(size),
        node.name,
        node.instance,
        max(now, job.create_time),
    )
    if rated:
        start_limits.charge(state, row, now, out)
    out.writes.append(PutChunk(row))
    out.after.append(StartAttempt(row, row.attempt, node.instance))
    moves.account(state, job)


class ChunkIds:
    """The ids of the chunks of one step: neighbours of the first."""

    __slots__ = ("_first", "_given")

    def __init__(self, first: TaskId) -> None:
        self._first = first
        self._given = 0

    def next(self) -> TaskId:
        """One that was not given before."""
        self._given += 1
        return offset_id(self._first, self._given - 1)


def recall(state: State, now: float, free: int, out: Effects) -> None:
    """Slots are free and nothing waits for them: ask for the rest of the largest chunks.

    Args:
        free: slots; as many chunks are asked at most.
    """
    wanted = min(free, _RECALLED_AT_ONCE)
    found = [
        (work, row.id)
        for row in state.chunks.values()
        if (work := _worth_recalling(row, now)) > 0.0
    ]
    found.sort(reverse=True)
    for _, chunk_id in found[:wanted]:
        row = state.chunks[chunk_id]
        assert row.chunk is not None
        row.chunk.recalled = True
        out.recalls = (*out.recalls, RecallChunk(row.instance, row.id, row.attempt))


def _worth_recalling(row: TaskRow, now: float) -> float:
    """Seconds of work that another slot could take over; 0.0: leave it."""
    job, chunk = row.job, row.chunk
    assert job is not None
    assert chunk is not None
    limit = job.spec.max_parallel
    if chunk.recalled or row.cancel_requested or (limit and len(job.chunks) >= limit):
        return 0.0
    rest = chunk.size - 1
    if rest <= 0:
        return 0.0
    silent = now - chunk.heard
    work = rest * max(job.durations.seconds, 0.0)
    if work >= _WORTH:
        return work
    # What it runs takes longer than expected.
    return silent * rest if silent >= _WORTH else 0.0


def recall_all(job: JobRow, out: Effects) -> None:
    """The job is paused: what its nodes have not begun is wanted back."""
    for row in job.chunks.values():
        assert row.chunk is not None
        if row.chunk.size > 1:
            row.chunk.recalled = True
            out.after.append(RecallChunk(row.instance, row.id, row.attempt))


# -- reported


def on_chunk_reported(state: State, event: ChunkReported, now: float, out: Effects) -> None:
    row = _current(state, event.chunk, event.attempt, event.instance)
    if row is not None:
        _accept(state, row, event, now, out)
    out.after.append(AcknowledgeReport(event.instance, event.chunk, event.attempt, event.number))


def _accept(state: State, row: TaskRow, event: ChunkReported, now: float, out: Effects) -> None:
    job, chunk = row.job, row.chunk
    assert job is not None
    assert chunk is not None
    chunk.heard, chunk.recalled, chunk.reported = now, False, True
    succeeded: dict[int, int] = {}
    touched: dict[int, None] = {}
    for number, mask in _out_with(chunk, event.succeeded):
        _leave(job, chunk, number, mask)
        job.array.succeed(number, mask)
        succeeded[number] = succeeded.get(number, 0) | mask
        touched[number] = None
    failures: dict[int, list[_Failure]] = {}
    ended = sum(map(int.bit_count, succeeded.values()))
    for failure in event.failed:
        number, place = divmod(failure.position, BLOCK)
        if not chunk.left.get(number, 0) >> place & 1:
            continue
        ended += 1
        touched[number] = None
        _leave(job, chunk, number, 1 << place)
        _failed(state, job, number, place, failure, now, failures)
    for number, mask in _out_with(chunk, event.returned):
        _leave(job, chunk, number, mask)
    if ended:
        seconds = max(0.0, event.seconds)
        job.array.ran(next(iter(touched)), seconds, ended)
        job.durations.reported(seconds, ended)
    if row.start_time <= 0.0:
        row.start_time = max(row.assign_time, now - max(0.0, event.seconds))
    _store_results(job, row, succeeded, event.results, out)
    _store_errors(job, failures, row, out)
    for number in touched:
        out.writes.append(PutJobBlock(job, number))
        merging.note(state, job, number)
    out.writes.append(PutChunk(row))
    advance(state, job, now, out)


def _out_with(chunk: Chunk, ranges: Ranges) -> list[tuple[int, int]]:
    """Those of `ranges` that are out with a chunk, as (block, mask)."""
    if not ranges or not chunk.left:
        return []
    found: dict[int, int] = {}
    for number, mask in within(ranges, min(chunk.left), max(chunk.left)):
        mask &= chunk.left.get(number, 0)
        if mask:
            found[number] = found.get(number, 0) | mask
    return list(found.items())


def _leave(job: JobRow, chunk: Chunk, number: int, mask: int) -> None:
    """These are out no longer: pending, until the caller says what became of them."""
    chunk.remove(number, mask)
    job.array.take_back(number, mask)


def _failed(
    state: State,
    job: JobRow,
    number: int,
    place: int,
    failure: SubtaskFailed,
    now: float,
    failures: dict[int, list[_Failure]],
) -> None:
    """An attempt of a subtask failed: it waits for another, or has failed for good."""
    if job.ending is not None and failure.error_type == CANCELLED:
        # It was ended: neither failed nor succeeded, so it is cancelled with the others.
        return
    retry, position = job.spec.retry, number * BLOCK + place
    block = job.array.block(number)
    if retry.max_attempts > 1 and not _is_fatal(job, failure):
        count = block.count_failure(place)
        if job.ending is not None:
            return
        if count < retry.max_attempts:
            draw = crc32(f"{job.id}:{position}:{count}".encode()) / 2**32
            due = ceil(now + retry.backoff(count, draw))
            moves.put_off(state, job, number, 1 << place, due)
            return
    job.array.fail(number, 1 << place)
    failures.setdefault(number, []).append(
        ([position], failure.error, failure.error_type, failure.error_message)
    )


def _is_fatal(job: JobRow, failure: SubtaskFailed) -> bool:
    fatal = job.spec.retry.fatal_errors
    return bool(fatal) and (
        failure.error_type in fatal or any(name in fatal for name in failure.base_types)
    )


def _store_results(
    job: JobRow,
    row: TaskRow,
    accepted: dict[int, int],
    results: Sequence[_Run],
    out: Effects,
) -> None:
    """Write the results of accepted subtasks, a record or more for each block."""
    by_block: dict[int, list[_Run]] = {}
    for run in results:
        for number, piece in _accepted_part(run, accepted):
            by_block.setdefault(number, []).append(piece)
    for number, runs in by_block.items():
        block = job.array.block(number)
        part: list[_Run] = []
        size = 0
        for run in runs:
            weight = sum(map(len, run[2]))
            if part and size + weight > _RECORD_BYTES:
                out.writes.append(PutJobResults(job.id, number, part, row.node, row.id))
                block.pieces += 1
                part, size = [], 0
            part.append(run)
            size += weight
            job.array.store(number, weight)
        if part:
            block.pieces += 1
            out.writes.append(PutJobResults(job.id, number, part, row.node, row.id))


def _accepted_part(run: _Run, accepted: dict[int, int]) -> list[tuple[int, _Run]]:
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
    found: list[tuple[int, _Run]] = []
    for block, mask in within(((first, last),), number, last // BLOCK):
        for place in offsets_of(mask & accepted.get(block, 0)):
            position = block * BLOCK + place
            found.append((block, (position, kind, (values[position - first],))))
    return found


def _store_errors(
    job: JobRow, failures: dict[int, list[_Failure]], row: TaskRow, out: Effects
) -> None:
    """Write why subtasks failed for good, those with the very same error together."""
    for number, found in failures.items():
        groups: dict[tuple[str, str], _Failure] = {}
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
        out.writes.append(PutJobErrors(job.id, number, kept, row.node))


# -- ended


def ended(
    state: State,
    row: TaskRow,
    now: float,
    out: Effects,
    *,
    failed: SubtaskFailed | None = None,
    lost: str = "",
) -> None:
    """A chunk has ended: what was not reported of it is pending again.

    Args:
        failed: why the chunk as a whole failed before anything of it was reported: the first
            subtask has failed of it, so that what can never run is not given out for ever.
        lost: why its node was lost: then that subtask is suspect.
    """
    job, chunk = row.job, row.chunk
    assert job is not None
    assert chunk is not None
    if failed is not None and (failed.error_type == CANCELLED or chunk.reported):
        # Ended as the leader wanted, whatever became of its job since; or not all of it was done.
        failed = None
    failures: dict[int, list[_Failure]] = {}
    touched: int | None = None
    if chunk.left and job.ending is None:
        number = min(chunk.left)
        place = lowest(chunk.left[number])
        if failed is not None:
            touched = number
            _leave(job, chunk, number, 1 << place)
            failed = failed._replace(position=number * BLOCK + place)
            _failed(state, job, number, place, failed, now, failures)
        elif lost and (row.start_time > 0.0 or chunk.suspect):
            touched = number
            _suspect(job, chunk, number, place, failures)
    _store_errors(job, failures, row, out)
    moves.chunk_gone(state, row)
    if touched is not None:
        out.writes.append(PutJobBlock(job, touched))
    out.writes.append(DropChunk(job.id, row.id))
    advance(state, job, now, out)


def _suspect(
    job: JobRow, chunk: Chunk, number: int, place: int, failures: dict[int, list[_Failure]]
) -> None:
    """The node was lost while this subtask ran, or may have run: it runs alone next, and at the
    crash limit never again."""
    block = job.array.block(number)
    crashes = block.crashes[place] = block.crashes.get(place, 0) + 1
    limit = job.spec.retry.crash_limit
    if crashes < limit:
        return
    _leave(job, chunk, number, 1 << place)
    job.array.fail(number, 1 << place)
    message = f"{crashes} nodes died while it ran; the limit is {limit}"
    failures[number] = [([number * BLOCK + place], None, CRASH_LIMIT, message)]


def _current(state: State, chunk: TaskId, attempt: int, instance: InstanceId) -> TaskRow | None:
    row = state.chunks.get(chunk)
    if (
        row is None
        or row.state is not TaskState.RUNNING
        or row.attempt != attempt
        or row.instance != instance
    ):
        return None
    return row
