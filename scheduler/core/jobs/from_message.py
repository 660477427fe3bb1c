"""The task that a message becomes: its queue's template, and what the message says.

Fields of `quorate.v1.TaskSpec` are appended to the template (a test compares what the core knows of
it with what it reads back from the record):

| of the message | of the task |
|---|---|
| all of it | `message` |
| `priority` | is added to the template's |
| `deliver_after` | `not_before` |
| `expiration` | `start_deadline`: it is never started once it has expired |
| `ordering_key` | `ordering_key`, unless the template has one |
"""

from __future__ import annotations

from math import inf
from typing import Final

from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from quorate.v1.message_pb2 import MessageProperties
from scheduler.core.broker.intake import EVENT_HEADER, Asked
from scheduler.core.jobs.wire import data, number
from scheduler.core.values import TaskLimits, TaskSpec

# Of `TaskSpec`.
_PRIORITY: Final = 7
_NOT_BEFORE: Final = 10
_START_DEADLINE: Final = 14
_ORDERING_KEY: Final = 18
_MESSAGE: Final = 170
MOST_PRIORITY: Final = 1_000
# Seconds: the least start deadline, of a message that would expire before it is due.
_LEAST: Final = 0.001


def made_of(template: TaskSpec, asked: Asked) -> TaskSpec:
    """The task that a message becomes. `template`: as the records' `message_template` reads it."""
    parsed = asked.parsed
    added = [template.spec, data(_MESSAGE, asked.payload)]
    made = template
    if parsed.priority:
        priority = min(MOST_PRIORITY, template.priority + parsed.priority)
        made = made._replace(priority=priority)
        added.append(number(_PRIORITY, priority, always=True))
    if parsed.deliver_after:
        said, due = _seconds(_NOT_BEFORE, asked.instant + parsed.deliver_after)
        made = made._replace(not_before=due)
        added.append(said)
    if parsed.expiration != inf:
        left = max(_LEAST, parsed.expiration - parsed.deliver_after)
        if template.start_deadline:
            left = min(left, template.start_deadline)
        said, left = _seconds(_START_DEADLINE, left)
        made = made._replace(start_deadline=left)
        added.append(said)
    if parsed.is_ordered and not (template.limits is not None and template.limits.ordering):
        key = _ordering_key(asked.payload)
        made = made._replace(limits=(template.limits or TaskLimits())._replace(ordering=key))
        added.append(data(_ORDERING_KEY, key.encode()))
    if EVENT_HEADER in parsed.message.headers:
        made = made._replace(from_event=True)
    return made._replace(spec=b"".join(added))


def _seconds(field: int, value: float) -> tuple[bytes, float]:
    """A duration or an instant, in whole microseconds; and as it is read back."""
    seconds, micros = divmod(round(value * 1e6), 1_000_000)
    nanos = micros * 1_000
    said = number(1, seconds, always=True) + number(2, nanos, always=True)
    return data(field, said), seconds + nanos / 1e9


def _ordering_key(payload: bytes) -> str:
    return MessageProperties.FromString(MessageEnvelope.FromString(payload).properties).ordering_key
