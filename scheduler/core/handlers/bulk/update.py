"""UpdateTask and UpdateTasks: a task that waits gets another spec.

Both records are written in one Txn: the spec, and the status, which says until when it is
SCHEDULED. A standby does the same with its row (`transitions.update`).
"""

from __future__ import annotations

from typing import Final

from quorate.runtime.ids import TaskId
from scheduler.core.handlers.bulk.act import PAST_BYTES, WRITE_BYTES, Act
from scheduler.core.model import transitions
from scheduler.core.model.effects import Effects, PutRun, PutTask
from scheduler.core.model.events import BulkContinued, TaskRecorded
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State
from scheduler.core.values import WAITING, is_due

# Places in the counts: those of the answer.
UPDATED, NOT_WAITING, SKIPPED, NOT_FOUND = range(4)
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
    spec = change.make(record.spec)
    spent = row.failures >= spec.retry.max_attempts or row.crashes >= spec.retry.crash_limit
    if spent or row.replica is not None:
        return SKIPPED
    until = None
    if change.moves:
        until = 0.0 if is_due(spec.not_before, now) else spec.not_before
    expire_at = None
    if change.moves or change.expires:
        begin = now if until is None else max(now, until)
        if until is None and row.not_before > now:
            begin = row.not_before
        expire_at = begin + spec.start_deadline if spec.start_deadline else 0.0
    new = transitions.update(state, row, spec, until, expire_at)
    creator, unknown = record.created_by, record.unknown_fields
    out.writes.append(PutTask(new, spec.spec, creator, unknown, begins=False))
    out.writes.append(PutRun(new))
    return UPDATED


UPDATE: Final = Act(4, 1, _weigh, _update)
