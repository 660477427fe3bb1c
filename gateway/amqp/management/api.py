"""The API as an ASGI application: who asks, for what, and how much of it at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, unquote

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.amqp.management import failures
from gateway.amqp.management.failures import Failure, bad_request, not_found
from gateway.amqp.management.lists import paging
from gateway.amqp.management.login import enter
from gateway.amqp.management.reading import Reading
from gateway.amqp.management.turns import Turns
from gateway.amqp.management.views import PATHS, Asked, Shared, View

log = structlog.get_logger(__name__)

# Seconds for an answer, and for waiting for one's turn.
MOST_SECONDS: Final = 30.0
_MOST_PARAMETERS: Final = 32
_READS: Final = ("GET", "HEAD")


class ManagementApi:
    """See the module. Lives in one event loop."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._turns = Turns()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        response = await self._answer(scope)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        try:
            if scope["method"] not in _READS:
                text = "this API is read-only; use the SDK, the command line or AMQP"
                raise Failure(405, "method_not_allowed", text)
            view, names = route(scope.get("raw_path") or scope["path"].encode())
            async with asyncio.timeout(MOST_SECONDS):
                return failures.answer(await self._value(scope, view, names))
        except Failure as failure:
            return failures.response(failure)
        except TimeoutError:
            text = f"the cluster did not answer within {MOST_SECONDS:g} s"
            return failures.response(Failure(503, "timeout", text))
        except Exception:  # The client learns nothing of it, and the connection goes on.
            log.exception("amqp_management_failed", path=scope["path"][:200])
            return failures.response(Failure(500, "internal_error", "see the gateway's log"))

    async def _value(self, scope: Scope, view: View, names: Sequence[str]) -> object:
        headers, hall = Headers(scope=scope), self._shared.hall
        shown = headers.getlist("authorization")
        cluster, found = await enter(shown, hall.upstream, hall.access)
        reading = Reading(cluster, patterns=bool(found.caller.patterns))
        query = _query(scope["query_string"])
        async with self._turns.of(found.caller.name):
            wanted = paging.wanted_of(query)
            return await view(Asked(self._shared, reading, found, wanted, names))


def route(path: bytes) -> tuple[View, tuple[str, ...]]:
    """What answers a path, and the names in it. Raises Failure 404.

    A slash of a name is `%2F`. Empty steps at the end count for nothing: Flower asks for
    `/api/queues//` where its broker's URL names no virtual host.
    """
    steps = path.partition(b"?")[0].decode(errors="replace").split("/")
    while steps and not steps[-1]:
        steps.pop()
    if steps[:2] != ["", "api"]:
        raise not_found()
    asked = [unquote(step) for step in steps[2:]]
    for pattern, view in PATHS.items():
        pairs = list(zip(pattern, asked, strict=False))
        if len(pattern) == len(asked) and all(a in ("*", b) for a, b in pairs):
            return view, tuple(b for a, b in pairs if a == "*")
    raise not_found()


def _query(text: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise bad_request(f"the query has more than {_MOST_PARAMETERS} parameters") from None
    return dict(pairs)
