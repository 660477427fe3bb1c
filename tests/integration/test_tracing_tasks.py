"""Trace context from the span in which a task is made to the code that it runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from quorate.client.client import Client
from quorate.client.transport.rpcs import CREATE_TASK, GET_TASK
from quorate.etcd.server.launcher import EtcdProcess
from quorate.runtime.errors import QuorateError
from quorate.telemetry.tracing import current_traceparent
from quorate.v1 import scheduler_pb2, task_pb2
from tests.support.served import Served, serve
from tests.support.tls import client_tls, client_token

# As a client in any language would send it.
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SHOW = ["sh", "-c", 'printf "%s" "$TRACEPARENT"']


def environment() -> str:
    """Runs in a worker: what it finds in its environment."""
    import os

    return os.environ.get("TRACEPARENT", "")


def current_span() -> tuple[str, str]:
    """Runs in a worker that uses OpenTelemetry: trace and span of the current context."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


@pytest.fixture(scope="module")
def served(etcd_server: EtcdProcess) -> Iterator[Served]:
    with serve(etcd_server.endpoint, nodes=1, slots=1) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with Client(served.address, tls=client_tls(), token=client_token()) as client:
        yield client


@pytest.fixture
def tracer() -> trace.Tracer:
    return TracerProvider().get_tracer("test")


def output(client: Client) -> str:
    task = client.command(SHOW)
    assert task.result(timeout=60) == 0
    return b"".join(chunk.data for chunk in task.logs()).decode()


def test_a_program_gets_the_span_in_which_it_was_submitted(
    client: Client, tracer: trace.Tracer
) -> None:
    with tracer.start_as_current_span("work") as span:
        told = output(client)
        assert told == current_traceparent()
    context = span.get_span_context()
    assert told.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")


def test_a_function_finds_it_in_its_environment_and_in_its_context(
    client: Client, tracer: trace.Tracer
) -> None:
    with tracer.start_as_current_span("work"):
        expected = current_traceparent()
        assert client.submit(environment).result(timeout=60) == expected
        # The worker imports OpenTelemetry in its first call, so that its second has a context.
        client.submit(current_span).result(timeout=60)
        trace_id, span_id = client.submit(current_span).result(timeout=60)
    assert expected.startswith(f"00-{trace_id}-{span_id}-")


def test_the_next_task_of_a_worker_does_not_inherit_it(
    client: Client, tracer: trace.Tracer
) -> None:
    with tracer.start_as_current_span("work"):
        assert client.submit(environment).result(timeout=60)
    assert client.submit(environment).result(timeout=60) == ""
    assert output(client) == ""


@pytest.mark.parametrize(
    "wrong",
    ["x", TRACEPARENT.replace("00-", "01-", 1), TRACEPARENT + "\n", f"00-{'0' * 32}-{'1' * 16}-01"],
    ids=["nothing of the kind", "another version", "more behind it", "no trace"],
)
def test_what_is_no_traceparent_is_refused(client: Client, wrong: str) -> None:
    with pytest.raises(QuorateError, match=r"trace_context.*W3C traceparent") as caught:
        client.calls.call(CREATE_TASK, request(wrong))
    assert caught.value.field == "spec.trace_context"


def test_a_traceparent_of_any_client_is_kept(client: Client) -> None:
    made = client.calls.call(CREATE_TASK, request(TRACEPARENT)).task
    found = client.calls.call(GET_TASK, scheduler_pb2.GetTaskRequest(id=made.id)).task
    assert found.spec.trace_context == TRACEPARENT


def request(trace_context: str) -> scheduler_pb2.CreateTaskRequest:
    spec = task_pb2.TaskSpec(
        command=task_pb2.CommandWork(argv=["true"]), trace_context=trace_context
    )
    return scheduler_pb2.CreateTaskRequest(spec=spec)
