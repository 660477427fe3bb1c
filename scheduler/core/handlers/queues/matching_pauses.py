"""Pauses of all tasks that match: made, ended, and over by themselves.

The instant of the end is in the record: a new leader finds it in its state (`State.pauses`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from quorate.runtime.ids import QueueName
from scheduler.core.handlers import audit
from scheduler.core.handlers.requests import QUEUES_SCOPE, Answer, Call
from scheduler.core.model.answers import Done, ErrorKind, Rejection
from scheduler.core.model.effects import DropPause, Effects, PutPause
from scheduler.core.model.events import PauseDeleteAsked, PauseSubmitted
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, PauseRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.place_rules import Label
from scheduler.core.values import Change, TaskSpec

# Pauses that may exist: each is looked at for each task that is about to start.
MOST_PAUSES: Final = 100
# Of these, those that one caller made: others can always make some.
MOST_OF_ONE: Final = 50
# Ended in one step: each is a write of its Txn.
_ENDED_AT_ONCE: Final = 16


def refuse_matching(state: State, queue: QueueName, specs: Iterable[TaskSpec]) -> Rejection | None:
    """Whether a pause keeps new tasks from being accepted."""
    known: dict[tuple[tuple[Label, ...], str], None] = {}
    for spec in specs:
        known[spec.labels, spec.tenant] = None
    for labels, tenant in known:
        if (rejection := refuse_one(state, queue, labels, tenant)) is not None:
            return rejection
    return None


def refuse_one(
    state: State, queue: QueueName, labels: tuple[Label, ...], tenant: str = ""
) -> Rejection | None:
    """The same of one task or job."""
    if queue == SERVICES_QUEUE:
        return None
    for pause in state.pauses.admission:
        if pause.matches(queue, labels, tenant):
            return Rejection(
                ErrorKind.PRECONDITION,
                "TASKS_PAUSED",
                f"{pause.of_what} are not accepted: pause {pause.name!r} by "
                f"{pause.by or 'a caller'}{pause.reason and f' ({pause.reason})'} holds; end it "
                f'with "quorate pauses end {pause.name}"',
                "pause",
                pause.name,
            )
    return None


def _refuse_new(state: State, limits: Limits, event: PauseSubmitted) -> Rejection | None:
    if event.pause.name in state.pauses.rows:
        return Rejection(
            ErrorKind.EXISTS,
            "PAUSE_ALREADY_EXISTS",
            f"pause {event.pause.name!r} already exists",
            "pause",
            event.pause.name,
        )
    if len(state.pauses.rows) >= MOST_PAUSES:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_PAUSES",
            f"{MOST_PAUSES} pauses exist, which is the limit; end some first",
            "limit",
            str(MOST_PAUSES),
        )
    by = _by(event)
    if by and sum(row.by == by for row in state.pauses.rows.values()) >= MOST_OF_ONE:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_PAUSES",
            f"{by} has made {MOST_OF_ONE} of the pauses that exist, which is the limit for one "
            "caller; end some first",
            "limit",
            str(MOST_OF_ONE),
        )
    return None


def _by(event: PauseSubmitted) -> str:
    """Who makes a pause; "" where callers have no names."""
    origin = event.request.origin
    return f"{origin.role}:{origin.caller}" if origin is not None and origin.role else ""


def _create(
    state: State, limits: Limits, event: PauseSubmitted, now: float, out: Effects
) -> Answer:
    row = replace(event.pause, by=_by(event), since=now)
    state.pauses.put(row)
    out.writes.append(PutPause(row))
    changes = (
        Change("tasks", "", row.of_what),
        Change("scope", "", row.scope.name),
        Change("reason", "", row.reason),
    )
    audit.note(state, limits, out, event.request, now, "pause", row.name, *changes)
    return Answer(row)


def _pause_now(state: State, event: PauseSubmitted, known: DedupRow) -> PauseRow | Rejection:
    row = state.pauses.rows.get(event.pause.name)
    return row if row is not None else _no_pause(event.pause.name)


def _refuse_end(state: State, limits: Limits, event: PauseDeleteAsked) -> Rejection | None:
    row = state.pauses.rows.get(event.name)
    # Whoever may end pauses of one queue learns nothing of others.
    return _no_pause(event.name) if row is None or row.queue != event.queue else None


def _end(state: State, limits: Limits, event: PauseDeleteAsked, now: float, out: Effects) -> Answer:
    _drop(state, event.name, out)
    audit.note(state, limits, out, event.request, now, "pause", event.name)
    return Answer(Done())


def _done(state: State, event: PauseDeleteAsked, known: DedupRow) -> Done:
    return Done()


on_pause_submitted = Call(QUEUES_SCOPE, _refuse_new, _create, _pause_now)
on_pause_delete_asked = Call(QUEUES_SCOPE, _refuse_end, _end, _done)


def end_due(state: State, now: float, out: Effects) -> None:
    """End pauses whose time has come, a few at a time."""
    over = [row.name for row in state.pauses.rows.values() if row.until and row.until <= now]
    for name in over[:_ENDED_AT_ONCE]:
        _drop(state, name, out)


def _drop(state: State, name: str, out: Effects) -> None:
    state.pauses.drop(name)
    out.writes.append(DropPause(name))


def _no_pause(name: str) -> Rejection:
    return Rejection(
        ErrorKind.NOT_FOUND,
        "PAUSE_NOT_FOUND",
        f"pause {name!r} does not exist, or is of another queue",
        "pause",
        name,
    )
