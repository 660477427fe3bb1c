"""Spans of our own, sent to a collector by OTLP over HTTP: the extra `otel`, and `--otlp-endpoint`.

Only tasks that came with a trace context have spans, and only if the caller sampled them. They are
sent in batches by a thread of OpenTelemetry's; at most `QUEUED` wait, later ones are dropped: a
collector that is away costs memory for as many, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from quorate.runtime.errors import QuorateError, precondition
from quorate.telemetry.tracing import traceparent_of
from quorate.v1 import task_pb2

if TYPE_CHECKING:
    from opentelemetry.trace import Span

QUEUED: Final = 2048
# Seconds that a leaving process gives its last spans.
_FLUSH: Final = 1.0
_NANOS: Final = 1_000_000_000


def task_name(spec: task_pb2.TaskSpec) -> str:
    """The name of a task, as views have it: its own, else that of its function or program."""
    if spec.name:
        return spec.name
    if spec.HasField("command") and spec.command.argv:
        return spec.command.argv[0].rpartition("/")[2][:128]
    return spec.python.entrypoint[:128] or "python"


class Spans:
    """One process's spans.

    Args:
        endpoint: of the collector, such as `http://collector:4318`.
        component: `scheduler` or `node_agent`; with `name` it says whose spans they are.

    Raises:
        QuorateError: OTEL_NOT_INSTALLED.
    """

    def __init__(self, endpoint: str, component: str, name: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise not_installed(error) from error
        resource = Resource.create(
            {"service.name": f"quorate-{component}", "service.instance.id": name}
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
        self._provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=QUEUED))
        self._tracer = self._provider.get_tracer("quorate")
        self._propagator = TraceContextTextMapPropagator()

    def begin(
        self, name: str, parent: str, start: float, attributes: Mapping[str, str | int]
    ) -> Span:
        """A span below `parent` (a traceparent), from `start` (seconds since the epoch)."""
        context = self._propagator.extract({"traceparent": parent})
        return self._tracer.start_span(
            name, context, attributes=dict(attributes), start_time=int(start * _NANOS)
        )

    @staticmethod
    def end(span: Span, end: float, error: str = "") -> None:
        """End it at `end` (seconds since the epoch); `error` is what went wrong."""
        if error:
            from opentelemetry.trace import Status, StatusCode

            span.set_status(Status(StatusCode.ERROR, error))
        span.end(int(end * _NANOS))

    @staticmethod
    def traceparent(span: Span) -> str:
        """By which its children name it."""
        return traceparent_of(span.get_span_context())

    def close(self) -> None:
        """Send what waits, for a second at most; blocks for so long."""
        self._provider.force_flush(int(_FLUSH * 1000))
        self._provider.shutdown()


def not_installed(error: ImportError) -> QuorateError:
    """What to do about a missing extra."""
    return precondition(
        "OTEL_NOT_INSTALLED",
        f"--otlp-endpoint needs the extra otel ({error}): pip install 'quorate[otel]'",
    )
