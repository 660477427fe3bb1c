"""Paused queues: dispatch, admission or both, by whom, why and until when.

A pause with an end is over by itself: the instant is in the queue's record, and a new leader finds
it in its state (`State.pause_ends`).
"""

from __future__ import annotations

from typing import Final

from scheduler.core.handlers import audit
from scheduler.core.handlers.requests import QUEUES_SCOPE, Answer, Call
from scheduler.core.model.answers import (
    ErrorKind,
    QueueSeen,
    Rejection,
    no_queue,
    see_queue,
)
from scheduler.core.model.effects import Effects, PutQueue
from scheduler.core.model.events import QueuePauseAsked
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, QueueRow
from scheduler.core.model.state import State
from scheduler.core.values import Change, QueuePause

_BOOL: Final = ("false", "true")
# Queues resumed in one step: each is a write of its Txn.
_RESUMED_AT_ONCE: Final = 16


def refuse_paused(queue: QueueRow) -> Rejection | None:
    """Whether a queue accepts no new tasks."""
    pause = queue.pause
    if pause is None or not pause.scope.admission:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "QUEUE_PAUSED",
        f"queue {queue.name!r} accepts no new tasks: it is paused by {pause.by or 'a caller'}"
        f"{pause.reason and f' ({pause.reason})'}; resume it with "
        f'"quorate queue resume {queue.name}"',
        "queue",
        queue.name,
    )


def _refuse(state: State, limits: Limits, event: QueuePauseAsked) -> Rejection | None:
    return no_queue(event.queue) if event.queue not in state.queues else None


def _pause(
    state: State, limits: Limits, event: QueuePauseAsked, now: float, out: Effects
) -> Answer:
    row = state.queues[event.queue]
    before, wanted = row.pause, None
    if event.paused:
        origin = event.request.origin
        by = f"{origin.role}:{origin.caller}" if origin is not None and origin.role else ""
        wanted = event.pause._replace(by=by, since=now)
    if _meaning(before) != _meaning(wanted):
        state.set_pause(row, wanted, paused=wanted is not None and wanted.scope.dispatch)
        out.writes.append(PutQueue(row))
        changes = [
            change
            for change in (
                Change("paused", _BOOL[before is not None], _BOOL[wanted is not None]),
                Change("pause.scope", _scope(before), _scope(wanted)),
                Change("pause.reason", _reason(before), _reason(wanted)),
            )
            if change.before != change.after
        ]
        audit.note(state, limits, out, event.request, now, "queue", row.name, *changes)
    return Answer(see_queue(row), row.name)


def _meaning(pause: QueuePause | None) -> object:
    """What a pause is for: when it began and who asked are beside that."""
    return pause and (pause.scope, pause.reason, pause.until)


def _scope(pause: QueuePause | None) -> str:
    """As the audit log has it: nothing of the usual one."""
    return pause.scope.name if pause is not None and pause.scope.admission else ""


def _reason(pause: QueuePause | None) -> str:
    return pause.reason if pause is not None else ""


def _now(state: State, event: QueuePauseAsked, known: DedupRow) -> QueueSeen | Rejection:
    row = state.queues.get(event.queue)
    return see_queue(row) if row is not None else no_queue(event.queue)


on_queue_pause_asked = Call(QUEUES_SCOPE, _refuse, _pause, _now)


def resume_due(state: State, now: float, out: Effects) -> None:
    """Resume queues whose pauses are over, a few at a time."""
    for name in [name for name, end in state.pause_ends.items() if end <= now][:_RESUMED_AT_ONCE]:
        row = state.queues[name]
        state.set_pause(row, None, paused=False)
        out.writes.append(PutQueue(row))
