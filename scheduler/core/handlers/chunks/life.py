"""Chunks of arrays that are out on a node: reported, ended.

A chunk is an attempt like any other to the rules of attempts and nodes (`attempts`, `nodes`): these
call `ended` where a task would finish or be tried again. Here is what is different: its work is
positions of an array, and reports tell of them one after the other.

A report counts position by position: one that is on record as out with this very chunk leaves it
with the report, and never again. So a report that is repeated, reordered or of a process that was
given up changes nothing, and is acknowledged.
"""

from __future__ import annotations

from math import ceil
from zlib import crc32

from quorate.runtime.ids import InstanceId, TaskId
from scheduler.core.arrays.chunk import Chunk
from scheduler.core.arrays.positions import BLOCK, lowest, within
from scheduler.core.handlers import shares, start_limits
from scheduler.core.handlers.chunks import cancelling, merging
from scheduler.core.handlers.chunks.ending import advance
from scheduler.core.handlers.chunks.outcomes import Failure, store_errors, store_results
from scheduler.core.model.effects import (
    AcknowledgeReport,
    DropChunk,
    Effects,
    PutChunk,
    PutJobBlock,
)
from scheduler.core.model.events.jobs import ChunkReported, Ranges, SubtaskFailed
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import JobRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import TaskState

CANCELLED = "CANCELLED"
CRASH_LIMIT = "CRASH_LIMIT"


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
    failures: dict[int, list[Failure]] = {}
    ended = sum(map(int.bit_count, succeeded.values()))
    for failure in event.failed:
        number, place = divmod(failure.position, BLOCK)
        if not chunk.left.get(number, 0) >> place & 1:
            continue
        ended += 1
        touched[number] = None
        wanted = chunk.is_cancelled(number, place)
        _leave(job, chunk, number, 1 << place)
        if wanted and job.ending is None:
            # However its end came, as of a task: nobody wants another attempt.
            job.array.block(number).count_failure(place)
            job.array.cancel(number, 1 << place)
        else:
            _failed(state, job, number, place, failure, now, failures)
    returned = 0
    for number, mask in _out_with(chunk, event.returned):
        returned += mask.bit_count()
        if chunk.cancelled and (wanted_back := mask & chunk.cancelled.get(number, 0)):
            cancelling.cancel_out(job, chunk, number, wanted_back)
            touched[number] = None
            mask &= ~wanted_back
        _leave(job, chunk, number, mask)
    if row.share or state.slot_time.on:
        shares.correct_chunk(state, row, event.seconds, ended + returned, now, out)
    if row.charged and returned and not ended and row.start_time <= 0.0:
        # It is one subtask, which never began.
        start_limits.refund(state, row, out)
    if ended:
        seconds = max(0.0, event.seconds)
        job.array.ran(next(iter(touched)), seconds, ended)
        job.durations.reported(seconds, ended)
    if row.start_time <= 0.0:
        row.start_time = max(row.assign_time, now - max(0.0, event.seconds))
    store_results(job, row, succeeded, event.results, out)
    store_errors(job, failures, row, out)
    for number in touched:
        out.writes.append(PutJobBlock(job, number))
        merging.note(state, job, number)
    out.writes.append(PutChunk(row))
    if chunk.cancelled:
        cancelling.on_reported(state, row, out)
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
    failures: dict[int, list[Failure]],
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
    failures: dict[int, list[Failure]] = {}
    touched: dict[int, None] = {}
    if row.share or state.slot_time.on:
        shares.correct_chunk(state, row, 0.0, chunk.size, now, out, over=True)
    if chunk.left and job.ending is None:
        number = min(chunk.left)
        place = lowest(chunk.left[number])
        if chunk.is_cancelled(number, place):
            # It was the one that ran, if any did, and is over.
            pass
        elif failed is not None:
            touched[number] = None
            _leave(job, chunk, number, 1 << place)
            failed = failed._replace(position=number * BLOCK + place)
            _failed(state, job, number, place, failed, now, failures)
        elif lost and (row.start_time > 0.0 or chunk.suspect):
            touched[number] = None
            _suspect(job, chunk, number, place, failures)
        for number, mask in list(chunk.cancelled.items()):
            touched[number] = None
            cancelling.cancel_out(job, chunk, number, mask)
    store_errors(job, failures, row, out)
    moves.chunk_gone(state, row)
    for number in touched:
        out.writes.append(PutJobBlock(job, number))
    out.writes.append(DropChunk(job.id, row.id))
    advance(state, job, now, out)


def _suspect(
    job: JobRow, chunk: Chunk, number: int, place: int, failures: dict[int, list[Failure]]
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
