"""Creating tasks, one or many.

A batch is validated as a whole by the service before its event; here it is written in parts, each
a Txn, with its progress in its dedup record. Repeated after any failure it goes on from there,
under the ids of the first try, whatever became of the tasks that were made before.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.runtime.ids import QueueName, TaskId, offset_id, offset_ids
from scheduler.core.handlers import requests, unique_windows
from scheduler.core.handlers.limits.length import DROPPED_AT_ONCE, make_room, refuse_longer
from scheduler.core.handlers.limits.shared import refuse_unknown_of
from scheduler.core.handlers.limits.unique import holder, refuse_duplicate, replace
from scheduler.core.handlers.queues.matching_pauses import refuse_matching
from scheduler.core.handlers.queues.pauses import refuse_paused
from scheduler.core.handlers.quotas.check import refuse_blobs, refuse_created
from scheduler.core.handlers.requests import Answer, Call, CallInParts
from scheduler.core.handlers.tasks.blob_check import refuse_old_blobs
from scheduler.core.handlers.tasks.children import refuse_child
from scheduler.core.model import transitions
from scheduler.core.model.answers import (
    BatchCreated,
    ErrorKind,
    Rejection,
    TaskCreated,
    TaskKnown,
    no_job,
    no_queue,
)
from scheduler.core.model.effects import Effects, PutRun, PutTask
from scheduler.core.model.events import BatchContinued, BatchSubmitted, TaskSubmitted
from scheduler.core.model.indexes.usage import task_units, tasks_blobs, tasks_units
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, QueueRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import NO_LIMITS, TaskSpec

# Writes of a task with a unique key: its own, its window's, and the ends of those it replaces.
_UNIQUE_WRITES = 4
# Bytes of a task's write beside its spec, its creator and its queue's name: key, times, framing.
WRITE_BYTES = 200


def _refuse_task(state: State, limits: Limits, event: TaskSubmitted) -> Rejection | None:
    if event.parent is not None and (gone := refuse_child(state, event.parent)) is not None:
        return gone
    units = task_units(len(event.spec.spec))
    if existing(state, event.queue, event.spec) is not None:
        return None
    return refuse_tasks(state, limits, event.queue, (event.spec,), units, event.created_by)


def _create_task(
    state: State, limits: Limits, event: TaskSubmitted, now: float, out: Effects
) -> Answer:
    queue = state.queues[event.queue]
    there = existing(state, queue.name, event.spec)
    if there is not None:
        return Answer(TaskKnown(there, queue.name), queue.name, there, 1, 1)
    row = create(state, queue, event.task, event.spec, now, out, event.created_by)
    made = TaskCreated(row.id, queue.name, row.state, row.create_time, row.not_before)
    return Answer(made, event.queue, event.task, 1, 1)


def existing(state: State, queue: QueueName, spec: TaskSpec) -> TaskId | None:
    """The task that is there, where that is the answer to a second one with its unique key."""
    limits = spec.limits
    if limits is None or not limits.unique or limits.rejects or limits.replaces:
        return None
    row = state.queues.get(queue)
    return holder(state, row, limits.unique) if row is not None else None


def _known_task(state: State, event: TaskSubmitted, known: DedupRow) -> TaskKnown:
    return TaskKnown(known.first_id, known.queue)


on_task_submitted = Call(None, _refuse_task, _create_task, _known_task)


def _refuse_batch(
    state: State, limits: Limits, event: BatchSubmitted, known: DedupRow | None
) -> Rejection | None:
    missing = event.specs[known.progress :] if known else event.specs
    units = tasks_units(missing)
    return refuse_tasks(
        state, limits, event.queue, missing, units, event.created_by, goes_on=known is not None
    )


def _begin_batch(
    state: State,
    limits: Limits,
    event: BatchSubmitted,
    known: DedupRow | None,
    now: float,
    out: Effects,
) -> None:
    queue, request = event.queue, event.request
    first, progress = event.first, 0
    if known is not None:
        first, progress = known.first_id, known.progress
    else:
        count = len(event.specs)
        row = requests.remember(
            state, out, queue, request, now, queue=queue, first=first, count=count
        )
        if row is not None:
            row.waiters = []
    missing = event.specs[progress:]
    for place, spec in enumerate(missing, progress):
        if spec.limits is not None and spec.limits.unique:
            state.queues[queue].coming_unique[spec.limits.unique] = offset_id(first, place)
    coming = len(missing), tasks_units(missing), tasks_blobs(missing)
    _expect(state, state.queues[queue], event.created_by, *coming)
    part = BatchContinued(
        queue, first, event.specs, request, event.token, progress, event.created_by, event.small
    )
    on_batch_continued(state, limits, part, now, out)


def _known_batch(state: State, event: BatchSubmitted, known: DedupRow) -> BatchCreated:
    return BatchCreated(known.first_id, known.count)


on_batch_submitted = CallInParts(None, _refuse_batch, _begin_batch, _known_batch)


def on_batch_continued(
    state: State, limits: Limits, event: BatchContinued, now: float, out: Effects
) -> None:
    queue = state.queues.get(event.queue)
    known = requests.under_way(state, event.queue, event.request)
    if queue is None:
        # Deleted between two parts: only possible while all tasks made so far are gone.
        missing = event.specs[event.progress :]
        coming = -len(missing), -tasks_units(missing), -tasks_blobs(missing)
        _expect(state, None, event.created_by, *coming)
        requests.answer_all(out, event.token, known, no_queue(event.queue))
        return
    end = _part_end(event, limits, drops=queue.limits.max_length > 0)
    units, creator = 0, event.created_by
    tasks, specs = offset_ids(event.first, event.progress, end), event.specs[event.progress : end]
    for task, spec in zip(tasks, specs, strict=True):
        units += create(state, queue, task, spec, now, out, creator).units
        if spec.limits is not None and queue.coming_unique:
            queue.coming_unique.pop(spec.limits.unique, None)
    blobs = tasks_blobs(specs) if queue.usage.coming_blobs else 0
    _expect(state, queue, creator, -len(tasks), -units, -blobs)
    if known is not None:
        known.progress = end
        requests.came_further(state, out, event.queue, event.request, known)
    if end < len(event.specs):
        out.then.append(event._replace(progress=end))
        return
    requests.answer_all(out, event.token, known, BatchCreated(event.first, len(event.specs)))


def create(
    state: State,
    queue: QueueRow,
    task: TaskId,
    spec: TaskSpec,
    now: float,
    out: Effects,
    created_by: str = "",
) -> TaskRow:
    """Put a task on record, which nothing forbids."""
    if queue.limits is not NO_LIMITS:
        make_room(state, queue, now, out)
    keys = spec.limits
    if keys is not None and keys.replaces:
        replace(state, queue, spec, task, now, out)
    blocked = False
    if spec.member is not None:
        job = state.jobs.get(spec.member.job)
        blocked = job is not None and job.held
    row = transitions.begin(state, task, queue, spec, now, created_by, blocked=blocked)
    out.writes.append(PutTask(row, spec.spec, created_by))
    if blocked:
        out.writes.append(PutRun(row))
    if keys is not None and keys.window:
        unique_windows.take(state, row, now, out)
    return row


def _refuse_members(state: State, queue: QueueRow, specs: Sequence[TaskSpec]) -> Rejection | None:
    """Whether tasks that are to belong to a job cannot: it is gone or over, or in another queue."""
    for spec in specs:
        if spec.member is None or spec.member.in_graph:
            continue
        job = state.jobs.get(spec.member.job)
        if job is None:
            return no_job(spec.member.job)
        if job.over:
            return Rejection(
                ErrorKind.PRECONDITION,
                "JOB_FINISHED",
                f"job {job.id!r} is over; no task can be added to it",
                "job",
                job.id,
            )
        if job.queue is not queue:
            return Rejection(
                ErrorKind.INVALID,
                "INVALID_FIELD",
                f"queue: job {job.id!r} is in queue {job.queue.name!r}; its tasks are in the same",
                "job",
                job.id,
                "queue",
            )
    return None


def _part_end(event: BatchContinued, limits: Limits, *, drops: bool) -> int:
    """Where the part that begins at `event.progress` ends: at least one task.

    Args:
        drops: each task may push others out of the queue: writes of the same Txn.
    """
    size, place = 0, event.progress
    most_tasks, most_bytes = limits.part(small=event.small)
    if drops:
        most_tasks = max(1, most_tasks // (1 + DROPPED_AT_ONCE))
    last = min(len(event.specs), place + most_tasks)
    part = event.specs[place:last]
    if any(spec.limits is not None and spec.limits.unique for spec in part):
        last = min(last, place + max(1, most_tasks // _UNIQUE_WRITES))
    beside = WRITE_BYTES + len(event.created_by) + len(event.queue)
    while place < last:
        size += len(event.specs[place].spec) + beside
        if size > most_bytes and place > event.progress:
            break
        place += 1
    return place


def _expect(
    state: State, queue: QueueRow | None, creator: str, tasks: int, units: int, blobs: int
) -> None:
    """Count what an accepted batch still brings (below 0: no longer brings): another batch must not
    take the same room."""
    caller = state.usage_of(creator)
    for usage in (caller, queue.usage) if queue is not None else (caller,):
        usage.coming_tasks += tasks
        usage.coming_units += units
        usage.coming_blobs += blobs
    if queue is None:
        state.drop_unused(caller)


def refuse_tasks(
    state: State,
    limits: Limits,
    queue: QueueName,
    specs: Sequence[TaskSpec],
    units: int,
    creator: str,
    *,
    goes_on: bool = False,
    graph: Sequence[int] = (),
) -> Rejection | None:
    """Why these tasks cannot be created; they weigh `units` together (`usage.tasks_units`).

    Args:
        goes_on: others of the same call are on record: a pause that came since lets it end.
        graph: see `refuse_duplicate`.
    """
    row = state.queues.get(queue)
    if row is None:
        return no_queue(queue)
    count = len(specs)
    return (
        (not goes_on and row.pause and refuse_paused(row))
        or (not goes_on and state.pauses.admission and refuse_matching(state, queue, specs))
        or _refuse_members(state, row, specs)
        or refuse_unknown_of(state, specs)
        or refuse_duplicate(state, row, specs, graph=graph)
        or refuse_old_blobs(state, specs)
        or (None if row.limits is NO_LIMITS else refuse_longer(row, count))
        or refuse_created(state, limits, row.usage, creator, count, units)
        or refuse_blobs(state, limits, row.usage, creator, tasks_blobs(specs))
    )
