"""The NodeAgent service: protobuf and status codes around `session` and `log_reader`.

Requests come as bytes and are parsed here: what does not parse, and what fails by our own bug,
is a typed error like any other. gRPC itself would make a bare UNKNOWN of either.
"""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
import structlog

from node_agent.engine.driver import Driver
from node_agent.logs.attempt_log import STDOUT
from node_agent.logs.reader import read_logs
from node_agent.session.session import Sessions
from quorate.runtime.errors import QuorateError, abort, invalid, not_found
from quorate.runtime.parsing import parse_request
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import scheduler_pb2

_log = structlog.get_logger("node_agent.service")

SERVICE = pb.DESCRIPTOR.services_by_name["NodeAgent"].full_name
MAX_TAIL_LINES = 100_000
# Missing in the stubs.
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class NodeAgent:
    """What the leader dials."""

    def __init__(self, driver: Driver, sessions: Sessions) -> None:
        self._driver = driver
        self._sessions = sessions

    def handler(self) -> Any:
        """What a server is given to serve this."""
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Session": grpc.stream_stream_rpc_method_handler(
                    self.session, None, pb.SessionResponse.SerializeToString
                ),
                "ReadLogs": grpc.unary_stream_rpc_method_handler(
                    self.read_logs, None, pb.ReadLogsResponse.SerializeToString
                ),
            },
        )

    async def session(self, requests: Any, context: Any) -> None:
        """Session: see `node_agent.session.session`."""
        try:
            await self._sessions.serve(_Parsing(context))
        except QuorateError as error:
            _log.info("session_ended", reason=error.reason, why=error.message)
            await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:  # noqa: BLE001 (logged with its traceback; the caller gets INTERNAL)
            await _bug("Session", context)

    async def read_logs(self, body: bytes, context: Any) -> None:
        """ReadLogs: see `node_agent.logs.reader`."""
        try:
            await self._send_logs(parse_request(pb.ReadLogsRequest, body, "ReadLogs"), context)
        except QuorateError as error:
            await abort(context, error)
        except grpc.aio.AbortError:
            raise
        except Exception:  # noqa: BLE001 (as above)
            await _bug("ReadLogs", context)

    async def _send_logs(self, request: pb.ReadLogsRequest, context: Any) -> None:
        number = self._attempt(request)
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
            if chunk.time:
                log.time.FromNanoseconds(chunk.time)
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


class _Parsing:
    """A session's context, whose requests are parsed as they are read."""

    def __init__(self, context: Any) -> None:
        self.write = context.write
        self._context = context

    async def read(self) -> Any:
        """The next request, or EOF. Raises QuorateError for what is none."""
        body = await self._context.read()
        return body if body is _EOF else parse_request(pb.SessionRequest, body, "Session")


async def _bug(method: str, context: Any) -> NoReturn:
    """Answer INTERNAL for the exception under way; the traceback goes to the log alone."""
    _log.exception("call_handler_failed", method=method)
    error = QuorateError(
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "the node agent failed on this call because of a bug; the agent's log has the traceback",
        metadata={"method": method},
    )
    await abort(context, error)
