"""A streamed answer: NDJSON, or Server-Sent Events when `Accept` prefers them.

    NDJSON  one JSON value a line; a failure under way is a last line {"error": problem}
    SSE     `data:` has the JSON value, `id:` the resume token where the method has one, so that a
            browser's reconnect (Last-Event-ID) goes on without a gap; a failure is the event
            `problem`, the regular end the event `end`; comments keep silent connections open

The status is sent with the first answer, or after a second without one; a failure before that is an
ordinary problem response. A client that is gone, or does not read (the listener cuts it off), ends
the upstream call; nothing is buffered but what gRPC's and the socket's windows hold. When the
gateway shuts down, streams end with the problem GATEWAY_SHUTTING_DOWN: clients connect to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, cast

import grpc
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gateway.auth.credentials import CallerCluster
from gateway.http.jsonwrite import dump, to_json
from gateway.http.problems import HttpError, problem
from gateway.rest import headers as h
from gateway.rest.operations import Operation
from gateway.rest.reply import start
from quorate.runtime.errors import QuorateError, unavailable

NDJSON: Final = "application/x-ndjson"
SSE: Final = "text/event-stream"
# Seconds until the status is sent although there is no answer yet.
_OPENING: Final = 1.0
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class _Ndjson:
    media_type = NDJSON
    opening = b""
    keepalive = b""
    end = b""

    def message(self, answer: Message) -> bytes:
        return dump(to_json(answer)) + b"\n"

    def failure(self, error: QuorateError) -> bytes:
        return dump({"error": problem(error)}) + b"\n"


class _Events:
    media_type = SSE
    # How soon a browser reconnects: milliseconds.
    opening = b"retry: 500\n\n"
    keepalive = b": keepalive\n\n"
    end = b"event: end\ndata: {}\n\n"

    def message(self, answer: Message) -> bytes:
        token = getattr(answer, "resume_token", "")
        mark = b"id: " + token.encode() + b"\n" if token and token.isprintable() else b""
        return mark + b"data: " + dump(to_json(answer)) + b"\n\n"

    def failure(self, error: QuorateError) -> bytes:
        return b"event: problem\ndata: " + dump(problem(error)) + b"\n\n"


class Streams:
    """Serves streamed answers; at most `most` at the same time.

    Args:
        keepalive: seconds of silence between comments.
        stopping: set when the gateway leaves.
    """

    def __init__(self, *, most: int, keepalive: float, stopping: asyncio.Event) -> None:
        self._most = most
        self._keepalive = keepalive
        self._stopping = stopping
        self._open = 0

    async def serve(
        self,
        cluster: CallerCluster,
        operation: Operation,
        message: Message,
        timeout: float | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer one request. Raises QuorateError while nothing was sent."""
        if self._open >= self._most:
            raise HttpError(
                503,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_STREAMS",
                f"{self._open} streams are open; at most {self._most} may be",
                metadata={"limit": str(self._most)},
            )
        headers = Headers(scope=scope)
        form = _form(headers)
        if operation.method.resumes and (last := h.last_event_id(headers)):
            # A browser that reconnects repeats the first URL with its old token.
            cast("Any", message).resume_token = last
        self._open += 1
        try:
            answers = cluster.stream(operation.method, message, timeout=timeout)
            async with aclosing(cast("Any", answers)):
                await self._relay(answers, form, receive, send)
        finally:
            self._open -= 1

    async def _relay(
        self,
        answers: AsyncIterator[Message],
        form: _Ndjson | _Events,
        receive: Receive,
        send: Send,
    ) -> None:
        gone = asyncio.ensure_future(until_gone(receive))
        ending = asyncio.ensure_future(self._stopping.wait())
        answer = asyncio.ensure_future(_next(answers))
        tasks: tuple[asyncio.Future[Any], ...] = (answer, gone, ending)
        try:
            await asyncio.wait(tasks, timeout=_OPENING, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() and (error := answer.exception()) is not None:
                raise error
            await start(send, 200, {"Content-Type": form.media_type, **_HEADERS})
            await _send(send, form.opening)
            while not gone.done():
                if answer.done():
                    part, last = _part(answer, form)
                elif ending.done():
                    left = unavailable(
                        "GATEWAY_SHUTTING_DOWN",
                        "this gateway is shutting down; connect to another one",
                    )
                    part, last = form.failure(left), True
                else:
                    part, last = form.keepalive, False
                await _send(send, part, last=last)
                if last:
                    return
                if answer.done():
                    answer = asyncio.ensure_future(_next(answers))
                    tasks = (answer, gone, ending)
                await asyncio.wait(
                    tasks, timeout=self._keepalive, return_when=asyncio.FIRST_COMPLETED
                )
        finally:
            for task in (answer, gone, ending):
                task.cancel()
            await asyncio.wait((answer, gone, ending))


async def _next(answers: AsyncIterator[Message]) -> Message | None:
    return await anext(answers, None)


def _part(answer: asyncio.Future[Message | None], form: _Ndjson | _Events) -> tuple[bytes, bool]:
    """What to send of a read that is done, and whether it is the last."""
    error = answer.exception()
    if isinstance(error, QuorateError):
        return form.failure(error), True
    if error is not None:
        raise error
    message = answer.result()
    return (form.end, True) if message is None else (form.message(message), False)


async def _send(send: Send, part: bytes, *, last: bool = False) -> None:
    if part or last:
        await send({"type": "http.response.body", "body": part, "more_body": not last})


async def until_gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _form(headers: Headers) -> _Ndjson | _Events:
    events = h.accepts(headers, "Accept", SSE)
    return _Events() if events > h.accepts(headers, "Accept", NDJSON) else _Ndjson()
