"""The proxy as a part of the gateway: its duties, and its figures at `/v1/gateway/services`.

Figures are shown to whoever may list the cluster's services: they name services and addresses.
The figures are this gateway's own: what it sees of the services, and what it did with requests.
Another replica has others.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.auth.credentials import Access, token_of
from gateway.auth.verified import readers_of_services
from gateway.cluster.calls import Upstream
from gateway.cluster.service_view import ServiceView
from gateway.component import Part
from gateway.proxy.balancing.checks import Checks
from gateway.proxy.proxy import Proxy

PATH = "/v1/gateway/services"
# Seconds for the cluster to say whether a caller may see the figures.
_JUDGED = 5.0


def proxy_part(proxy: Proxy, upstream: Upstream, access: Access) -> Part:
    """See gateway.component. Goes before `rest`; `proxy.protocol` goes into uvicorn's settings."""
    view = ServiceView(upstream, proxy)
    checks = Checks(proxy.services)

    readers = readers_of_services(upstream, access)

    async def figures(request: Request) -> Response:
        token = token_of(Headers(scope=request.scope).getlist("authorization"))
        access.check(token)
        await readers.check(token, _JUDGED)
        body = {**proxy.snapshot(), "view": {"live": view.live, "revision": view.revision}}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    return Part(
        "proxy", (Route(PATH, figures, methods=["GET"]),), (proxy.run, view.run, checks.run)
    )
