"""UpdateTask and UpdateTasks: a task that waits gets another spec.

Both records are written in one Txn: the spec, and the status, which says until when it is
SCHEDULED. A standby does the same with its row (`transitions.update`).

A task that goes to another queue has its records there from now on. Those in the old queue are
deleted in the same Txn, and before: whoever watches both queues is to see it go and come. Nothing
of the task changes but its place. What the other queue does not accept stays where it is:
`refuse_move`.

A task that gets other limits or keys leaves the line of its old ordering key, the lane of its old
limit key and the tenant of its old fairness key, and waits by its id among those of the new ones.
It holds no permit, since it does not run. One that waits for its next attempt gives the turn of its
old ordering key away, and has that of the new one until it is due.
"""

from __future__ import annotations

from typing import Final

from quorate.runtime.ids import TaskId
from scheduler.core.handlers import unique_windows
from scheduler.core.handlers.bulk.act import PAST_BYTES, WRITE_BYTES, Act
from scheduler.core.handlers.limits.length import make_room, refuse_longer
from scheduler.core.handlers.limits.shared import refuse_unknown_names
from scheduler.core.handlers.limits.unique import refuse_duplicate
from scheduler.core.handlers.queues.matching_pauses import refuse_matching
from scheduler.core.handlers.queues.pauses import refuse_paused
from scheduler.core.handlers.quotas.check import refuse_grown, refuse_moved
from scheduler.core.model import transitions
from scheduler.core.model.answers import Rejection, no_queue
from scheduler.core.model.effects import DropTask, Effects, PutRun, PutTask
from scheduler.core.model.events import BulkContinued, SpecUpdate, TaskRecorded
from scheduler.core.model.indexes.usage import task_units
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.values import NO_LIMITS, WAITING, TaskSpec, is_due

# Places in the counts: those of the answer.
UPDATED, NOT_WAITING, SKIPPED, NOT_FOUND, REFUSED = range(5)
# What an update may add to a spec: labels.
_GROWTH: Final = 9_000


def _weigh(state: State, task: TaskId, record: TaskRecorded | None) -> int:
    if record is None:
        return 0
    fields = len(record.spec.spec) + len(record.unknown_fields)
    return fields + _GROWTH + 2 * WRITE_BYTES + PAST_BYTES * len(record.past)


def _update(
    state: State,
    limits: Limits,
    event: BulkContinued,
    task: TaskId,
    record: TaskRecorded | None,
    counts: list[int],
    now: float,
    out: Effects,
) -> int:
    row, change = state.tasks.get(task), event.asked.update
    assert change is not None
    if row is None:
        return NOT_WAITING if task in state.finished else NOT_FOUND
    if row.state not in WAITING:
        return NOT_WAITING
    if event.asked.states and row.state not in event.asked.states:
        return SKIPPED
    if record is None:
        return NOT_FOUND
    if refuse_update(state, change) is not None:
        # Deleted between two parts.
        return REFUSED
    spec = change.make(record.spec)
    if spec is None:
        return SKIPPED
    spent = row.failures >= spec.retry.max_attempts or row.crashes >= spec.retry.crash_limit
    if spent or row.replica is not None:
        return SKIPPED
    grown = task_units(len(spec.spec)) - row.units
    if refuse_grown(state, limits, row.queue.usage, row.creator, grown) is not None:
        return REFUSED
    queue = None
    if change.queue and change.queue != row.queue.name:
        if row.member is not None:
            return SKIPPED
        queue = state.queues.get(change.queue)
        assert queue is not None
        if refuse_move(state, limits, row, spec, queue) is not None:
            return REFUSED
    until = None
    if change.moves:
        until = 0.0 if is_due(spec.not_before, now) else spec.not_before
    expire_at = None
    if change.moves or change.expires:
        begin = now if until is None else max(now, until)
        if until is None and row.not_before > now:
            begin = row.not_before
        expire_at = begin + spec.start_deadline if spec.start_deadline else 0.0
    if queue is not None:
        out.writes.append(DropTask(row.queue.name, row.id))
        if queue.limits is not NO_LIMITS:
            make_room(state, queue, now, out)
        if row.limits is not None and row.limits.window:
            unique_windows.follow(state, row, queue, out)
    new = transitions.update(state, row, spec, until, expire_at, queue)
    creator, unknown = record.created_by, record.unknown_fields
    out.writes.append(PutTask(new, spec.spec, creator, unknown, begins=False))
    out.writes.append(PutRun(new))
    return UPDATED


def refuse_update(state: State, change: SpecUpdate) -> Rejection | None:
    """Why no task can be changed so: the queue or a shared limit that it names does not exist."""
    if change.queue and change.queue not in state.queues:
        return no_queue(change.queue)
    return refuse_unknown_names(state, change.limits, "task.spec.limits")


def refuse_move(
    state: State, limits: Limits, row: TaskRow, spec: TaskSpec, queue: QueueRow
) -> Rejection | None:
    """Why a queue does not accept a task that waits in another one: as if it were created there.

    What its caller may have is not looked at: the task is on record already. Where it grows, see
    `refuse_grown`.
    """
    if queue.name == SERVICES_QUEUE:
        return no_queue(queue.name)
    return (
        (refuse_paused(queue) if queue.pause else None)
        or (refuse_matching(state, queue.name, (spec,)) if state.pauses.admission else None)
        or refuse_duplicate(state, queue, (spec,), retried=True)
        or (None if queue.limits is NO_LIMITS else refuse_longer(queue, 1))
        or refuse_moved(
            *(state, limits, queue.usage),
            task_units(len(spec.spec)),
            state.blobs.size_of(row.id),
        )
    )


UPDATE: Final = Act(5, 1, _weigh, _update)
