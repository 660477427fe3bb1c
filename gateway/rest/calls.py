"""One HTTP request to a REST operation: bind, call, answer.

Failures are raised as QuorateError and become problem responses in `__call__`; anything else that
escapes is our bug, which `gateway.app` answers with 500.

**Conditions.** A GET has the entity tag of what it answers. `If-Match` compares what callers can
change of it, not what moves by itself (see `reply.tag_of`). `If-Match` on a change is passed on
where the request, or the resource in it, has an `etag` field that the body leaves empty, and the
service compares as it commits. Elsewhere the gateway reads the resource (its GET without
parameters) and compares before it calls: that refuses what is stale when the request comes, but not
what becomes so in the instant between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar, cast

import grpc
from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from gateway.auth.credentials import Access, CallerCluster, token_of
from gateway.auth.verified import known_callers
from gateway.cluster.calls import Upstream
from gateway.config import GatewaySettings
from gateway.http.jsonwrite import dump, to_json
from gateway.http.problems import HttpError, problem_response, wrong_method
from gateway.rest import headers as h
from gateway.rest.binding import bind, deadline_of
from gateway.rest.bodies import Body, BodyBudget, ClientGone
from gateway.rest.operations import Operation
from gateway.rest.query import read_path
from gateway.rest.reply import send_empty, send_json, tag_of
from gateway.rest.router import Match, Router
from gateway.rest.streams import Streams, until_gone
from quorate.runtime.errors import QuorateError, invalid

T = TypeVar("T")

_REVALIDATE: Final = {"Cache-Control": "no-cache"}
_CHANGED: Final = {"Cache-Control": "no-store"}
# Bytes of JSON from which reading or writing it takes more than a few milliseconds, and the loop is
# kept free.
_IN_A_THREAD: Final = 16 * 1024
# Threads that do it: each of them takes the interpreter from the loop for a millisecond at a time.
_THREADS: Final = 2


class RestCalls:
    """Serves the operations of a router."""

    def __init__(
        self,
        settings: GatewaySettings,
        upstream: Upstream,
        router: Router,
        stopping: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._access = Access.of(settings)
        self._upstream = upstream
        self._known = known_callers(upstream, self._access)
        self._router = router
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="json")
        self._budget = BodyBudget(settings.max_buffered_mib << 20)
        self._streams = Streams(
            most=settings.max_streams,
            keepalive=settings.keepalive,
            stopping=stopping,
        )

    async def serve(self, match: Match, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request whose path is `match`."""
        try:
            operation = _operation(match, scope["method"])
            if operation is None:
                await send_empty(send, 204, {"Allow": allowed(match)})
            elif operation.method.streams:
                await self._stream(operation, match, scope, receive, send)
            else:
                await self._unary(operation, match, scope, receive, send)
        except ClientGone:
            pass
        except QuorateError as error:
            await problem_response(error)(scope, receive, send)

    async def _stream(
        self, operation: Operation, match: Match, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = Headers(scope=scope)
        token, cluster = self._caller(headers)
        asked = h.timeout(headers)
        message = await self._message(operation, match, scope, headers, receive, token)
        timeout = None if asked is None else min(asked, self._settings.max_timeout)
        await self._streams.serve(cluster, operation, message, timeout, scope, receive, send)

    async def _unary(
        self, operation: Operation, match: Match, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = Headers(scope=scope)
        token, cluster = self._caller(headers)
        asked = h.timeout(headers)
        wanted, known = h.tags(headers, h.IF_MATCH), h.tags(headers, h.IF_NONE_MATCH)
        wanted = wanted and wanted.unmoved
        message = await self._message(operation, match, scope, headers, receive, token)
        timeout = deadline_of(
            operation,
            message,
            asked,
            default=self._settings.default_timeout,
            most=self._settings.max_timeout,
        )
        if not operation.reads:
            if known is not None:
                raise invalid(h.IF_NONE_MATCH, "is allowed with GET only", reason=h.MALFORMED)
            if wanted is not None:
                await self._check_current(cluster, operation, match, message, wanted, timeout)
        call = cluster.unary(operation.method, message, timeout=timeout, reads=operation.reads)
        try:
            answer = await (_unless_gone(call, receive) if operation.method.long_poll else call)
        except QuorateError as error:
            if wanted is None or error.reason != "ETAG_MISMATCH":
                raise
            raise _stale() from None
        if not operation.reads:
            body = await self._apart(answer.ByteSize(), lambda: _json(operation, answer))
            await send_json(scope, send, body, headers=_CHANGED)
            return
        size = answer.ByteSize()
        tag = await self._apart(size, lambda: tag_of(answer))
        if wanted is not None and not wanted.matches(h.unmoved(tag), weakly=False):
            raise _stale()
        if known is not None and known.matches(tag, weakly=True):
            await send_empty(send, 304, {"ETag": f'"{tag}"', **_REVALIDATE})
            return
        body = await self._apart(size, lambda: _json(operation, answer))
        await send_json(scope, send, body, headers=_REVALIDATE, tag=tag)

    async def _message(
        self,
        operation: Operation,
        match: Match,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        token: str,
    ) -> Message:
        if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
            # Nobody whom the cluster does not know has a body read.
            await self._known.check(token, self._settings.default_timeout)
        limit = self._settings.max_body_kib << 10
        with Body(self._budget, limit=limit, timeout=self._settings.read_timeout) as body:
            content = await body.read(headers, receive)
            query = scope["query_string"]
            return await self._apart(
                len(content) + len(query), lambda: bind(operation, match, query, headers, content)
            )

    async def _apart(self, size: int, work: Callable[[], T]) -> T:
        """The result of `work` on `size` bytes: not on the event loop when they are many."""
        if size < _IN_A_THREAD:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _caller(self, headers: Headers) -> tuple[str, CallerCluster]:
        """The request's token, and the cluster as its owner sees it. Raises HttpFault 401."""
        token = token_of(headers.getlist("authorization"))
        self._access.check(token)
        return token, CallerCluster(self._upstream, self._access.metadata(token))

    async def _check_current(
        self,
        cluster: CallerCluster,
        operation: Operation,
        match: Match,
        message: Message,
        wanted: h.Tags,
        timeout: float,
    ) -> None:
        tagged: Any = message
        if operation.body not in ("", "*"):
            tagged = getattr(message, operation.body)
        if len(wanted.strong) == 1 and getattr(tagged, "etag", None) == "":
            tagged.etag = next(iter(wanted.strong))
            return
        getter = self._router.getter(operation)
        if getter is None:
            raise invalid(
                h.IF_MATCH, "is not allowed: this resource has no entity tag", reason=h.MALFORMED
            )
        request = getter.method.request()
        for path, text in match.values(getter).items():
            read_path(request, path, text)
        current = await cluster.unary(getter.method, request, timeout=timeout, reads=True)
        if not wanted.matches(h.unmoved(tag_of(current)), weakly=False):
            raise _stale()


def allowed(match: Match) -> str:
    """The methods of a path, for `Allow`."""
    methods = set(match.operations)
    if "GET" in methods and not match.operations["GET"].method.streams:
        methods.add("HEAD")
    return ", ".join(sorted(methods | {"OPTIONS"}))


def _operation(match: Match, method: str) -> Operation | None:
    """The operation of a method; None for OPTIONS. Raises HttpFault 405."""
    found = match.operations.get(method)
    if found is None and method == "HEAD":
        # The server leaves the body out.
        found = match.operations.get("GET")
        if found is not None and found.method.streams:
            found = None
    if found is None and method != "OPTIONS":
        raise wrong_method(method, allowed(match))
    return found


def _json(operation: Operation, answer: Message) -> bytes:
    value = getattr(answer, operation.response_field) if operation.response_field else answer
    return dump(to_json(value))


def _stale() -> HttpError:
    return HttpError(
        412,
        grpc.StatusCode.FAILED_PRECONDITION,
        "ETAG_MISMATCH",
        f"{h.IF_MATCH}: the resource is not (or no longer) what the tag names",
    )


async def _unless_gone(call: Any, receive: Receive) -> Message:
    """The answer of a long call, which is cancelled when the client goes. Raises ClientGone."""
    answer = asyncio.ensure_future(call)
    gone = asyncio.ensure_future(until_gone(receive))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ClientGone
        return cast("Message", answer.result())
    finally:
        for task in (answer, gone):
            task.cancel()
        await asyncio.wait((answer, gone))
