"""A hub for each credential: what is shared among clients is shared among those of one caller.

A hub asks the cluster with its callers' own token, so that the scheduler decides what each of them
sees, and nothing that one may see gets to another. Clients without a token share one hub, which
lasts as long as the gateway.

    new token --> unproven --the cluster answers--> proven --no client for LINGER s--> closed
                    '--the cluster refuses, or others need the place--> closed

At most `limits.CALLERS` hubs are proven at a time: beyond it a handshake is answered 503. But a
caller with several tokens (a JWT is easily had anew) keeps nobody out: the one with the most of
them loses the oldest (1013: try again). Whoever makes tokens up gets none of those places: a hub
that the cluster has not answered yet has one of `limits.UNPROVEN`, of which the oldest is closed
(1013: try again) when a new one is needed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import structlog

from gateway.http.problems import HttpError
from gateway.live import limits
from gateway.live.hub import Hub

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Home:
    hub: Hub
    idle_since: float | None = None


class Hubs:
    """The hubs of one gateway.

    Args:
        make: a hub that asks with a token; the empty one for nobody's.
    """

    def __init__(self, make: Callable[[str], Hub]) -> None:
        self._make = make
        self.nobodys = make("")
        self._homes: dict[str, _Home] = {}
        # Hubs that were let go, until their background tasks have ended.
        self._closing: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Hub]:
        yield self.nobodys
        for home in self._homes.values():
            yield home.hub

    def of(self, token: str) -> Hub:
        """The hub of a token. Raises HttpFault."""
        if not token:
            return self.nobodys
        home = self._homes.get(token)
        if home is not None and home.hub.refused:
            # Its clients are being notified; who comes now is judged anew.
            self._let_go(token)
            home = None
        if home is None:
            self._make_room()
            home = self._homes[token] = _Home(self._make(token))
        home.idle_since = None
        return home.hub

    def _make_room(self) -> None:
        """Raises HttpFault."""
        unproven = [token for token, home in self._homes.items() if not home.hub.proven]
        if len(self._homes) - len(unproven) >= limits.CALLERS and not self._drop_one_of_many():
            raise HttpError(
                503,
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_CALLERS",
                f"{limits.CALLERS} callers are connected; at most {limits.CALLERS} may be",
                metadata={"limit": str(limits.CALLERS)},
                headers={"Retry-After": "1"},
            )
        if len(unproven) >= limits.UNPROVEN:
            log.warning("live_unproven_dropped", limit=limits.UNPROVEN)
            self._homes[unproven[0]].hub.dismiss("others wait to be let in; try again")
            self._let_go(unproven[0])

    def _drop_one_of_many(self) -> bool:
        """Let go the oldest token of the caller who has the most; False when all have one."""
        tokens: defaultdict[str, list[str]] = defaultdict(list)
        for token, home in self._homes.items():
            if home.hub.caller:
                tokens[home.hub.caller].append(token)
        most = max(tokens.values(), key=len, default=[])
        if len(most) < 2:
            return False
        log.warning("live_token_dropped", caller=self._homes[most[0]].hub.caller, tokens=len(most))
        self._homes[most[0]].hub.dismiss("others wait to be let in, and you have other tokens")
        self._let_go(most[0])
        return True

    def _let_go(self, token: str) -> None:
        hub = self._homes.pop(token).hub
        closing = asyncio.create_task(hub.close(), name="close hub")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def look(self, now: float) -> None:
        """Close those that nobody has been connected to for a while."""
        for token, home in list(self._homes.items()):
            if home.hub.refused:
                self._let_go(token)
            elif home.hub.sessions:
                home.idle_since = None
            elif home.idle_since is None:
                home.idle_since = now
            elif not home.hub.proven or now - home.idle_since >= limits.LINGER:
                self._let_go(token)
        if self._closing:
            await asyncio.wait(self._closing)

    async def close(self) -> None:
        """End all background tasks."""
        for token in list(self._homes):
            self._let_go(token)
        await self.nobodys.close()
        if self._closing:
            await asyncio.wait(self._closing)
