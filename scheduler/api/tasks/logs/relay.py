"""StreamTaskLogs and SearchTaskLogs: an attempt's output, relayed from the node that has it."""

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
# Bytes of a line that was found. Agents send 1,000.
MATCH_BYTES: Final = 4_000
DEFAULT_MATCHES: Final = 100
# Seconds that a node has for a search, and between two looks whether a silent node is still there.
SEARCH_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.5
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in the stubs
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
    node, attempt = await _place(driver, stored, task, request.attempt, follow=request.follow)
    ask = node_agent_pb2.ReadLogsRequest(
        task_id=task,
        attempt=attempt,
        follow=request.follow,
        offset=request.offset,
        tail_lines=request.tail_lines,
        stdout_from=request.stdout_from,
        stderr_from=request.stderr_from,
        stdout_until=request.stdout_until,
        stderr_until=request.stderr_until,
        head_lines=request.head_lines,
        with_extent=request.with_extent,
    )
    async with aclosing(_answers(sessions, node, ask)) as answers:
        async for answer in answers:
            if answer.HasField("extent"):
                answer.extent.node, answer.extent.attempt = node, attempt
                yield pb.StreamTaskLogsResponse(extent=answer.extent)
            else:
                answer.chunk.attempt = attempt
                yield pb.StreamTaskLogsResponse(chunk=answer.chunk)


