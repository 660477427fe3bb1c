"""Trace context on its way from who submits a task to the code that the task runs.

    submit: the caller's span --> TaskSpec.trace_context --> TRACEPARENT, and the current context

OpenTelemetry is nobody's dependency here: a program that does not import it has no spans, and one
that does has it in `sys.modules`. So this module imports nothing, costs a look into a dict where
there is no tracing, and works with whatever version the program brought.

The environment variable's name is that of OpenTelemetry's "Environment Variables as Context
Propagation Carriers"; its value that of W3C Trace Context.
"""

from __future__ import annotations

import sys
from typing import Any, Final

TRACEPARENT: Final = "TRACEPARENT"


def current_traceparent() -> str:
    """The current span of the calling program; "" when it has none or is not traced."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return ""
    context = trace.get_current_span().get_span_context()
    return traceparent_of(context) if context.is_valid else ""


def traceparent_of(context: Any) -> str:
    """OpenTelemetry's SpanContext in W3C's form."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def attach(traceparent: str) -> object | None:
    """Make the span that `traceparent` names the current one; what `detach` is to be given.

    None when the program does not use OpenTelemetry.
    """
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent}
    return context.attach(TraceContextTextMapPropagator().extract(carrier))


def detach(token: object) -> None:
    """End what `attach` began."""
    from opentelemetry import context

    context.detach(token)  # type: ignore[arg-type]
