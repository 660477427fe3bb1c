"""Jobs as callers see them, made from the leader's rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from google.protobuf.duration_pb2 import Duration

from quorate.v1 import job_pb2, task_pb2
from scheduler.api.views import instant
from scheduler.core.arrays.levels import levels
from scheduler.core.arrays.positions import BLOCK, ranges_of
from scheduler.core.arrays.spec import ReduceSpec
from scheduler.core.graphs.members import Member, Members
from scheduler.core.model.jobs.subtasks import began, chunk_of
from scheduler.core.model.rows import JobRow
from scheduler.core.values import JobState, TaskState

PENDING: Final = int(job_pb2.SUBTASK_STATE_PENDING)
RUNNING: Final = int(job_pb2.SUBTASK_STATE_RUNNING)
SUCCEEDED: Final = int(job_pb2.SUBTASK_STATE_SUCCEEDED)
FAILED: Final = int(job_pb2.SUBTASK_STATE_FAILED)
CANCELLED: Final = int(job_pb2.SUBTASK_STATE_CANCELLED)

# First position, last position, state.
StateRange = tuple[int, int, int]


def job(row: JobRow, templates: Sequence[bytes] = ()) -> job_pb2.Job:
    """A job as it is now.

    Args:
        templates: of subtasks and of reduces, with their payload.
    """
    view = job_pb2.Job(
        id=row.id,
        queue=row.queue.name,
        count=row.array.count,
        open=row.open,
        cancel_requested=row.ending is not None,
        reason=row.reason,
        created_by=row.creator.name,
        round=row.round,
        state=int(row.state),  # type: ignore[arg-type]
    )
    view.spec.MergeFromString(row.spec.spec)
    members = row.members
    if members is not None and members.graph:
        _graph(view, members)
        _times(view, row)
        return view
    for part, data in zip((view.spec.template, view.spec.reduce.template), templates, strict=False):
        if data:
            part.CopyFrom(task_pb2.TaskSpec.FromString(data))
    if templates:
        # It may have been changed since, which the template does not know.
        view.spec.template.priority = row.spec.priority
    if not view.spec.template.name:
        view.spec.template.name = _work_name(view.spec.template)
    if not view.spec.name:
        view.spec.name = view.spec.template.name
    if not templates:
        view.spec.template.ClearField("command")
        view.spec.template.ClearField("python")
    if row.spec.reduce is not None:
        _add_reduce(view, row, row.spec.reduce, payload=bool(templates))
    if row.parent is not None:
        view.parent = row.parent.id
    if row.member is not None:
        _add_graph_task(view, row, row.member)
    add_counts(view.counts, row)
    _times(view, row)
    if row.array.run_count:
        average = max(0.0, row.array.run_seconds) / row.array.run_count
        view.average_duration.CopyFrom(
            Duration(seconds=int(average), nanos=int(average % 1 * 1_000_000_000))
        )
    return view


def _add_graph_task(view: job_pb2.Job, row: JobRow, member: Member[JobRow]) -> None:
    """What an array is in its graph, by which it is paused."""
    view.graph_task, view.skipped = member.of.name, row.skipped
    if not row.finished and member.job.state is JobState.PAUSED:
        view.state = job_pb2.JOB_STATE_PAUSED


def _times(view: job_pb2.Job, row: JobRow) -> None:
    view.create_time.CopyFrom(instant(row.create_time))
    if row.start_time:
        view.start_time.CopyFrom(instant(row.start_time))
    if row.finish_time:
        view.finish_time.CopyFrom(instant(row.finish_time))


def _graph(view: job_pb2.Job, members: Members[JobRow]) -> None:
    """What is different of a graph: its tasks are counted."""
    view.spec.graph.SetInParent()
    # Of a schedule's run the template says whose it is.
    view.spec.ClearField("template")
    if not view.spec.name:
        view.spec.name = "graph"
    view.count = members.graph
    found, counts, skipped = members.counts, view.counts, members.skipped
    counts.blocked, counts.skipped = found[TaskState.BLOCKED], skipped
    waiting = (TaskState.PENDING, TaskState.SCHEDULED, TaskState.PAUSED)
    counts.pending = sum(found[state] for state in waiting)
    counts.running = found[TaskState.RUNNING]
    counts.succeeded = found[TaskState.SUCCEEDED]
    counts.failed = found[TaskState.FAILED] + found[TaskState.EXPIRED]
    counts.cancelled = found[TaskState.CANCELLED] - skipped


def add_counts(counts: job_pb2.JobCounts, row: JobRow) -> None:
    """Add the subtasks of an array by state."""
    tally = row.count_up()
    counts.pending = tally.pending + tally.scheduled
    counts.running, counts.succeeded = tally.running, tally.succeeded
    counts.failed, counts.cancelled = tally.failed, tally.cancelled
    counts.blocked = tally.blocked


def _add_reduce(view: job_pb2.Job, row: JobRow, reduce: ReduceSpec, *, payload: bool) -> None:
    """Add where the reduces of a job are."""
    template = view.spec.reduce.template
    if not template.name:
        template.name = _work_name(template)
    if not payload:
        template.ClearField("python")
    phase = view.reduce
    phase.level = len(row.children)
    phase.levels = levels(row.array.count, reduce.fan_in)
    for level in row.children.values():
        one = phase.started.add(id=level.id, count=level.array.count, state=int(level.state))
        add_counts(one.counts, level)


def _work_name(template: task_pb2.TaskSpec) -> str:
    if template.HasField("command") and template.command.argv:
        return template.command.argv[0].rpartition("/")[2][:128]
    return template.python.entrypoint[:128] or "python"


def states(row: JobRow, number: int) -> list[StateRange]:
    """The subtasks of a block as ranges of the same state, ascending."""
    array = row.array
    whole = array.whole(number)
    block = array.blocks.get(number)
    rest = CANCELLED if row.over else PENDING
    if block is None:
        masks = [(whole, rest)]
    else:
        left = whole & ~(block.finished | block.out)
        masks = [
            (block.succeeded, SUCCEEDED),
            (block.failed, FAILED),
            (block.cancelled, CANCELLED),
            (block.out, RUNNING),
            (left, rest),
        ]
    found = [
        (first, last, state) for mask, state in masks for first, last in ranges_of(number, mask)
    ]
    found.sort()
    return found


def state_at(row: JobRow, position: int) -> int:
    """The state of one subtask."""
    number, place = divmod(position, BLOCK)
    block = row.array.blocks.get(number)
    if block is not None:
        for mask, state in (
            (block.succeeded, SUCCEEDED),
            (block.failed, FAILED),
            (block.cancelled, CANCELLED),
            (block.out, RUNNING),
        ):
            if mask >> place & 1:
                return state
    return CANCELLED if row.over else PENDING


# States of subtasks as states of tasks.
_TASK_STATES: Final = {
    PENDING: task_pb2.TASK_STATE_PENDING,
    RUNNING: task_pb2.TASK_STATE_RUNNING,
    SUCCEEDED: task_pb2.TASK_STATE_SUCCEEDED,
    FAILED: task_pb2.TASK_STATE_FAILED,
    CANCELLED: task_pb2.TASK_STATE_CANCELLED,
}


def task(row: JobRow, position: int, one: job_pb2.Subtask) -> task_pb2.Task:
    """A subtask as a task: without its result or error, and without the work's payload."""
    number, place = divmod(position, BLOCK)
    block = row.array.blocks.get(number)
    view = task_pb2.Task(
        id=one.id,
        queue=row.queue.name,
        state=_TASK_STATES[int(one.state)],
        attempt=one.attempt,
        created_by=row.creator.name,
        cancel_requested=row.ending is not None or _is_cancelled(row, position),
    )
    chunk = chunk_of(row, position)
    if chunk is not None:
        attempt = view.attempts.add(number=one.attempt, node=chunk.node)
        attempt.assign_time.CopyFrom(instant(chunk.assign_time))
        if start := began(chunk, position):
            attempt.start_time.CopyFrom(instant(start))
    if block is not None:
        view.failures = block.failures_of(place)
        view.crashes = block.crashes.get(place, 0)
    view.create_time.CopyFrom(instant(row.create_time))
    view.spec.CopyFrom(job(row).spec.template)
    return view


def _is_cancelled(row: JobRow, position: int) -> bool:
    """Whether a caller has cancelled a subtask that is out on a node."""
    chunk = chunk_of(row, position)
    return (
        chunk is not None
        and chunk.chunk is not None
        and chunk.chunk.is_cancelled(*divmod(position, BLOCK))
    )


def joined(ranges: Iterator[StateRange]) -> Iterator[StateRange]:
    """Ranges of neighbours in the same state joined, over the ends of blocks."""
    held: StateRange | None = None
    for one in ranges:
        if held is not None and held[2] == one[2] and held[1] + 1 == one[0]:
            held = (held[0], one[1], one[2])
            continue
        if held is not None:
            yield held
        held = one
    if held is not None:
        yield held


def subtask_range(row: JobRow, one: StateRange) -> job_pb2.SubtaskRange:
    """A range as callers see it: by index."""
    first, last, state = one
    return job_pb2.SubtaskRange(
        state=state,  # type: ignore[arg-type]
        first_index=row.index(first),
        last_index=row.index(last),
        count=last - first + 1,
    )
