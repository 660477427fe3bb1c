"""Health: `/healthz` says that the process serves, `/readyz` that it is worth sending requests to.

Ready means: not leaving, and connected to some scheduler. Whether there is a leader just now does
not count: it comes back within seconds, and taking every gateway out of service would not help.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.component import Context, Part
from gateway.http.problems import problem_response
from quorate.runtime.errors import QuorateError, unavailable

# Seconds; probes commonly wait one.
_CONNECT = 0.8
_FRESH = {"Cache-Control": "no-store"}


async def why_not_ready(context: Context) -> QuorateError | None:
    """Why this gateway should get no requests just now; None when it should."""
    if context.stopping.is_set():
        return unavailable("GATEWAY_SHUTTING_DOWN", "this gateway is shutting down")
    if not await context.upstream.reachable(_CONNECT):
        addresses = ", ".join(context.upstream.addresses)
        return unavailable("NO_SCHEDULER", f"no scheduler can be reached at {addresses}")
    return None


def health_part(context: Context) -> Part:
    """See gateway.component."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_FRESH)

    async def readyz(request: Request) -> Response:
        why = await why_not_ready(context)
        if why is not None:
            return problem_response(why)
        return JSONResponse({"status": "ready"}, headers=_FRESH)

    return Part("health", (Route("/healthz", healthz), Route("/readyz", readyz)))
