"""What callers ask for beside creating tasks: cancel, retry, delete, and queues."""

from __future__ import annotations

from quorate.runtime.ids import QueueName
from scheduler.core.handlers import audit, requests
from scheduler.core.handlers.attempts import cancel_live
from scheduler.core.handlers.quota_check import refuse_created
from scheduler.core.handlers.requests import TASKS_SCOPE
from scheduler.core.model import transitions
from scheduler.core.model.answers import (
    Done,
    ErrorKind,
    Rejection,
    TaskKnown,
    no_queue,
    no_task,
    see_queue,
)
from scheduler.core.model.effects import (
    DropQueue,
    DropTask,
    Effects,
    PutQueue,
    PutRun,
    PutTask,
    Reply,
)
from scheduler.core.model.events import (
    QueueDeleteAsked,
    QueuePauseAsked,
    QueueSubmitted,
    TaskCancelAsked,
    TaskDeleteAsked,
    TaskRetryAsked,
)
from scheduler.core.model.limits import Limits
from scheduler.core.model.rows import FinishedRow, QueueRow
from scheduler.core.model.state import DEFAULT_QUEUE, SERVICES_QUEUE, State
from scheduler.core.values import Change, TaskState

# The scope of request ids for calls about queues.
QUEUES_SCOPE = "_queues"

_RETRIABLE = (TaskState.FAILED, TaskState.CANCELLED)
_BOOL = ("false", "true")


def on_task_cancel_asked(
    state: State, limits: Limits, event: TaskCancelAsked, now: float, out: Effects
) -> None:
    known = requests.recall(state, TASKS_SCOPE, event.request)
    if isinstance(known, Rejection):
        out.after.append(Reply(event.token, known))
        return
    if known is not None:
        out.after.append(Reply(event.token, TaskKnown(event.task, known.queue)))
        return
    row = state.tasks.get(event.task)
    full = requests.refuse_beyond(state, limits, TASKS_SCOPE, event.request)
    if row is None:
        answer = _cancel_finished(state, event)
        if isinstance(answer, TaskKnown) and full is not None:
            answer = full
        if isinstance(answer, TaskKnown):
            # Remembered all the same: repeated after a retry by hand, it must not cancel that.
            requests.remember(
                state,
                out,
                TASKS_SCOPE,
                event.request,
                now,
                queue=answer.queue,
                first=event.task,
                progress=1,
            )
        out.after.append(Reply(event.token, answer))
        return
    if full is not None:
        out.after.append(Reply(event.token, full))
        return
    queue = row.queue.name
    change = cancel_live(state, row, now, out)
    if change is not None:
        audit.note(state, limits, out, event.request, now, "task", row.id, change, queue=queue)
    requests.remember(
        state, out, TASKS_SCOPE, event.request, now, queue=queue, first=event.task, progress=1
    )
    out.after.append(Reply(event.token, TaskKnown(event.task, queue)))


def _cancel_finished(state: State, event: TaskCancelAsked) -> TaskKnown | Rejection:
    done = state.finished.get(event.task)
    if done is None:
        return no_task(event.task)
    if done.state is TaskState.CANCELLED:
        return TaskKnown(done.id, done.queue.name)
    return Rejection(
        ErrorKind.PRECONDITION,
        "TASK_FINISHED",
        f"task {event.task!r} is {done.state.name} already",
        "task",
        event.task,
    )


