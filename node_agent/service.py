"""The NodeAgent service: protobuf and status codes around `session` and `log_reader`."""

from __future__ import annotations

from typing import Any

import structlog

from node_agent.driver import Driver
from node_agent.log_reader import read_logs
from node_agent.logs import STDOUT
from node_agent.session import Sessions
from quorate.runtime.errors import QuorateError, abort, invalid, not_found
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import node_agent_pb2_grpc, scheduler_pb2

_log = structlog.get_logger("node_agent.service")

MAX_TAIL_LINES = 100_000


class NodeAgent(node_agent_pb2_grpc.NodeAgentServicer):
    """What the leader dials."""

    def __init__(self, driver: Driver, sessions: Sessions) -> None:
        self._driver = driver
        self._sessions = sessions

    async def Session(self, request_iterator: Any, context: Any) -> None:
        """See `node_agent.session`."""
        try:
            await self._sessions.serve(context)
        except QuorateError as error:
            _log.info("session refused or ended", reason=error.reason, why=error.message)
            await abort(context, error)

    async def ReadLogs(self, request: pb.ReadLogsRequest, context: Any) -> None:
        """See `node_agent.log_reader`."""
        try:
            number = self._attempt(request)
        except QuorateError as error:
            await abort(context, error)
        chunks = read_logs(
            self._driver.logs,
            request.task_id,
            number,
            offset=request.offset,
            tail_lines=request.tail_lines,
            follow=request.follow,
            runs=lambda: self._driver.runs(request.task_id, number),
        )
        async for chunk in chunks:
            stream = (
                scheduler_pb2.LOG_STREAM_STDOUT
                if chunk.stream == STDOUT
                else scheduler_pb2.LOG_STREAM_STDERR
            )
            log = scheduler_pb2.LogChunk(stream=stream, offset=chunk.offset, data=chunk.data)
            await context.write(pb.ReadLogsResponse(chunk=log))

    def _attempt(self, request: pb.ReadLogsRequest) -> int:
        """Which attempt is meant. Raises QuorateError."""
        if request.offset < 0:
            raise invalid("offset", f"{request.offset} is negative", limit=0)
        if not 0 <= request.tail_lines <= MAX_TAIL_LINES:
            raise invalid(
                "tail_lines", f"{request.tail_lines} must be 0 to 100,000", limit=MAX_TAIL_LINES
            )
        logs, task_id, number = self._driver.logs, request.task_id, request.attempt
        if number == 0:
            number = logs.latest(task_id) or 0
        if number <= 0 or not (self._driver.runs(task_id, number) or logs.knows(task_id, number)):
            raise not_found("task", task_id)
        return number
