"""Requests of signed-in browsers become requests with a bearer token.

A request that shows no token, and whose session cookie holds, gets the `Authorization` header that
a program would send; everything behind treats the two alike. The cookie counts for pages of the
gateway's own origin only, for reads too, whatever `--cors-origins` says: what other origins may ask
for they ask with tokens.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http.edge import is_foreign
from gateway.oidc.sessions import Sessions
from gateway.oidc.tokens import SignInRefused
from quorate.runtime.errors import QuorateError


class SignedIn:
    """The layer around the app that does it. HTTP only: see `token_of_cookies` for WebSockets."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else None
        if (
            headers is None
            or "cookie" not in headers
            or "authorization" in headers
            or is_foreign(headers, ())
        ):
            await self._app(scope, receive, send)
            return
        try:
            session, cookies = await self._sessions.current(cookies_of(headers))
        except (QuorateError, SignInRefused):
            session, cookies = None, []
        if session is not None:
            bearer = (b"authorization", f"Bearer {session.id_token}".encode())
            scope = {**scope, "headers": [*scope["headers"], bearer]}

        async def send_on(message: Message) -> None:
            if cookies and message["type"] == "http.response.start":
                # What the app itself sets counts: it comes later.
                set_ = [(b"set-cookie", cookie.encode()) for cookie in cookies]
                message = {**message, "headers": [*set_, *message.get("headers", ())]}
            await send(message)

        await self._app(scope, receive, send_on)


def cookies_of(headers: Headers) -> str:
    """All cookies of a request: HTTP/2 proxies may split the header."""
    return "; ".join(headers.getlist("cookie"))


def token_of_cookies(sessions: Sessions | None, headers: Headers) -> str:
    """The token of a WebSocket handshake by cookie; empty without a session.

    A handshake cannot set cookies, so nothing is renewed: a client that is refused asks for
    `/auth/session`, which renews, and connects again.
    """
    if sessions is None or is_foreign(headers, ()):
        return ""
    session = sessions.of(cookies_of(headers))
    return session.id_token if session is not None and sessions.holds(session) else ""
