"""Spans of a scheduler and a node, as a collector receives them: one trace from the caller down."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from quorate.client.client import Client
from quorate.client.errors import TaskFailed
from quorate.local import background
from quorate.local.plan import LocalPlan
from tests.support import tls


class Collector:
    """Keeps every span it is sent, with the name of the service that made it."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Any]] = []
        self.lock = threading.Lock()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/traces":
                    collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *unused: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def take(self, request: Any) -> None:
        with self.lock:
            for resource in request.resource_spans:
                names = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self.spans += [(names["service.name"], span) for span in scope.spans]

    def of(self, trace: bytes) -> list[tuple[str, Any]]:
        """The spans of one trace."""
        with self.lock:
            return [(who, span) for who, span in self.spans if span.trace_id == trace]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    collector.thread.start()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()
    collector.thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("tracing") / "cluster"
    with pytest.MonkeyPatch.context() as patch:
        port = collector.server.server_address[1]
        patch.setenv("QUORATE_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        # Spans are sent when this has passed, and would otherwise be five seconds late.
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        background.start(LocalPlan(data_dir=folder, schedulers=1, nodes=1, slots=1, secure=tls.ON))
    try:
        yield folder
    finally:
        background.stop(folder)


def wait_for(collector: Collector, trace: bytes, count: int) -> list[tuple[str, Any]]:
    end = time.monotonic() + 30
    while len(found := collector.of(trace)) < count:
        assert time.monotonic() < end, found
        threading.Event().wait(0.02)
    return found


def test_caller_scheduler_node_and_program_are_one_trace(
    folder: Path, collector: Collector
) -> None:
    tracer = TracerProvider().get_tracer("caller")
    with Client(data_dir=folder) as client, tracer.start_as_current_span("work") as span:
        task = client.command(["sh", "-c", 'printf "%s" "$TRACEPARENT"'])
        assert task.result(timeout=60) == 0
        told = b"".join(chunk.data for chunk in task.logs()).decode()
        failing = client.command(["false"])
        with pytest.raises(TaskFailed):
            failing.result(timeout=60)
    caller = span.get_span_context()
    trace, parent = caller.trace_id.to_bytes(16), caller.span_id.to_bytes(8)
    mine = wait_for(collector, trace, 4)
    assert sorted((who, s.name) for who, s in mine) == [
        ("quorate-node_agent", "quorate.attempt"),
        ("quorate-node_agent", "quorate.attempt"),
        ("quorate-scheduler", "quorate.schedule"),
        ("quorate-scheduler", "quorate.schedule"),
    ]
    assert {s.parent_span_id for _, s in mine} == {parent}
    attempts = {attribute(s, "quorate.task_id"): s for _, s in mine if "attempt" in s.name}
    waits = {attribute(s, "quorate.task_id"): s for _, s in mine if "schedule" in s.name}
    ran = attempts[task.id]
    # What ran below the caller is itself above the program.
    assert told == f"00-{trace.hex()}-{ran.span_id.hex()}-{told[-2:]}"
    assert attribute(ran, "quorate.node") == "n1"
    for span in (ran, waits[task.id]):
        assert attribute(span, "quorate.queue") == "default"
        assert attribute(span, "quorate.task_name") == "sh"
    assert ran.status.code == 0
    assert attempts[failing.id].status.code == 2
    assert "EXIT_CODE" in attempts[failing.id].status.message
    for task_id, waited in waits.items():
        assert waited.start_time_unix_nano <= waited.end_time_unix_nano
        assert waited.end_time_unix_nano <= attempts[task_id].end_time_unix_nano


def test_a_task_without_a_trace_has_no_spans(folder: Path, collector: Collector) -> None:
    tracer = TracerProvider().get_tracer("caller")
    with Client(data_dir=folder) as client:
        quiet = client.command(["true"])
        assert quiet.result(timeout=60) == 0
        # Behind it: once this one's spans are here, those of the one before would be.
        with tracer.start_as_current_span("work") as span:
            client.command(["true"]).result(timeout=60)
    wait_for(collector, span.get_span_context().trace_id.to_bytes(16), 2)
    with collector.lock:
        tasks = {attribute(span, "quorate.task_id") for _, span in collector.spans}
    assert quiet.id not in tasks


def attribute(span: Any, name: str) -> str:
    return str(next(a.value.string_value for a in span.attributes if a.key == name))
