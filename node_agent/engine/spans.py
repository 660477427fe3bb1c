"""A span for each attempt that came with a trace context; what the attempt runs is below it.

Owned by the driver, on the agent's loop. At most as many spans are open as attempts are held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from node_agent.core.attempts import Attempt, Failure, Outcome
from quorate.runtime.timing.clock import Clock
from quorate.telemetry.spans import Spans

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class AttemptSpans:
    """Begins and ends them.

    Args:
        node: the node's name, an attribute of each.
    """

    def __init__(self, spans: Spans, node: str, clock: Clock) -> None:
        self._spans = spans
        self._node = node
        self._clock = clock
        self._open: dict[Attempt, Span] = {}

    def started(self, attempt: Attempt) -> None:
        """It was handed to an executor; one that was taken back meanwhile keeps its span."""
        if not attempt.trace or attempt in self._open:
            return
        about: dict[str, str | int] = {
            "quorate.task_id": attempt.task_id,
            "quorate.attempt": attempt.number,
            "quorate.queue": attempt.traced[0],
            "quorate.task_name": attempt.traced[1],
            "quorate.node": self._node,
        }
        span = self._spans.begin("quorate.attempt", attempt.trace, self._clock.wall(), about)
        self._open[attempt] = span
        attempt.trace = self._spans.traceparent(span)

    def exited(self, attempt: Attempt, outcome: Outcome) -> None:
        """It ended."""
        span = self._open.pop(attempt, None)
        if span is None:
            return
        error = ""
        if isinstance(outcome.value, Failure):
            error = f"{outcome.value.type}: {outcome.value.message}"
        elif outcome.value is None:
            error = "returned"
        self._spans.end(span, self._clock.wall(), error)

    def close(self) -> None:
        """Send what waits."""
        self._spans.close()
