"""REST as a part of the gateway: one route for all operations, the document and its page."""

from __future__ import annotations

from starlette.routing import BaseRoute, NoMatchFound
from starlette.routing import Match as Matched
from starlette.types import Receive, Scope, Send

from gateway.component import Context, Part
from gateway.http.jsonwrite import dump
from gateway.http.sub_path import inner_raw_path
from gateway.rest.calls import RestCalls
from gateway.rest.openapi.docs import docs_routes
from gateway.rest.openapi.document import document
from gateway.rest.operations import operations_of
from gateway.rest.router import Router
from quorate import __version__

# Where a request's scope has its match.
STATE = "quorate.rest.match"


class RestRoute(BaseRoute):
    """Takes every path that an operation has, whatever the method."""

    def __init__(self, router: Router, calls: RestCalls) -> None:
        self._router = router
        self._calls = calls

    def matches(self, scope: Scope) -> tuple[Matched, Scope]:
        """See BaseRoute."""
        if scope["type"] != "http":
            return Matched.NONE, {}
        match = self._router.match(inner_raw_path(scope))
        return (Matched.NONE, {}) if match is None else (Matched.FULL, {STATE: match})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See BaseRoute."""
        await self._calls.serve(scope[STATE], scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> NoMatchFound:  # type: ignore[override]
        """REST paths have no names."""
        raise NoMatchFound(name, path_params)


def rest_part(context: Context) -> Part:
    """See gateway.component."""
    operations = operations_of()
    router = Router(operations)
    calls = RestCalls(context.settings, context.upstream, router, context.stopping)
    described = document(
        operations, title="Quorate", version=__version__, server=context.settings.root_path
    )
    return Part("rest", (RestRoute(router, calls), *docs_routes(dump(described))))
