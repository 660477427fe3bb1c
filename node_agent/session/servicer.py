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
from node_agent.logs.finding import Part
from node_agent.logs.reader import Window, read_logs, search_logs
from node_agent.session.session import Sessions
from quorate.runtime.errors import QuorateError, abort, invalid, not_found
from quorate.runtime.parsing import parse_request
from quorate.v1 import node_agent_pb2 as pb
from quorate.v1 import scheduler_pb2

_log = structlog.get_logger("node_agent.service")

SERVICE = pb.DESCRIPTOR.services_by_name["NodeAgent"].full_name
MAX_TAIL_LINES = 100_000
MAX_TEXT_BYTES = 1_024
MAX_MATCHES = 1_000
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
                "SearchLogs": grpc.unary_unary_rpc_method_handler(
                    self.search_logs, None, pb.SearchLogsResponse.SerializeToString
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

    async def search_logs(self, body: bytes, context: Any) -> pb.SearchLogsResponse | None:
        """SearchLogs: see `node_agent.logs.reader`."""
        try:
            return await self._search(parse_request(pb.SearchLogsRequest, body, "SearchLogs"))
        except QuorateError as error:
            await abort(context, error)
        except Exception:  # noqa: BLE001 (as above)
            await _bug("SearchLogs", context)

    async def _search(self, request: pb.SearchLogsRequest) -> pb.SearchLogsResponse:
        text = request.text.encode()
        if not 0 < len(text) <= MAX_TEXT_BYTES or b"\n" in text:
            raise invalid("text", "must be 1 to 1,024 bytes without a line end")
        if not 0 < request.max_matches <= MAX_MATCHES:
            raise invalid("max_matches", f"must be 1 to {MAX_MATCHES}", limit=MAX_MATCHES)
        begins = (request.stdout_from, request.stderr_from)
        _check_places(("stdout_from", begins[0]), ("stderr_from", begins[1]))
        number = self._attempt(request.task_id, request.attempt)
        out, err = await search_logs(
            self._driver.logs, request.task_id, number, text, begins, request.max_matches
        )
        answer = pb.SearchLogsResponse(
            stdout_next=out.next, stderr_next=err.next, complete=out.complete and err.complete
        )
        for stream, found in (
            (scheduler_pb2.LOG_STREAM_STDOUT, out),
            (scheduler_pb2.LOG_STREAM_STDERR, err),
        ):
            for match, time in zip(found.matches, found.times, strict=True):
                added = answer.matches.add(
                    stream=stream, offset=match.offset, at=match.at, line=match.line
                )
                if time:
                    added.time.FromNanoseconds(time)
        return answer

    async def _send_logs(self, request: pb.ReadLogsRequest, context: Any) -> None:
        window = _window(request)
        number = self._attempt(request.task_id, request.attempt)
        chunks = read_logs(
            self._driver.logs,
            request.task_id,
            number,
            window,
            follow=request.follow,
            runs=lambda: self._driver.runs(request.task_id, number),
        )
        async for chunk in chunks:
            if isinstance(chunk, list):
                if request.with_extent:
                    await context.write(pb.ReadLogsResponse(extent=_extent(chunk)))
                continue
            stream = (
                scheduler_pb2.LOG_STREAM_STDOUT
                if chunk.stream == STDOUT
                else scheduler_pb2.LOG_STREAM_STDERR
            )
            log = scheduler_pb2.LogChunk(stream=stream, offset=chunk.offset, data=chunk.data)
            if chunk.time:
                log.time.FromNanoseconds(chunk.time)
            await context.write(pb.ReadLogsResponse(chunk=log))

    def _attempt(self, task_id: str, number: int) -> int:
        """Which attempt is meant. Raises QuorateError."""
        logs = self._driver.logs
        if number == 0:
            number = logs.latest(task_id) or 0
        if number <= 0 or not (self._driver.runs(task_id, number) or logs.knows(task_id, number)):
            raise not_found("task", task_id)
        return number


def _window(request: pb.ReadLogsRequest) -> Window:
    """What is to be read. Raises QuorateError."""
    _check_places(
        ("offset", request.offset),
        *(("stdout_from", request.stdout_from), ("stderr_from", request.stderr_from)),
        *(("stdout_until", request.stdout_until), ("stderr_until", request.stderr_until)),
    )
    for field in ("tail_lines", "head_lines"):
        if not 0 <= (lines := getattr(request, field)) <= MAX_TAIL_LINES:
            raise invalid(field, f"{lines} must be 0 to 100,000", limit=MAX_TAIL_LINES)
    return Window(
        (max(request.offset, request.stdout_from), max(request.offset, request.stderr_from)),
        (request.stdout_until, request.stderr_until),
        request.tail_lines,
        request.head_lines,
        request.with_extent,
    )


def _check_places(*places: tuple[str, int]) -> None:
    for field, place in places:
        if place < 0:
            raise invalid(field, f"{place} is negative", limit=0)


def _extent(parts: list[Part]) -> scheduler_pb2.LogExtent:
    out, err = (
        scheduler_pb2.LogStreamExtent(
            size=part.size,
            begin=part.begin,
            # Where it goes on as it grows, or to the end of what is there, there is no end.
            end=part.end if part.end < part.size else 0,
            lines_before=part.lines_before,
            dropped=part.dropped,
        )
        for part in parts
    )
    return scheduler_pb2.LogExtent(stdout=out, stderr=err)


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
