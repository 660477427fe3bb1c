"""What holds for every answer: pages of other origins may not act, failures are problems.

A request whose Host is not the gateway's is refused whatever it wants: see `gateway.http.hosts`.

A browser sends a user's requests from any page. A change that a page of another origin asks for is
refused unless that origin is configured; the rules are those of Go's http.CrossOriginProtection:
`Sec-Fetch-Site` where the browser sends it, else `Origin` against `Host`. Programs send neither.
Reading needs no check: without CORS a browser does not show the answer to the page. A door that no
page uses may refuse that, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import grpc
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.hosts import Names, rejection
from gateway.http.problems import (
    HttpError,
    internal,
    no_route,
    problem_response,
    wrong_method,
)
from quorate.runtime.errors import QuorateError

log = structlog.get_logger(__name__)

_SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))


def is_foreign(headers: Headers, origins: Sequence[str]) -> bool:
    """Whether a page of an origin that is not allowed sent this. For WebSockets too."""
    origin = headers.get("origin", "")
    if origin and ("*" in origins or origin in origins):
        return False
    site = headers.get("sec-fetch-site", "")
    if site:
        return site not in ("same-origin", "none")
    # "null": a sandboxed page or a file.
    return bool(origin) and urlsplit(origin).netloc != headers.get("host", "")


class Edge:
    """Refuses foreign pages' changes, and adds the headers that every answer has.

    Args:
        reads: whether foreign pages may ask for what changes nothing.
    """

    def __init__(
        self, app: ASGIApp, origins: Sequence[str], names: Names = None, *, reads: bool = True
    ) -> None:
        self._app = app
        self._origins = tuple(origins)
        self._names = names
        self._free = _SAFE if reads else frozenset[str]()
        self._text = (
            "pages of this origin may not make changes; see --cors-origins"
            if reads
            else "web pages may not ask here"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                answered["X-Content-Type-Options"] = "nosniff"
                answered.setdefault("Referrer-Policy", "same-origin")
            await send(message)

        headers = Headers(scope=scope)
        refused = rejection(headers.get("host", ""), self._names)
        if (
            refused is None
            and scope["method"] not in self._free
            and is_foreign(headers, self._origins)
        ):
            refused = HttpError(
                403,
                grpc.StatusCode.PERMISSION_DENIED,
                "FOREIGN_ORIGIN",
                self._text,
            )
        if refused is not None:
            await problem_response(refused)(scope, receive, send_on)
            return
        await self._app(scope, receive, send_on)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such route, wrong method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return problem_response(no_route(request.scope["path"]))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return problem_response(wrong_method(request.method, allowed))
    failure = HttpError(
        error.status_code,
        grpc.StatusCode.INVALID_ARGUMENT,
        "BAD_REQUEST",
        str(error.detail),
        headers=error.headers,
    )
    return problem_response(failure)


async def on_rejection(request: Request, error: Exception) -> Response:
    """A part's QuorateError."""
    assert isinstance(error, QuorateError)
    return problem_response(error)


async def on_bug(request: Request, error: Exception) -> Response:
    """Anything else. Starlette raises it again, so that the server logs the traceback."""
    log.error("request_handler_failed", method=request.method, path=request.scope["path"])
    return problem_response(internal())
