"""A span for the time that a traced task waited for its node."""

from __future__ import annotations

from quorate.telemetry.spans import Spans, task_name
from quorate.v1 import task_pb2
from scheduler.core.model.rows import TaskRow


class TaskSpans:
    """Told of each assignment that is sent; a spec without a trace context costs its parsing."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def assigned(self, row: TaskRow, attempt: int, spec: bytes) -> None:
        """A span from when the task was due to when this attempt was given to its node.

        Of a later attempt only the instant is known: it waited for its backoff, or was lost.
        """
        message = task_pb2.TaskSpec.FromString(spec)
        trace = message.trace_context
        if not trace:
            return
        end = row.assign_time
        begin = max(row.create_time, row.not_before) if attempt == 1 else end
        about: dict[str, str | int] = {
            "quorate.task_id": row.id,
            "quorate.attempt": attempt,
            "quorate.queue": row.queue.name,
            "quorate.task_name": task_name(message),
            "quorate.node": row.node,
        }
        span = self._spans.begin("quorate.schedule", trace, min(begin, end), about)
        self._spans.end(span, end)

    def close(self) -> None:
        """Send what waits."""
        self._spans.close()
