"""The proxy as a part of the gateway: its duties, and its figures at `/v1/gateway/services`.

The figures are this gateway's own: what it sees of the services, and what it did with requests.
Another replica has others.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.part import Part
from gateway.proxy.checks import Checks
from gateway.proxy.proxy import Proxy
from gateway.upstream import Upstream
from gateway.view import ServiceView

PATH = "/v1/gateway/services"


def proxy_part(proxy: Proxy, upstream: Upstream) -> Part:
    """See gateway.part. Goes before `rest`; `proxy.protocol` goes into uvicorn's settings."""
    view = ServiceView(upstream, proxy)
    checks = Checks(proxy.services)

    async def figures(request: Request) -> Response:
        body = {**proxy.snapshot(), "view": {"live": view.live, "revision": view.revision}}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    return Part(
        "proxy", (Route(PATH, figures, methods=["GET"]),), (proxy.run, view.run, checks.run)
    )
