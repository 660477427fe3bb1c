"""Where spans are sent: what is refused, and what a missing package is told."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from node_agent.config import AgentSettings
from quorate.runtime.errors import QuorateError
from quorate.telemetry import tracing
from quorate.telemetry.spans import Spans
from scheduler.config import SchedulerSettings

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("make", [SchedulerSettings, AgentSettings])
@pytest.mark.parametrize("value", ["collector:4318", "grpc://collector:4317", "http://", "x"])
def test_what_is_no_url_is_refused(make: Callable[..., object], value: str) -> None:
    with pytest.raises(ValidationError, match=r"otlp_endpoint\n.*is not a URL"):
        make(otlp_endpoint=value)


@pytest.mark.parametrize("make", [SchedulerSettings, AgentSettings])
def test_none_are_made_by_default(make: Callable[..., object]) -> None:
    assert make().otlp_endpoint == ""  # type: ignore[attr-defined]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(QuorateError, match=r"pip install 'quorate\[otel\]'") as caught:
        Spans("http://127.0.0.1:1", "scheduler", "s1")
    assert caught.value.reason == "OTEL_NOT_INSTALLED"


def test_a_program_without_opentelemetry_has_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    assert tracing.current_traceparent() == ""
    assert tracing.attach(TRACEPARENT) is None


def test_what_is_attached_is_current_until_it_is_detached() -> None:
    import opentelemetry.trace  # noqa: F401

    token = tracing.attach(TRACEPARENT)
    assert token is not None
    assert tracing.current_traceparent() == TRACEPARENT
    tracing.detach(token)
    assert tracing.current_traceparent() == ""
