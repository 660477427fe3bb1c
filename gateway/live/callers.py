"""A hub for each credential: what is shared among clients is shared among those of one caller.

A hub asks the cluster with its callers' own token, so that the scheduler decides what each of them
is told, and nothing that one may see gets to another. Clients without a token share one hub, which
lasts as long as the gateway; the others' hubs are closed `LINGER` seconds after the last client
went, and at once when the cluster refused the token. At most `limits.CALLERS` at a time: beyond it
a handshake is answered 503.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc

from gateway.live import limits
from gateway.live.hub import Hub
from gateway.rest.problems import HttpFault


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

    def __iter__(self) -> Iterator[Hub]:
        yield self.nobodys
        for home in self._homes.values():
            yield home.hub

    def of(self, token: str) -> Hub:
        """The hub of a token. Raises HttpFault."""
        if not token:
            return self.nobodys
        home = self._homes.get(token)
        if home is None:
            if len(self._homes) >= limits.CALLERS:
                raise HttpFault(
                    503,
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "TOO_MANY_CALLERS",
                    f"{limits.CALLERS} callers are connected; at most {limits.CALLERS} may be",
                    metadata={"limit": str(limits.CALLERS)},
                    headers={"Retry-After": "1"},
                )
            home = self._homes[token] = _Home(self._make(token))
        home.idle_since = None
        return home.hub

    async def look(self, now: float) -> None:
        """Close those that nobody has been connected to for a while."""
        for token, home in list(self._homes.items()):
            if home.hub.sessions:
                home.idle_since = None
            elif home.idle_since is None:
                home.idle_since = now
            elif home.hub.refused or now - home.idle_since >= limits.LINGER:
                # Forgotten first: who connects meanwhile gets a new one.
                del self._homes[token]
                await home.hub.close()

    async def close(self) -> None:
        """End all background tasks."""
        for hub in self:
            await hub.close()
