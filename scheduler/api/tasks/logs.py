"""StreamTaskLogs: an attempt's output, relayed from the node that has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

import grpc

from quorate.runtime.errors import QuorateError, from_rpc_error, not_found, unavailable
from quorate.runtime.ids import NodeName, TaskId
from quorate.v1 import node_agent_pb2, node_agent_pb2_grpc
from quorate.v1 import scheduler_pb2 as pb
from scheduler.agents.sessions import Sessions
from scheduler.core.values import TaskState
from scheduler.engine.driver import Driver
from scheduler.storage.reads import FencedReads

# Bytes of a piece. Agents send 64 KiB.
CHUNK_BYTES: Final = 1 << 20
_ANSWERS: Final = frozenset(
    (
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
    )
)
_LONGEST_ANSWER: Final = 300


async def relay_logs(
    driver: Driver,
    stored: FencedReads,
    sessions: Sessions,
    task: TaskId,
    request: pb.StreamTaskLogsRequest,
) -> AsyncIterator[pb.StreamTaskLogsResponse]:
    """Answer one call; with `follow`, wait for the first attempt if there is none yet.

    Raises:
        QuorateError: NOT_FOUND (task, attempt, or its logs on the node), UNAVAILABLE when
            the node is away.
    """
    node, attempt = await _place(driver, stored, task, request)
    pieces = read_from_node(
        sessions,
        node,
        task,
        attempt,
        follow=request.follow,
        offset=request.offset,
        tail_lines=request.tail_lines,
    )
    async with aclosing(pieces) as chunks:
        async for chunk in chunks:
            chunk.attempt = attempt
            yield pb.StreamTaskLogsResponse(chunk=chunk)


async def read_from_node(
    sessions: Sessions,
    node: str,
    task: TaskId,
    attempt: int,
    *,
    follow: bool = False,
    offset: int = 0,
    tail_lines: int = 0,
) -> AsyncGenerator[pb.LogChunk, None]:
    """What an attempt (or a chunk of an array) wrote on a node.

    Raises:
        QuorateError: NOT_FOUND when the node does not have it, UNAVAILABLE when the node is away.
    """
    row = sessions.driver.state.nodes.get(NodeName(node))
    channel = sessions.channel(row.instance) if row is not None else None
    if channel is None:
        raise unavailable(
            "NODE_UNAVAILABLE",
            f"node {node!r}, which has the logs, cannot be reached; try again later",
        )
    ask = node_agent_pb2.ReadLogsRequest(
        task_id=task,
        attempt=attempt,
        follow=follow,
        offset=offset,
        tail_lines=tail_lines,
    )
    call: Any = node_agent_pb2_grpc.NodeAgentStub(channel).ReadLogs(ask)
    try:
        async for answer in call:
            if not isinstance(answer, node_agent_pb2.ReadLogsResponse) or _is_none(answer.chunk):
                raise _misbehaved(node, "it sent what is no piece of a log")
            yield answer.chunk
    except grpc.aio.AioRpcError as error:
        raise _translated(error, node) from error
    finally:
        call.cancel()


async def _place(
    driver: Driver, stored: FencedReads, task: TaskId, request: pb.StreamTaskLogsRequest
) -> tuple[str, int]:
    """The node and number of the attempt that is asked for."""
    while True:
        place = await _recorded(driver, stored, task, request.attempt)
        if place is not None:
            return place
        row = driver.state.tasks.get(task)
        if row is None or row.state is TaskState.RUNNING:
            # It may have been given out, or have ended, in memory alone when it was read.
            await driver.readable()
            place = await _recorded(driver, stored, task, request.attempt)
            if place is not None:
                return place
            raise no_attempt(task, request.attempt)
        if not request.follow or request.attempt not in (0, row.attempt + 1):
            raise no_attempt(task, request.attempt)
        await _attempt_or_end(driver, task)


async def _recorded(
    driver: Driver, stored: FencedReads, task: TaskId, wanted: int
) -> tuple[str, int] | None:
    """The node and number of an attempt that is on record."""
    row = driver.state.tasks.get(task) or driver.state.finished.get(task)
    if row is None:
        await driver.readable()
        raise not_found("task", task)
    run = (await stored.task(row.queue.name, task)).run
    if run is None:
        return None
    if run.node and wanted in (0, run.attempt):
        return run.node, run.attempt
    for past in reversed(run.past):
        if wanted in (0, past.number):
            return past.node, past.number
    return None


async def _attempt_or_end(driver: Driver, task: TaskId) -> None:
    """Wait until a live task is given to a node, or ends without: it may be cancelled."""
    waits: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(driver.waiters.assigned(task)),
        asyncio.ensure_future(driver.waiters.finished(task)),
    ]
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in done:
            wait.result()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def no_attempt(task: str, attempt: int, *, latest: bool = False) -> QuorateError:
    """The error for an attempt that is not on record; `latest`: of others nothing is kept."""
    what = (
        f"has no attempt {attempt} on record"
        + ("; of a subtask only the latest one is known" if latest else "")
        if attempt
        else "has no attempt on record; set follow to wait for the first one"
    )
    return QuorateError(
        grpc.StatusCode.NOT_FOUND,
        "ATTEMPT_NOT_FOUND",
        f"task {task!r} {what}",
        metadata={"task": task, "attempt": str(attempt)},
    )


def _is_none(chunk: pb.LogChunk) -> bool:
    """Whether an agent cannot have read this from a log."""
    return len(chunk.data) > CHUNK_BYTES or chunk.offset < 0


def _translated(error: grpc.aio.AioRpcError, node: str) -> QuorateError:
    """What an agent answered, as the caller may take it for a scheduler's word."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return unavailable(
            "NODE_UNAVAILABLE",
            f"node {node!r}, which has the logs, cannot be reached; try again later",
        )
    said = from_rpc_error(error)
    if said.code not in _ANSWERS:
        # Such as UNAUTHENTICATED: who calls was decided here, not by a node.
        return _misbehaved(node, f"it answered {said.code.name}: {said.message[:_LONGEST_ANSWER]}")
    return said


def _misbehaved(node: str, why: str) -> QuorateError:
    return QuorateError(
        grpc.StatusCode.INTERNAL,
        "NODE_AT_FAULT",
        f"node {node!r} answers the request for logs wrongly: {why}",
        metadata={"node": node},
    )
