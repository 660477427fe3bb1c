"""What a node answers for logs reaches the caller as logs, or as a fault of the node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from quorate.runtime.errors import QuorateError, abort
from quorate.runtime.ids import TaskId
from quorate.v1 import node_agent_pb2, scheduler_pb2
from scheduler.api.tasks.logs import relay as logs

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


class Node:
    """What the leader knows of it: the way to it, until it is lost."""

    def __init__(self, channel: Any) -> None:
        self.channel: Any = channel
        self.sessions: Any = SimpleNamespace(
            driver=SimpleNamespace(
                state=SimpleNamespace(nodes={"n1": SimpleNamespace(instance="i")})
            ),
            channel=lambda instance: self.channel,
        )


async def relayed(
    answer: Answer,
    monkeypatch: pytest.MonkeyPatch,
    *,
    lost: asyncio.Event | None = None,
    **request: Any,
) -> list[Any]:
    async def place(*_: object, **__: object) -> tuple[str, int]:
        return "n1", 3

    monkeypatch.setattr(logs, "_place", place)
    async with node(answer) as channel:
        known = Node(channel)

        async def lose() -> None:
            if lost is not None:
                await lost.wait()
                known.channel = None

        losing = asyncio.create_task(lose())
        asked = scheduler_pb2.StreamTaskLogsRequest(id="t", **request)
        unused: Any = None
        found = logs.relay_logs(unused, unused, known.sessions, TaskId("t"), asked)
        try:
            return [one.chunk if one.HasField("chunk") else one.extent async for one in found]
        finally:
            losing.cancel()


async def test_a_piece_is_of_the_attempt_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (chunk,) = await relayed(piece(stream=1, data=b"x", offset=5, attempt=77), monkeypatch)
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


async def test_an_extent_comes_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    extent = scheduler_pb2.LogExtent(stdout={"size": 9, "lines_before": 2}, node="another")
    answer = says(node_agent_pb2.ReadLogsResponse(extent=extent).SerializeToString())
    (told,) = await relayed(answer, monkeypatch, with_extent=True)
    assert (told.stdout.lines_before, told.node, told.attempt) == (2, "n1", 3)
    with pytest.raises(QuorateError) as refused:
        await relayed(answer, monkeypatch)
    assert refused.value.reason == "NODE_AT_FAULT"


async def test_a_node_that_is_lost_while_it_says_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.01)
    asked = asyncio.Event()

    async def hangs(context: Any) -> None:
        asked.set()
        await asyncio.sleep(3_600)

    async with asyncio.timeout(60):
        with pytest.raises(QuorateError) as refused:
            await relayed(hangs, monkeypatch, lost=asked, follow=True)
    assert refused.value.reason == "NODE_UNAVAILABLE"
    assert "n1" in refused.value.message


def part(offset: int, data: bytes = b"xx", stream: int = 1) -> scheduler_pb2.LogChunk:
    return scheduler_pb2.LogChunk(stream=stream, offset=offset, data=data)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("chunks", "lies"),
    [
        ([part(10), part(50, stream=2), part(12), part(98)], False),
        ([part(10), part(11)], True),
        ([part(10), part(12, b"")], True),
        ([part(9)], True),
        ([part(99)], True),
        ([part(10, stream=3)], True),
    ],
    ids=["well", "again", "nothing", "ahead", "behind", "stream"],
)
async def test_a_part_of_a_log_is_no_endless_answer(
    chunks: list[scheduler_pb2.LogChunk], lies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(context: Any) -> None:
        for chunk in chunks:
            said = node_agent_pb2.ReadLogsResponse(chunk=chunk)
            await context.write(said.SerializeToString())

    asked: dict[str, Any] = {"stdout_from": 10, "stdout_until": 100}
    if not lies:
        assert len(await relayed(answer, monkeypatch, **asked)) == len(chunks)
        return
    with pytest.raises(QuorateError) as refused:
        await relayed(answer, monkeypatch, **asked)
    assert refused.value.reason == "NODE_AT_FAULT"


MATCH = scheduler_pb2.LogMatch(stream=scheduler_pb2.LOG_STREAM_STDOUT, offset=5, at=6, line=b"x")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"matches": [MATCH], "stdout_next": 9, "stderr_next": 4}, ""),
        # It would be asked for the same for ever.
        ({"stdout_next": 2, "stderr_next": 4}, "NODE_AT_FAULT"),
        ({"stdout_next": 3, "stderr_next": 3}, "NODE_AT_FAULT"),
        ({"stdout_next": 3, "stderr_next": 4}, "NODE_AT_FAULT"),
        ({"stdout_next": 3, "stderr_next": 4, "complete": True, "matches": [MATCH]}, ""),
        ({"matches": [MATCH] * 3, "stdout_next": 9, "stderr_next": 4}, "NODE_AT_FAULT"),
        ({"matches": [{"offset": -1}], "stdout_next": 9, "stderr_next": 4}, "NODE_AT_FAULT"),
        (
            {"matches": [{"offset": 7, "at": 6}], "stdout_next": 9, "stderr_next": 4},
            "NODE_AT_FAULT",
        ),
        (
            {"matches": [{"line": b"x" * 4_001}], "stdout_next": 9, "stderr_next": 4},
            "NODE_AT_FAULT",
        ),
        (grpc.StatusCode.UNIMPLEMENTED, "NODE_TOO_OLD"),
        (grpc.StatusCode.UNAVAILABLE, "NODE_UNAVAILABLE"),
        (grpc.StatusCode.PERMISSION_DENIED, "NODE_AT_FAULT"),
    ],
)
async def test_what_is_no_result_of_a_search_is_the_nodes_fault(
    found: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def place(*_: object, **__: object) -> tuple[str, int]:
        return "n1", 3

    monkeypatch.setattr(logs, "_place", place)

    async def answer(request: bytes, context: Any) -> bytes:
        if isinstance(found, grpc.StatusCode):
            await context.abort(found, "so it says")
        return node_agent_pb2.SearchLogsResponse(**found).SerializeToString()

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("quorate.v1.NodeAgent", {"SearchLogs": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    request = scheduler_pb2.SearchTaskLogsRequest(
        id="t", text="x", stdout_from=3, stderr_from=4, max_matches=2
    )
    unused: Any = None
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        sessions = Node(channel).sessions
        searching = logs.search_logs(unused, unused, sessions, TaskId("t"), request)
        if not reason:
            answered = await searching
            assert (answered.matches[0], answered.attempt) == (MATCH, 3)
        else:
            with pytest.raises(QuorateError) as refused:
                await searching
            assert refused.value.reason == reason
    await server.stop(None)
