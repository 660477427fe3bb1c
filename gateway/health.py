"""Health: `/healthz` says that the process serves, `/readyz` that it is worth sending requests to.

Ready means: not leaving, and connected to some scheduler. Whether there is a leader just now does
not count: it comes back within seconds, and taking every gateway out of service would not help.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.part import Context, Part
from gateway.rest.problems import problem_response
from quorate.runtime.errors import unavailable

# Seconds; probes commonly wait one.
_CONNECT = 0.8
_FRESH = {"Cache-Control": "no-store"}


def health_part(context: Context) -> Part:
    """See gateway.part."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=_FRESH)

    async def readyz(request: Request) -> Response:
        if context.stopping.is_set():
            return problem_response(unavailable("GATEWAY_LEAVING", "this gateway is being stopped"))
        if not await context.upstream.reachable(_CONNECT):
            addresses = ", ".join(context.upstream.addresses)
            return problem_response(
                unavailable("NO_SCHEDULER", f"no scheduler can be reached at {addresses}")
            )
        return JSONResponse({"status": "ready"}, headers=_FRESH)

    return Part("health", (Route("/healthz", healthz), Route("/readyz", readyz)))
