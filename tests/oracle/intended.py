"""Differences that are intended: docs/amqp.md names each with its reason.

Some are parts of many outcomes: those are taken out before outcomes are compared. Debian's RabbitMQ
is 3.10; where RabbitMQ 4 does something else, Quorate does that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_PARTS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # Without `delivery-mode` a message comes back with 1.
        r"delivery_mode: 1\b",
        # All queues count deliveries, as quorum queues do.
        r"x-delivery-count: \dL?",
        # Of RabbitMQ since 3.13.
        r"x-last-death-\w+: '[^']*'",
        # Not kept: cluster-id, an empty table of headers, priority 0.
        r"cluster_id: '[^']*'",
        r"headers: \{[, ]*\}",
        r"priority: 0\b",
    )
)
_COMMAS: Final = ((re.compile(r"(, )+"), ", "), (re.compile(r"\{, "), "{"))
_END: Final = (re.compile(r",? \}|, \}"), "}")

# (script, part of the step's label): why.
STEPS: Final[Mapping[tuple[str, str], str]] = {
    ("queues", "'x-queue-mode': 'eager'"): "it has no meaning and is kept as it is",
    ("queues", "'x-consumer-timeout': -1"): "a negative time is refused",
    ("queues", "declare quorum-"): "every queue is replicated, exclusive and transient ones too",
    ("queues", "declare stream-transient"): "every stream is durable",
    ("deleting", "delete if all is out"): "delivered messages go with the queue, and count",
    ("exchanges", "no-such-type"): "RabbitMQ 4 closes the channel, too",
    ("exclusive", "other: unbind"): "nobody else changes bindings of an exclusive queue",
}


def reason(script: str, label: str) -> tuple[str, str] | None:
    """The entry of `STEPS` that a step has."""
    found = (one for one in STEPS if one[0] == script and one[1] in label)
    return next(found, None)


def comparable(outcome: str) -> str:
    """An outcome without the parts that may differ."""
    for part in _PARTS:
        outcome = part.sub("", outcome)
    for pattern, instead in (*_COMMAS, _END):
        outcome = pattern.sub(instead, outcome)
    return outcome.replace(", }", "}").removesuffix(" {}")
