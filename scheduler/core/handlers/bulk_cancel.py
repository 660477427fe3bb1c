"""CancelTasks: thousands of tasks in one call, a few hundred in each Txn.

Each part cancels as CancelTask does and writes, in the same Txn, how far the call has come and
what it came to (`DedupRow.progress`, `counts`, `last_id`). A repeat after a failover goes on behind
that: a task that was dealt with and then retried by hand is left alone. A repeat of a completed
call gets the first answer; one that arrives while it is under way is answered together with it.

    asked --part--> Txn: 384 PutRun, PutDedup --continued--> ... --last part--> Reply
"""

from __future__ import annotations

from scheduler.core.handlers import audit, requests
from scheduler.core.handlers.attempts import cancel_live
from scheduler.core.handlers.requests import TASKS_SCOPE, CallInParts
from scheduler.core.model.answers import Rejection, TasksCancelled
from scheduler.core.model.effects import Effects
from scheduler.core.model.events import TasksCancelAsked, TasksCancelContinued
from scheduler.core.model.limits import Limits
from scheduler.core.model.rows import DedupRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import Change

# Places in the counts: those of the answer.
_CANCELLED, _STOPPING, _FINISHED, _NOT_FOUND, _SKIPPED = range(5)
NOTHING: tuple[int, ...] = (0,) * 5
# Bytes of a task's new status beside its past attempts, and of one of those.
_WRITE_BYTES = 500
_PAST_BYTES = 700


def _refuse(
    state: State, limits: Limits, event: TasksCancelAsked, known: DedupRow | None
) -> Rejection | None:
    return None


def _begin(
    state: State,
    limits: Limits,
    event: TasksCancelAsked,
    known: DedupRow | None,
    now: float,
    out: Effects,
) -> None:
    place, counts = 0, NOTHING
    if known is not None:
        # An earlier leader began it. Of a filter the tasks that it dealt with are not found again.
        place = max(0, known.progress - event.offset)
        counts = known.counts or NOTHING
        known.count = event.offset + len(event.tasks)
    part = TasksCancelContinued(event, place, counts, event.small)
    on_tasks_cancel_continued(state, limits, part, now, out)


def _known(state: State, event: TasksCancelAsked, known: DedupRow) -> TasksCancelled:
    return TasksCancelled(known.counts or NOTHING, known.first_id)


on_tasks_cancel_asked = CallInParts(TASKS_SCOPE, _refuse, _begin, _known)


def on_tasks_cancel_continued(
    state: State, limits: Limits, event: TasksCancelContinued, now: float, out: Effects
) -> None:
    asked, place = event.asked, event.place
    size, sums = 0, list(event.counts)
    most_tasks, most_bytes = limits.part(small=event.small)
    last = min(len(asked.tasks), place + most_tasks)
    while place < last:
        task = asked.tasks[place]
        row = state.tasks.get(task)
        if row is None:
            sums[_FINISHED if task in state.finished else _NOT_FOUND] += 1
        elif asked.states and row.state not in asked.states:
            sums[_SKIPPED] += 1
        else:
            size += _bytes(row)
            if size > most_bytes and place > event.place:
                break
            cancel_live(state, row, now, out)
            sums[_STOPPING if task in state.tasks else _CANCELLED] += 1
        place += 1
    counts = tuple(sums)
    _note(state, limits, event, counts, now, out)
    known = _came_to(state, event, counts, place, now, out)
    if place < len(asked.tasks):
        out.then.append(TasksCancelContinued(asked, place, counts))
        return
    requests.answer_all(out, asked.token, known, TasksCancelled(counts, asked.page_end))


def _note(
    state: State,
    limits: Limits,
    event: TasksCancelContinued,
    counts: tuple[int, ...],
    now: float,
    out: Effects,
) -> None:
    """One entry for the call, with the first part that changes something: the audit log keeps a
    bounded number, of which one call must not take thousands."""
    if any(event.counts[:_FINISHED]) or not any(counts[:_FINISHED]):
        return
    asked = event.asked
    kind, name, queue = asked.subject
    total = Change("tasks", "", str(asked.offset + len(asked.tasks)))
    audit.note(
        state, limits, out, asked.request, now, kind, name, total, *asked.changes, queue=queue
    )


def _came_to(
    state: State,
    event: TasksCancelContinued,
    counts: tuple[int, ...],
    place: int,
    now: float,
    out: Effects,
) -> DedupRow | None:
    """Write down how far the call has come, in the Txn of what it did."""
    asked = event.asked
    row = requests.under_way(state, TASKS_SCOPE, asked.request)
    if row is not None:
        requests.came_further(state, out, TASKS_SCOPE, asked.request, row)
    else:
        count, end = asked.offset + len(asked.tasks), asked.page_end
        row = requests.remember(state, out, TASKS_SCOPE, asked.request, now, first=end, count=count)
        if row is None:
            return None
        row.waiters = []
    row.progress, row.counts = asked.offset + place, counts
    if place:
        row.last_id = asked.tasks[place - 1]
    return row


def _bytes(row: TaskRow) -> int:
    """About what the task's new status takes in a Txn; at most 10 past attempts are in it."""
    return _WRITE_BYTES + _PAST_BYTES * len(row.past) + len(row.unknown_fields)
