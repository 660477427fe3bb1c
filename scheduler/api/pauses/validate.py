"""Bounds of the requests about pauses; see `scheduler.api.validate`."""

from __future__ import annotations

from typing import Final

from quorate.runtime.errors import invalid
from quorate.runtime.ids import QueueName
from quorate.v1 import pause_pb2
from scheduler.api.validate import MAX_AHEAD, MAX_LABEL, at_most, known_enum, queue_name
from scheduler.core.model.rows import PauseRow
from scheduler.core.values import PauseScope

MAX_LABELS: Final = 8
MAX_REASON: Final = 256
MAX_KEY: Final = 256


def pause(message: pause_pb2.Pause, now: float) -> PauseRow:
    """A pause without who and when.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    name = queue_name("pause.name", message.name)
    queue = queue_name("pause.queue", message.queue) if message.queue else ""
    at_most("pause.labels", len(message.labels), MAX_LABELS, "labels")
    for key, value in message.labels.items():
        at_most("pause.labels", max(len(key), len(value)), MAX_LABEL, "characters each")
        if not key:
            raise invalid("pause.labels", "a label needs a name")
    at_most("pause.fairness_key", len(message.fairness_key), MAX_KEY, "characters")
    if not (queue or message.labels or message.fairness_key):
        raise invalid("pause", "matches every task; set queue, labels or fairness_key")
    at_most("pause.reason", len(message.reason), MAX_REASON, "characters")
    scope = known_enum("pause.scope", message.scope, range(len(PauseScope) + 1))
    until = 0.0
    if message.HasField("until"):
        until = message.until.seconds + message.until.nanos / 1e9
        if not now < until <= now + MAX_AHEAD:
            raise invalid(
                "pause.until",
                "must be in the future, at most 366 days ahead",
                limit=MAX_AHEAD,
                value=until,
            )
    return PauseRow(
        name,
        QueueName(queue),
        tuple(sorted(message.labels.items())),
        message.fairness_key,
        PauseScope(scope or PauseScope.DISPATCH),
        message.reason,
        until,
    )
