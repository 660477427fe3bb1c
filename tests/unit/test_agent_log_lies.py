"""What a node answers for logs reaches the caller as logs, or as a fault of the node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from quorate.runtime.errors import QuorateError, abort
from quorate.runtime.ids import TaskId
from quorate.v1 import node_agent_pb2, scheduler_pb2
from scheduler.api.tasks import logs

Answer = Callable[[Any], Awaitable[None]]


@asynccontextmanager
async def node(answer: Answer) -> AsyncIterator[Any]:
    """A channel to a node that answers so."""

    async def read_logs(request: Any, context: Any) -> None:
        await answer(context)

    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(read_logs)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("quorate.v1.NodeAgent", {"ReadLogs": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)


def says(raw: bytes) -> Answer:
    async def answer(context: Any) -> None:
        await context.write(raw)

    return answer


def piece(**fields: Any) -> Answer:
    chunk = scheduler_pb2.LogChunk(**fields)
    return says(node_agent_pb2.ReadLogsResponse(chunk=chunk).SerializeToString())


def refuses(code: grpc.StatusCode, reason: str) -> Answer:
    async def answer(context: Any) -> None:
        await abort(context, QuorateError(code, reason, "so it says"))

    return answer


async def relayed(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    async def place(*_: object) -> tuple[str, int]:
        return "n1", 3

    monkeypatch.setattr(logs, "_place", place)
    async with node(answer) as channel:
        sessions: Any = SimpleNamespace(
            driver=SimpleNamespace(
                state=SimpleNamespace(nodes={"n1": SimpleNamespace(instance="i")})
            ),
            channel=lambda instance: channel,
        )
        request = scheduler_pb2.StreamTaskLogsRequest(id="t")
        unused: Any = None
        found = logs.relay_logs(unused, unused, sessions, TaskId("t"), request)
        return [one.chunk async for one in found]


async def test_a_piece_is_of_the_attempt_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (chunk,) = await relayed(piece(data=b"x", offset=5, attempt=77), monkeypatch)
    assert (chunk.data, chunk.offset, chunk.attempt) == (b"x", 5, 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (piece(data=b"x" * ((1 << 20) + 1)), "NODE_AT_FAULT"),
        (piece(data=b"x", offset=-1), "NODE_AT_FAULT"),
        (says(b"\xff\xff"), "NODE_AT_FAULT"),
        # Who calls is for the scheduler to decide: a client would throw its token away.
        (refuses(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_REVOKED"), "NODE_AT_FAULT"),
        (refuses(grpc.StatusCode.PERMISSION_DENIED, "FOREIGN_QUEUE"), "NODE_AT_FAULT"),
        (refuses(grpc.StatusCode.UNAVAILABLE, "NOT_LEADER"), "NODE_UNAVAILABLE"),
        (refuses(grpc.StatusCode.NOT_FOUND, "TASK_NOT_FOUND"), "TASK_NOT_FOUND"),
    ],
)
async def test_what_is_no_log_is_the_nodes_fault(
    answer: Answer, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(QuorateError) as refused:
        await relayed(answer, monkeypatch)
    assert refused.value.reason == reason
