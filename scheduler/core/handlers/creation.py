"""Creating tasks, one or many.

A batch is validated as a whole by the service before its event; here it is written in parts, each
a Txn, with its progress in its dedup record. Repeated after any failure it goes on from there,
under the ids of the first try, whatever became of the tasks that were made before.
"""

from __future__ import annotations

from quorate.runtime.ids import QueueName, TaskId, offset_ids
from scheduler.core.handlers import requests
from scheduler.core.handlers.quota_check import refuse_created
from scheduler.core.model import transitions
from scheduler.core.model.answers import (
    BatchCreated,
    ErrorKind,
    Rejection,
    TaskCreated,
    TaskKnown,
    no_queue,
)
from scheduler.core.model.effects import Effects, PutDedup, PutTask, Reply
from scheduler.core.model.events import BatchContinued, BatchSubmitted, TaskSubmitted
from scheduler.core.model.limits import Limits
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.model.usage import task_units, tasks_units
from scheduler.core.values import TaskSpec

# Bytes of a task's write beside its spec, its creator and its queue's name: key, times, framing.
_WRITE_BYTES = 200


def on_task_submitted(
    state: State, limits: Limits, event: TaskSubmitted, now: float, out: Effects
) -> None:
    known = requests.recall(state, event.queue, event.request)
    if known is not None:
        answer = known if isinstance(known, Rejection) else TaskKnown(known.first_id, known.queue)
        out.after.append(Reply(event.token, answer))
        return
    rejection = _refuse(
        state, limits, event.queue, 1, task_units(len(event.spec.spec)), event.created_by
    ) or requests.refuse_beyond(state, limits, event.queue, event.request)
    if rejection is not None:
        out.after.append(Reply(event.token, rejection))
        return
    queue = state.queues[event.queue]
    row = create(state, queue, event.task, event.spec, now, out, event.created_by)
    requests.remember(
        state,
        out,
        event.queue,
        event.request,
        now,
        queue=event.queue,
        first=event.task,
        count=1,
        progress=1,
    )
    out.after.append(
        Reply(
            event.token,
            TaskCreated(row.id, queue.name, row.state, row.create_time, row.not_before),
        )
    )


def on_batch_submitted(
    state: State, limits: Limits, event: BatchSubmitted, now: float, out: Effects
) -> None:
    known = requests.recall(state, event.queue, event.request)
    if isinstance(known, Rejection):
        out.after.append(Reply(event.token, known))
        return
    if known is not None and known.progress >= known.count and known.waiters is None:
        out.after.append(Reply(event.token, BatchCreated(known.first_id, known.count)))
        return
    if known is not None and known.waiters is not None:
        # The same batch is being created for an earlier caller: they are answered together.
        if len(known.waiters) < limits.batch_waiters:
            known.waiters.append(event.token)
        else:
            out.after.append(Reply(event.token, _too_many_waiters(limits)))
        return
    missing = event.specs[known.progress :] if known else event.specs
    units = tasks_units(missing)
    rejection = _refuse(state, limits, event.queue, len(missing), units, event.created_by)
    if rejection is None and known is None:
        rejection = requests.refuse_beyond(state, limits, event.queue, event.request)
    if rejection is not None:
        out.after.append(Reply(event.token, rejection))
        return
    first, progress = event.first, 0
    if known is not None:
        first, progress = known.first_id, known.progress
        known.waiters = []
    else:
        row = requests.remember(
            state,
            out,
            event.queue,
            event.request,
            now,
            queue=event.queue,
            first=first,
            count=len(event.specs),
        )
        if row is not None:
            row.waiters = []
    _expect(state, state.queues[event.queue], event.created_by, len(missing), units)
    on_batch_continued(
        state,
        limits,
        BatchContinued(
            event.queue,
            first,
            event.specs,
            event.request,
            event.token,
            progress,
            event.created_by,
            event.small,
        ),
        now,
        out,
    )


def on_batch_continued(
    state: State, limits: Limits, event: BatchContinued, now: float, out: Effects
) -> None:
    queue = state.queues.get(event.queue)
    key = requests.key_of(state, event.queue, event.request)
    known = state.dedup.get(key) if event.request.id else None
    if queue is None:
        # Deleted between two parts: only possible while all tasks made so far are gone.
        waiters = [event.token, *((known.waiters if known else None) or ())]
        missing = event.specs[event.progress :]
        _expect(state, None, event.created_by, -len(missing), -tasks_units(missing))
        if known is not None:
            known.waiters = None
        out.after.extend(Reply(token, no_queue(event.queue)) for token in waiters)
        return
    end = _part_end(event, limits)
    units, creator = 0, event.created_by
    tasks = offset_ids(event.first, event.progress, end)
    for task, spec in zip(tasks, event.specs[event.progress : end], strict=True):
        units += create(state, queue, task, spec, now, out, creator).units
    _expect(state, queue, creator, -len(tasks), -units)
    if known is not None:
        known.progress = end
        out.writes.append(PutDedup(key, known))
    if end < len(event.specs):
        out.then.append(event._replace(progress=end))
        return
    waiters = [event.token]
    if known is not None:
        waiters += known.waiters or ()
        known.waiters = None
    answer = BatchCreated(event.first, len(event.specs))
    out.after.extend(Reply(token, answer) for token in waiters)


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
    row = transitions.begin(state, task, queue, spec, now, created_by)
    out.writes.append(PutTask(row, spec.spec, created_by))
    return row


def _part_end(event: BatchContinued, limits: Limits) -> int:
    """Where the part that begins at `event.progress` ends: at least one task."""
    size, place = 0, event.progress
    most_tasks, most_bytes = limits.part(small=event.small)
    last = min(len(event.specs), place + most_tasks)
    beside = _WRITE_BYTES + len(event.created_by) + len(event.queue)
    while place < last:
        size += len(event.specs[place].spec) + beside
        if size > most_bytes and place > event.progress:
            break
        place += 1
    return place


def _expect(state: State, queue: QueueRow | None, creator: str, tasks: int, units: int) -> None:
    """Count what an accepted batch still brings (below 0: no longer brings): another batch must not
    take the same room."""
    caller = state.usage_of(creator)
    for usage in (caller, queue.usage) if queue is not None else (caller,):
        usage.coming_tasks += tasks
        usage.coming_units += units
    if queue is None:
        state.drop_unused(caller)


def _refuse(
    state: State, limits: Limits, queue: QueueName, count: int, units: int, creator: str
) -> Rejection | None:
    row = state.queues.get(queue)
    if row is None:
        return no_queue(queue)
    if len(state.tasks) + count > limits.live_tasks:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_LIVE_TASKS",
            f"{len(state.tasks)} tasks are not finished; the limit is {limits.live_tasks}",
            "limit",
            str(limits.live_tasks),
        )
    return refuse_created(state, limits, row.usage, creator, count, units)


def _too_many_waiters(limits: Limits) -> Rejection:
    return Rejection(
        ErrorKind.EXHAUSTED,
        "TOO_MANY_BATCH_WAITERS",
        f"{limits.batch_waiters} callers wait for this batch already",
        "limit",
        str(limits.batch_waiters),
    )
