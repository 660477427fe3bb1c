"""Thousands of tasks in one call, a few hundred in each Txn.

Each part does to its tasks what the call for one task does and writes, in the same Txn, how far the
call has come and what it came to (`DedupRow.progress`, `counts`, `last_id`). A repeat after a
failover goes on behind that: a task that was dealt with and then changed by hand is left alone. A
repeat of a completed call gets the first answer; one that arrives while it is under way is answered
together with it.

    asked --part--> Txn: 384 PutRun, PutDedup --continued--> ... --last part--> Reply

An act that needs what is on record of its tasks (`BulkAct.reads`) gets it with each part: the
driver reads it back before it steps the part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scheduler.core.handlers import audit, requests
from scheduler.core.handlers.bulk import acts, retry, subtasks, update
from scheduler.core.handlers.bulk.act import Act
from scheduler.core.handlers.bulk.subtasks import Touched
from scheduler.core.handlers.requests import TASKS_SCOPE, CallInParts
from scheduler.core.model.answers import BulkDone, Rejection
from scheduler.core.model.effects import Effects
from scheduler.core.model.events import BulkAsked, BulkContinued
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State
from scheduler.core.values import BulkAct, Change

# Writes of a task that goes to another queue: of both queues, its window's, what it pushes out.
_MOVE_WRITES: Final = 5
# Writes of a task, and of a subtask with which its job and the graph of that end.
_WRITES_A_TASK: Final = 2
_SUBTASK_WRITES: Final = 6
_ACTS: Final[Mapping[BulkAct, Act]] = {
    BulkAct.CANCEL: acts.CANCEL,
    BulkAct.DELETE: acts.DELETE,
    BulkAct.RETRY: retry.RETRY,
    BulkAct.UPDATE: update.UPDATE,
}


def nothing(act: BulkAct) -> tuple[int, ...]:
    """The counts of a call that found no task."""
    return (0,) * _ACTS[act].counts


def _counted(known: DedupRow, act: BulkAct) -> tuple[int, ...]:
    """What is on record of a call; a leader of an earlier version counted less."""
    counts = nothing(act)
    return (*known.counts, *counts[len(known.counts) :])


def _refuse(
    state: State, limits: Limits, event: BulkAsked, known: DedupRow | None
) -> Rejection | None:
    return None if event.update is None else update.refuse_update(state, event.update)


def _begin(
    state: State,
    limits: Limits,
    event: BulkAsked,
    known: DedupRow | None,
    now: float,
    out: Effects,
) -> None:
    place, counts, began = 0, nothing(event.act), now
    if known is not None:
        # An earlier leader began it. Of a filter the tasks that it dealt with are not found again.
        place = max(0, known.progress - event.offset)
        counts = _counted(known, event.act)
        known.count = event.offset + len(event.tasks)
        began = known.create_time
    part = BulkContinued(event, place, counts, event.small, began)
    if event.act.reads and place < len(event.tasks):
        if known is None:
            # Whoever repeats it meanwhile is to wait for the same answer.
            _came_to(state, part, counts, 0, now, out)
        out.then.append(part)
    else:
        on_bulk_continued(state, limits, part, now, out)


def _known(state: State, event: BulkAsked, known: DedupRow) -> BulkDone:
    counts = _counted(known, event.act)
    last = retry.last_start(event, known.create_time, counts)
    return BulkDone(counts, known.first_id, last)


on_bulk_asked = CallInParts(TASKS_SCOPE, _refuse, _begin, _known)


def on_bulk_continued(
    state: State, limits: Limits, event: BulkContinued, now: float, out: Effects
) -> None:
    asked, place = event.asked, event.place
    act, found = _ACTS[asked.act], event.found or {}
    size, sums, touched = 0, list(event.counts), Touched()
    most_tasks, most_bytes = limits.part(small=event.small)
    if asked.update is not None and asked.update.queue:
        most_tasks = max(1, most_tasks // _MOVE_WRITES)
    # Subtasks of the same block or chunk write it once; each of another one writes more.
    most_writes = _WRITES_A_TASK * most_tasks - _SUBTASK_WRITES
    last = min(event.until if asked.act.reads else len(asked.tasks), place + most_tasks)
    while place < last:
        task = asked.tasks[place]
        record = found.get(task)
        is_subtask = asked.act in subtasks.ACTS and subtasks.is_subtask(task)
        size += subtasks.BYTES if is_subtask else act.weigh(state, task, record)
        if asked.update is not None:
            size += asked.update.size
        if size > most_bytes and place > event.place:
            break
        if not is_subtask:
            outcome = act.perform(state, limits, event, task, record, sums, now, out)
        elif len(out.writes) > most_writes and place > event.place:
            break
        else:
            outcome = subtasks.perform(
                state, limits, asked.act, asked.states, task, touched, now, out
            )
        sums[outcome] += 1
        place += 1
    touched.order(state, out)
    counts = tuple(sums)
    _note(state, limits, event, counts, now, out)
    known = _came_to(state, event, counts, place, now, out)
    if place < len(asked.tasks):
        out.then.append(BulkContinued(asked, place, counts, began=event.began))
        return
    done = BulkDone(counts, asked.page_end, retry.last_start(asked, event.began, counts))
    requests.answer_all(out, asked.token, known, done)


def _note(
    state: State,
    limits: Limits,
    event: BulkContinued,
    counts: tuple[int, ...],
    now: float,
    out: Effects,
) -> None:
    """One entry for the call, with the first part that changes something: the audit log keeps a
    bounded number, of which one call must not take thousands."""
    asked = event.asked
    changes = _ACTS[asked.act].changes
    if any(event.counts[:changes]) or not any(counts[:changes]):
        return
    kind, name, queue = asked.subject
    total = Change("tasks", "", str(asked.offset + len(asked.tasks)))
    audit.note(
        state, limits, out, asked.request, now, kind, name, total, *asked.changes, queue=queue
    )


def _came_to(
    state: State,
    event: BulkContinued,
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
