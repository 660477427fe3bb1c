"""The routes of sign-in: `/auth/...`.

    GET  /auth/session    who is signed in; also without sign-in configured
    GET  /auth/login      to the provider; `?next=/path` is where the browser goes on afterwards
    GET  /auth/callback   back from the provider
    POST /auth/logout     ends the session; says where the provider's session ends

They redirect to the provider and to paths of the gateway, to nothing else.
"""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import grpc
from prometheus_client.core import Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.component import Context, Part
from gateway.http.problems import HttpError, problem_response
from gateway.oidc.sessions import OUTCOMES, Sessions
from gateway.oidc.signed_in import cookies_of
from gateway.oidc.tokens import SignInRefused
from quorate.runtime.errors import QuorateError
from quorate.telemetry.families import counters

_FRESH: Final = {"Cache-Control": "no-store"}
_POLICY: Final = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
_LONGEST: Final = 4096

Answer = Callable[[Request, Sessions], Awaitable[Response]]


def sign_in_part(context: Context) -> Part:
    """See gateway.component."""
    sessions = context.sessions
    root = context.settings.root_path
    home = context.settings.public_url.rstrip("/") + "/"

    async def session(request: Request) -> Response:
        if sessions is None:
            return JSONResponse({"signIn": False, "signedIn": False}, headers=_FRESH)
        found, cookies = await sessions.current(cookies_of(request.headers))
        answer: dict[str, object] = {"signIn": True, "signedIn": found is not None}
        if found is not None:
            answer |= {
                "subject": found.subject,
                "name": found.name,
                "endTime": datetime.fromtimestamp(found.ends, UTC).isoformat(timespec="seconds"),
            }
        return _with(JSONResponse(answer, headers=_FRESH), cookies)

    async def login(request: Request, sessions: Sessions) -> Response:
        url, cookies = await sessions.begin(request.query_params.get("next", "/"))
        return _with(RedirectResponse(url, 302, _FRESH), cookies)

    async def callback(request: Request, sessions: Sessions) -> Response:
        query = request.query_params
        try:
            if query.get("iss", context.settings.oidc_issuer) != context.settings.oidc_issuer:
                # RFC 9207: another provider's answer.
                raise SignInRefused("the answer comes from another provider")
            if "error" in query:
                raise SignInRefused(f"the provider refused: {query['error'][:200]}")
            code, state = query.get("code", ""), query.get("state", "")
            if not code or len(code) > _LONGEST or len(state) > _LONGEST:
                raise SignInRefused("the provider's answer is incomplete")
            path, cookies = await sessions.complete(cookies_of(request.headers), state, code)
        except SignInRefused as refused:
            return _with(_page(str(refused), root), sessions.abandon())
        return _with(RedirectResponse(root + path, 303, _FRESH), cookies)

    async def logout(request: Request, sessions: Sessions) -> Response:
        found = sessions.of(cookies_of(request.headers))
        url = await sessions.sign_out(found, home) if found is not None else ""
        return _with(JSONResponse({"endSessionUrl": url}, headers=_FRESH), sessions.end())

    def only(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def checked(request: Request) -> Response:
            if sessions is None:
                return problem_response(
                    HttpError(
                        404,
                        grpc.StatusCode.NOT_FOUND,
                        "SIGN_IN_OFF",
                        "this gateway has no sign-in; start it with --oidc-issuer",
                    )
                )
            try:
                return await answer(request, sessions)
            except QuorateError as error:
                return problem_response(error)

        return checked

    def metrics() -> Iterable[Metric]:
        outcomes = dict.fromkeys(OUTCOMES, 0) if sessions is None else sessions.outcomes
        yield counters(
            "quorate_gateway_sign_ins",
            "Sign-ins with the OpenID Connect provider and what became of their sessions.",
            ("outcome",),
            outcomes,
        )

    return Part(
        "sign-in",
        (
            Route("/auth/session", session, methods=["GET"]),
            Route("/auth/login", only(login), methods=["GET"]),
            Route("/auth/callback", only(callback), methods=["GET"]),
            Route("/auth/logout", only(logout), methods=["POST"]),
        ),
        metrics=metrics,
    )


def _with(response: Response, cookies: Sequence[str]) -> Response:
    for cookie in cookies:
        response.headers.append("Set-Cookie", cookie)
    return response


def _page(why: str, root: str) -> Response:
    text = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Sign-in failed</title>"
        f"<h1>Sign-in failed</h1><p>{html.escape(why)}.</p>"
        f'<p><a href="{html.escape(root, quote=True)}/auth/login">Sign in again</a></p></html>'
    )
    return Response(text, 401, {**_FRESH, **_POLICY}, "text/html; charset=utf-8")
