"""What callers ask of schedules: create, update, delete, pause, resume, run now, backfill.

Each is one step. What a call makes due is done by the `ScheduleDue` that follows it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from scheduler.core.handlers import audit
from scheduler.core.handlers.requests import SCHEDULES_SCOPE, Answer, Call
from scheduler.core.handlers.schedules import due, runs
from scheduler.core.jobs.schedules import rules
from scheduler.core.model.answers import Done, ErrorKind, Rejection, TaskKnown
from scheduler.core.model.effects import DropSchedule, Effects
from scheduler.core.model.events import (
    ScheduleBackfillAsked,
    ScheduleDeleteAsked,
    SchedulePauseAsked,
    ScheduleRunAsked,
    ScheduleSubmitted,
    ScheduleUpdateAsked,
)
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.schedules import (
    Cause,
    MissReason,
    ScheduleName,
    ScheduleRow,
    ScheduleSpec,
)
from scheduler.core.model.state import State
from scheduler.core.values import Change


class ScheduleSeen(NamedTuple):
    """A schedule as it was at the step, and how many of its runs are live."""

    row: ScheduleRow
    live: int


def see_schedule(state: State, row: ScheduleRow) -> ScheduleSeen:
    """A snapshot of a schedule."""
    return ScheduleSeen(replace(row), len(state.schedules.live.get(row.name, ())))


def no_schedule(name: str) -> Rejection:
    """The rejection of a name that nothing has."""
    message = f"schedule {name!r} does not exist"
    return Rejection(ErrorKind.NOT_FOUND, "SCHEDULE_NOT_FOUND", message, "schedule", name)


def _seen(state: State, name: ScheduleName) -> ScheduleSeen | Rejection:
    row = state.schedules.rows.get(name)
    return see_schedule(state, row) if row is not None else no_schedule(name)


def _refuse_create(state: State, limits: Limits, event: ScheduleSubmitted) -> Rejection | None:
    rows = state.schedules.rows
    if event.schedule in rows:
        message = f"schedule {event.schedule!r} already exists"
        return Rejection(
            ErrorKind.EXISTS, "SCHEDULE_ALREADY_EXISTS", message, "schedule", event.schedule
        )
    if len(rows) >= limits.schedules:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_SCHEDULES",
            f"the limit of {limits.schedules} schedules is reached; delete some first",
            "limit",
            str(limits.schedules),
        )
    return _refuse_size(state, limits, event.spec, 0) or _refuse_queue(state, event.spec.queue)


def _refuse_size(state: State, limits: Limits, spec: ScheduleSpec, before: int) -> Rejection | None:
    """Whether a spec that takes the place of one of `before` bytes is too much for memory."""
    taken = sum(len(row.spec.spec) for row in state.schedules.rows.values()) - before
    most = limits.schedule_bytes
    if taken + len(spec.spec) <= most or len(spec.spec) <= before:
        return None
    return Rejection(
        ErrorKind.EXHAUSTED,
        "TOO_MANY_SCHEDULES",
        f"the specs of all schedules take {taken} bytes; the limit is {most}: pass large data by "
        "reference, or delete some schedules",
        "limit",
        str(most),
    )


def _refuse_queue(state: State, queue: str) -> Rejection | None:
    if queue in state.queues:
        return None
    message = f'queue {queue!r} does not exist; create it with "quorate queues create {queue}"'
    return Rejection(ErrorKind.NOT_FOUND, "QUEUE_NOT_FOUND", message, "queue", queue)


def _create(
    state: State, limits: Limits, event: ScheduleSubmitted, now: float, out: Effects
) -> Answer:
    row = ScheduleRow(event.schedule, now, event.spec, event.created_by, event.wall)
    state.schedules.put(row)
    due.put(state, row, out)
    audit.note(state, limits, out, event.request, now, "schedule", row.name, *event.changes)
    return Answer(see_schedule(state, row))


def _now(
    state: State,
    event: ScheduleSubmitted | ScheduleUpdateAsked | SchedulePauseAsked,
    known: DedupRow,
) -> ScheduleSeen | Rejection:
    return _seen(state, event.schedule)


on_schedule_submitted = Call(SCHEDULES_SCOPE, _refuse_create, _create, _now)


def _refuse_update(state: State, limits: Limits, event: ScheduleUpdateAsked) -> Rejection | None:
    row = state.schedules.rows.get(event.schedule)
    if row is None:
        return no_schedule(event.schedule)
    if row.version != event.version:
        return Rejection(
            ErrorKind.CONFLICT,
            "SCHEDULE_CHANGED",
            f"schedule {row.name!r} was changed by somebody else; read it and repeat the call",
            "schedule",
            row.name,
        )
    too_large = _refuse_size(state, limits, event.spec, len(row.spec.spec))
    if too_large is not None or row.spec.queue == event.spec.queue:
        return too_large
    return _refuse_queue(state, event.spec.queue)


def _update(
    state: State, limits: Limits, event: ScheduleUpdateAsked, now: float, out: Effects
) -> Answer:
    row = state.schedules.rows[event.schedule]
    if row.spec.spec != event.spec.spec:
        if row.pause is None:
            rules.pass_over(row, event.wall, MissReason.EDITED)
        row.spec = event.spec
        row.version += 1
        rules.unblock(row)
        row.cursor = max(row.cursor, event.wall)
        _changed(state, row, out)
        audit.note(state, limits, out, event.request, now, "schedule", row.name, *event.changes)
    return Answer(see_schedule(state, row))


on_schedule_update_asked = Call(SCHEDULES_SCOPE, _refuse_update, _update, _now)


def _refuse_missing(
    state: State,
    limits: Limits,
    event: ScheduleDeleteAsked | SchedulePauseAsked,
) -> Rejection | None:
    return no_schedule(event.schedule) if event.schedule not in state.schedules.rows else None


def _delete(
    state: State, limits: Limits, event: ScheduleDeleteAsked, now: float, out: Effects
) -> Answer:
    state.schedules.drop(event.schedule)
    out.writes.append(DropSchedule(event.schedule))
    audit.note(state, limits, out, event.request, now, "schedule", event.schedule)
    return Answer(Done())


def _done(
    state: State, event: ScheduleDeleteAsked | ScheduleBackfillAsked, known: DedupRow
) -> Done:
    return Done()


on_schedule_delete_asked = Call(SCHEDULES_SCOPE, _refuse_missing, _delete, _done)


def _pause(
    state: State, limits: Limits, event: SchedulePauseAsked, now: float, out: Effects
) -> Answer:
    row = state.schedules.rows[event.schedule]
    before = row.pause
    if before != event.pause:
        if event.pause is None:
            due.resume(row, event.wall)
        else:
            due.pause(row, event.pause)
        _changed(state, row, out)
        changes = [Change("paused", _BOOL[before is not None], _BOOL[row.pause is not None])]
        if row.pause is not None and row.pause.reason:
            changes.append(Change("pause_reason", "", row.pause.reason))
        audit.note(state, limits, out, event.request, now, "schedule", row.name, *changes)
    return Answer(see_schedule(state, row))


on_schedule_pause_asked = Call(SCHEDULES_SCOPE, _refuse_missing, _pause, _now)


def _refuse_run(state: State, limits: Limits, event: ScheduleRunAsked) -> Rejection | None:
    row = state.schedules.rows.get(event.schedule)
    if row is None:
        return no_schedule(event.schedule)
    return runs.rejection_of(state, limits, row)


def _run(state: State, limits: Limits, event: ScheduleRunAsked, now: float, out: Effects) -> Answer:
    row = state.schedules.rows[event.schedule]
    runs.start(state, limits, row, event.wall, Cause.BY_HAND, event.task, now, out)
    due.put(state, row, out)
    audit.note(
        state,
        limits,
        out,
        event.request,
        now,
        "schedule",
        row.name,
        Change("run", "", event.task),
    )
    queue = row.spec.queue
    return Answer(TaskKnown(event.task, queue), queue, event.task, 1, 1)


def _known_run(state: State, event: ScheduleRunAsked, known: DedupRow) -> TaskKnown:
    return TaskKnown(known.first_id, known.queue)


on_schedule_run_asked = Call(SCHEDULES_SCOPE, _refuse_run, _run, _known_run)


def refuse_backfill(row: ScheduleRow) -> Rejection | None:
    """Why a schedule takes no backfill at the moment."""
    if row.backfill is None:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "BACKFILL_UNDER_WAY",
        f"schedule {row.name!r} has a backfill that is not finished; repeat the call later",
        "schedule",
        row.name,
    )


def _refuse_backfill(
    state: State, limits: Limits, event: ScheduleBackfillAsked
) -> Rejection | None:
    row = state.schedules.rows.get(event.schedule)
    return no_schedule(event.schedule) if row is None else refuse_backfill(row)


def _backfill(
    state: State, limits: Limits, event: ScheduleBackfillAsked, now: float, out: Effects
) -> Answer:
    row = state.schedules.rows[event.schedule]
    row.backfill = event.backfill
    _changed(state, row, out)
    audit.note(
        state, limits, out, event.request, now, "schedule", row.name, Change("backfill", "", "true")
    )
    return Answer(Done())


on_schedule_backfill_asked = Call(SCHEDULES_SCOPE, _refuse_backfill, _backfill, _done)


def _changed(state: State, row: ScheduleRow, out: Effects) -> None:
    """Write a schedule that a call changed, and look at it soon."""
    due.put(state, row, out)
    state.schedules.touched[row.name] = None


_BOOL = ("false", "true")