async def search_logs(
    driver: Driver,
    stored: FencedReads,
    sessions: Sessions,
    task: TaskId,
    request: pb.SearchTaskLogsRequest,
) -> pb.SearchTaskLogsResponse:
    """Answer SearchTaskLogs. Raises QuorateError as `relay_logs` does."""
    node, attempt = await _place(driver, stored, task, request.attempt)
    most = request.max_matches or DEFAULT_MATCHES
    ask = node_agent_pb2.SearchLogsRequest(
        task_id=task,
        attempt=attempt,
        text=request.text,
        stdout_from=request.stdout_from,
        stderr_from=request.stderr_from,
        max_matches=most,
    )
    stub: Any = node_agent_pb2_grpc.NodeAgentStub(_channel(sessions, node))
    try:
        found = await stub.SearchLogs(ask, timeout=SEARCH_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise _away(node) from error
        raise _translated(error, node) from error
    end = found.stdout_next + found.stderr_next
    if not isinstance(found, node_agent_pb2.SearchLogsResponse) or (
        len(found.matches) > most
        or any(_is_no_match(match) for match in found.matches)
        # It would be asked for the same for ever.
        or found.stdout_next < request.stdout_from
        or found.stderr_next < request.stderr_from
        or not (found.complete or end > request.stdout_from + request.stderr_from)
    ):
        raise _misbehaved(node, "it sent what is no result of a search")
    return pb.SearchTaskLogsResponse(
        matches=found.matches,
        stdout_next=found.stdout_next,
        stderr_next=found.stderr_next,
        complete=found.complete,
        attempt=attempt,
    )


async def read_from_node(
    sessions: Sessions,
    node: str,
    task: TaskId,
    attempt: int,
    *,
    follow: bool = False,
    offset: int = 0,
) -> AsyncGenerator[pb.LogChunk, None]:
    """What an attempt (or a chunk of an array) wrote on a node.

    Raises:
        QuorateError: NOT_FOUND when the node does not have it, UNAVAILABLE when the node is away.
    """
    ask = node_agent_pb2.ReadLogsRequest(
        task_id=task, attempt=attempt, follow=follow, offset=offset
    )
    async with aclosing(_answers(sessions, node, ask)) as answers:
        async for answer in answers:
            yield answer.chunk


async def _answers(
    sessions: Sessions, node: str, ask: node_agent_pb2.ReadLogsRequest
) -> AsyncGenerator[node_agent_pb2.ReadLogsResponse, None]:
    """What a node sends, as long as it is there: one that is lost says nothing of itself."""
    channel = _channel(sessions, node)
    call: Any = node_agent_pb2_grpc.NodeAgentStub(channel).ReadLogs(ask)
    next_one: asyncio.Future[Any] = asyncio.ensure_future(call.read())
    checked = _Checked(ask)
    try:
        while True:
            while not (await asyncio.wait((next_one,), timeout=LOOK_SECONDS))[0]:
                if _link(sessions, node) is not channel:
                    raise _away(node)
            answer = next_one.result()
            if answer is _EOF:
                return
            if not checked.may_be(answer):
                raise _misbehaved(node, "it sent what is no piece of a log")
            next_one = asyncio.ensure_future(call.read())
            yield answer
    except grpc.aio.AioRpcError as error:
        raise _translated(error, node) from error
    finally:
        call.cancel()
        next_one.cancel()
        await asyncio.gather(next_one, return_exceptions=True)


def _link(sessions: Sessions, node: str) -> grpc.aio.Channel | None:
    row = sessions.driver.state.nodes.get(NodeName(node))
    return sessions.channel(row.instance) if row is not None else None


def _channel(sessions: Sessions, node: str) -> grpc.aio.Channel:
    """The channel to a node. Raises QuorateError: UNAVAILABLE."""
    channel = _link(sessions, node)
    if channel is None:
        raise _away(node)
    return channel


def _away(node: str) -> QuorateError:
    return unavailable(
        "NODE_UNAVAILABLE",
        f"node {node!r}, which has the logs, cannot be reached; try again later",
    )


async def _place(
    driver: Driver, stored: FencedReads, task: TaskId, attempt: int, *, follow: bool = False
) -> tuple[str, int]:
    """The node and number of the attempt that is asked for."""
    while True:
        place = await _recorded(driver, stored, task, attempt)
        if place is not None:
            return place
        row = driver.state.tasks.get(task)
        if row is None or row.state is TaskState.RUNNING:
            # It may have been given out, or have ended, in memory alone when it was read.
            await driver.readable()
            place = await _recorded(driver, stored, task, attempt)
            if place is not None:
                return place
            raise no_attempt(task, attempt)
        if not follow or attempt not in (0, row.attempt + 1):
            raise no_attempt(task, attempt)
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


class _Checked:
    """Whether an agent can have read its answers from a log: what it sends gets on, from where it
    was asked to begin to where it was asked to end. So a part of a log is no endless answer."""

    def __init__(self, ask: node_agent_pb2.ReadLogsRequest) -> None:
        self._extent = ask.with_extent
        self._next = {
            pb.LOG_STREAM_STDOUT: max(ask.offset, ask.stdout_from),
            pb.LOG_STREAM_STDERR: max(ask.offset, ask.stderr_from),
        }
        self._until = {
            pb.LOG_STREAM_STDOUT: ask.stdout_until,
            pb.LOG_STREAM_STDERR: ask.stderr_until,
        }

    def may_be(self, answer: Any) -> bool:
        """Whether this can follow on what came before."""
        if not isinstance(answer, node_agent_pb2.ReadLogsResponse):
            return False
        extent, self._extent = self._extent, False
        if answer.HasField("extent"):
            return extent and not answer.HasField("chunk")
        chunk = answer.chunk
        known = self._next.get(chunk.stream)
        if known is None or not 0 < len(chunk.data) <= CHUNK_BYTES:
            return False
        end, until = chunk.offset + len(chunk.data), self._until[chunk.stream]
        self._next[chunk.stream] = end
        return chunk.offset >= known and not (until and end > until)


def _is_no_match(match: pb.LogMatch) -> bool:
    return len(match.line) > MATCH_BYTES or match.offset < 0 or match.at < match.offset


def _translated(error: grpc.aio.AioRpcError, node: str) -> QuorateError:
    """What an agent answered, as the caller may take it for a scheduler's word."""
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return _away(node)
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return QuorateError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "NODE_TOO_OLD",
            f"node {node!r}, which has the logs, cannot search them: its agent is of an earlier "
            "version",
            metadata={"node": node},
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