def on_task_retry_asked(
    state: State, limits: Limits, event: TaskRetryAsked, now: float, out: Effects
) -> None:
    known = requests.recall(state, TASKS_SCOPE, event.request)
    if isinstance(known, Rejection):
        out.after.append(Reply(event.token, known))
        return
    if known is not None:
        out.after.append(Reply(event.token, TaskKnown(event.task, known.queue)))
        return
    done = state.finished.get(event.task)
    if done is None or done.state not in _RETRIABLE or event.spec.replica is not None:
        out.after.append(Reply(event.token, _not_retriable(state, event)))
        return
    rejection = _refuse_live(state, limits, done) or requests.refuse_beyond(
        state, limits, TASKS_SCOPE, event.request
    )
    if rejection is not None:
        out.after.append(Reply(event.token, rejection))
        return
    queue, before = done.queue, done.state
    row = transitions.reopen(state, done, event.spec, event.create_time, event.created_by)
    # The spec goes first: a standby makes the row live again from it.
    out.writes.append(PutTask(row, event.spec.spec, event.created_by, event.unknown_fields))
    out.writes.append(PutRun(row))
    change = Change("state", before.name, row.state.name)
    audit.note(state, limits, out, event.request, now, "task", row.id, change, queue=queue.name)
    requests.remember(
        state,
        out,
        TASKS_SCOPE,
        event.request,
        now,
        queue=queue.name,
        first=event.task,
        count=1,
        progress=1,
    )
    out.after.append(Reply(event.token, TaskKnown(event.task, queue.name)))


def _refuse_live(state: State, limits: Limits, done: FinishedRow) -> Rejection | None:
    if len(state.tasks) < limits.live_tasks:
        return refuse_created(state, limits, done.queue.usage, done.creator.name, 1, 0)
    return Rejection(
        ErrorKind.EXHAUSTED,
        "TOO_MANY_LIVE_TASKS",
        f"the limit of {limits.live_tasks} tasks that are not finished is reached",
        "limit",
        str(limits.live_tasks),
    )


def _not_retriable(state: State, event: TaskRetryAsked) -> Rejection:
    if not state.on_record(event.task):
        return no_task(event.task)
    done = state.finished.get(event.task)
    if event.spec.replica is not None:
        return Rejection(
            ErrorKind.PRECONDITION,
            "TASK_IS_REPLICA",
            f"task {event.task!r} is a replica of service {event.spec.replica.service!r}, "
            "which replaces it by itself",
            "task",
            event.task,
        )
    found = done.state.name if done else state.tasks[event.task].state.name
    return Rejection(
        ErrorKind.PRECONDITION,
        "TASK_NOT_RETRIABLE",
        f"task {event.task!r} is {found}; only FAILED and CANCELLED tasks can be retried",
        "task",
        event.task,
    )


def on_task_delete_asked(
    state: State, limits: Limits, event: TaskDeleteAsked, now: float, out: Effects
) -> None:
    known = requests.recall(state, TASKS_SCOPE, event.request)
    if known is not None:
        answer = known if isinstance(known, Rejection) else Done()
        out.after.append(Reply(event.token, answer))
        return
    done = state.finished.get(event.task)
    if done is None:
        live = state.tasks.get(event.task)
        rejection = (
            no_task(event.task)
            if live is None
            else Rejection(
                ErrorKind.PRECONDITION,
                "TASK_NOT_FINISHED",
                f"task {event.task!r} is {live.state.name}; cancel it first",
                "task",
                event.task,
            )
        )
        out.after.append(Reply(event.token, rejection))
        return
    full = requests.refuse_beyond(state, limits, TASKS_SCOPE, event.request)
    if full is not None:
        out.after.append(Reply(event.token, full))
        return
    state.forget(done)
    done.queue.index.removed(1, state.on_record)
    out.writes.append(DropTask(done.queue.name, done.id))
    change = Change("state", done.state.name)
    audit.note(
        state, limits, out, event.request, now, "task", done.id, change, queue=done.queue.name
    )
    requests.remember(state, out, TASKS_SCOPE, event.request, now, queue=done.queue.name)
    out.after.append(Reply(event.token, Done()))


def on_queue_submitted(
    state: State, limits: Limits, event: QueueSubmitted, now: float, out: Effects
) -> None:
    known = requests.recall(state, QUEUES_SCOPE, event.request)
    if isinstance(known, Rejection):
        out.after.append(Reply(event.token, known))
        return
    existing = state.queues.get(event.queue)
    if known is not None:
        answer = see_queue(existing) if existing else no_queue(event.queue)
        out.after.append(Reply(event.token, answer))
        return
    rejection = _refuse_queue(state, limits, event.queue) or requests.refuse_beyond(
        state, limits, QUEUES_SCOPE, event.request
    )
    if rejection is not None:
        out.after.append(Reply(event.token, rejection))
        return
    row = QueueRow(
        event.queue,
        now,
        event.placement,
        event.disconnect,
        event.retention_age,
        event.retention_count,
    )
    state.queues[row.name] = row
    out.writes.append(PutQueue(row))
    audit.note(
        state,
        limits,
        out,
        event.request,
        now,
        "queue",
        row.name,
        Change("placement", "", row.placement.name),
        Change("disconnect", "", row.disconnect.name),
        Change("retention.age", "", f"{row.retention_age:g}s"),
        Change("retention.count", "", str(row.retention_count)),
    )
    requests.remember(state, out, QUEUES_SCOPE, event.request, now, queue=row.name)
    out.after.append(Reply(event.token, see_queue(row)))


def _refuse_queue(state: State, limits: Limits, queue: QueueName) -> Rejection | None:
    if queue in state.queues:
        return Rejection(
            ErrorKind.EXISTS,
            "QUEUE_ALREADY_EXISTS",
            f"queue {queue!r} already exists",
            "queue",
            queue,
        )
    if len(state.queues) >= limits.queues:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_QUEUES",
            f"the limit of {limits.queues} queues is reached",
            "limit",
            str(limits.queues),
        )
    return None


def on_queue_delete_asked(
    state: State, limits: Limits, event: QueueDeleteAsked, now: float, out: Effects
) -> None:
    known = requests.recall(state, QUEUES_SCOPE, event.request)
    if known is not None:
        answer = known if isinstance(known, Rejection) else Done()
        out.after.append(Reply(event.token, answer))
        return
    row = state.queues.get(event.queue)
    if row is None:
        out.after.append(Reply(event.token, no_queue(event.queue)))
        return
    reason, why = _queue_stays(state, row)
    if reason:
        rejection = Rejection(
            ErrorKind.PRECONDITION,
            reason,
            f"queue {event.queue!r} {why}",
            "queue",
            event.queue,
        )
        out.after.append(Reply(event.token, rejection))
        return
    full = requests.refuse_beyond(state, limits, QUEUES_SCOPE, event.request)
    if full is not None:
        out.after.append(Reply(event.token, full))
        return
    del state.queues[event.queue]
    out.writes.append(DropQueue(event.queue))
    audit.note(state, limits, out, event.request, now, "queue", event.queue)
    requests.remember(state, out, QUEUES_SCOPE, event.request, now, queue=event.queue)
    out.after.append(Reply(event.token, Done()))


def _queue_stays(state: State, row: QueueRow) -> tuple[str, str]:
    """The reason why a queue cannot be deleted, and its words; both "" when it can."""
    left = sum(row.counts)
    if left:
        return "QUEUE_NOT_EMPTY", f"has {left} tasks (finished ones count)"
    if row.name == DEFAULT_QUEUE:
        return "QUEUE_IS_DEFAULT", "is the default queue"
    if row.name == SERVICES_QUEUE and state.services:
        return "QUEUE_IN_USE", f"is where the replicas of {len(state.services)} services go"
    return "", ""


def on_queue_pause_asked(
    state: State, limits: Limits, event: QueuePauseAsked, now: float, out: Effects
) -> None:
    known = requests.recall(state, QUEUES_SCOPE, event.request)
    row = state.queues.get(event.queue)
    if isinstance(known, Rejection):
        out.after.append(Reply(event.token, known))
        return
    if row is None:
        out.after.append(Reply(event.token, no_queue(event.queue)))
        return
    if known is None:
        full = requests.refuse_beyond(state, limits, QUEUES_SCOPE, event.request)
        if full is not None:
            out.after.append(Reply(event.token, full))
            return
        if row.paused != event.paused:
            change = Change("paused", _BOOL[row.paused], _BOOL[event.paused])
            row.paused = event.paused
            out.writes.append(PutQueue(row))
            audit.note(state, limits, out, event.request, now, "queue", row.name, change)
        requests.remember(state, out, QUEUES_SCOPE, event.request, now, queue=row.name)
    out.after.append(Reply(event.token, see_queue(row)))
