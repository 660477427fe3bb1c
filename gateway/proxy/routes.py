"""Whose a request is by its host: the gateway's own, or a service's. Pure.

Each service has an origin of its own, so that what its pages leave in a browser (service workers,
storage, permissions) is never the dashboard's, nor another service's:

| host | whose |
|---|---|
| `localhost`, an address, one of `--hosts` | the gateway's |
| `NAME.localhost`, `NAME.<--service-domain>` | the service NAME's, whether there is one or not |
| one of a service's `proxy.hosts` | that service's, where the gateway knows its own names |
| `--service-domain` itself | nobody's: cookies of its pages would be all services' |
| any other | the gateway's, which refuses it where it knows its names |

The order matters: no claim in `proxy.hosts` takes a name of the gateway, or one that belongs to a
service by its name. Where nobody said which names are the gateway's (`hosts` is None) any claim
could be of one of them, so there are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from gateway.http.hosts import LOCAL, is_address, is_own, normal
from gateway.proxy.options import ProxyOptions

log = structlog.get_logger(__name__)

# Hosts whose owner is remembered.
MOST: Final = 1_024


class Routes:
    """Finds the service of a host.

    Args:
        claims: services' keys by the hosts that they claim; the caller says when it changes.
    """

    def __init__(self, options: ProxyOptions, claims: Mapping[bytes, bytes]) -> None:
        self._own = options.hosts
        domains = (LOCAL, options.domain) if options.domain else (LOCAL,)
        self._domains = tuple(f".{domain}" for domain in domains)
        self._claims = claims
        # By Host header as it came: the service's name, or None for the gateway.
        self._known: dict[bytes, bytes | None] = {}

    def on_changed(self) -> None:
        """Claims are others than before."""
        self._known.clear()

    def service_of(self, host: bytes) -> bytes | None:
        """The name of the service that a Host header means; None when it means the gateway."""
        try:
            return self._known[host]
        except KeyError:
            if len(self._known) >= MOST:
                self._known.clear()
            found = self._known[host] = self._find(normal(host.decode("latin-1")))
            return found

    def _find(self, name: str) -> bytes | None:
        if is_own(name, self._own):
            return None
        for domain in self._domains:
            if name.endswith(domain):
                return name.removesuffix(domain).encode("latin-1")
            if name == domain[1:]:
                return None
        service = self._claims.get(name.encode("latin-1"))
        if service is not None and self._own is None:
            log.warning(
                "service_host_ignored",
                host=name,
                service=service.decode(),
                advice="set --hosts to the gateway's own names",
            )
            return None
        return service

    def address_of(self, service: str, host: bytes) -> str | None:
        """Where a browser that came by `host` finds a service: host and port; None: nowhere."""
        text = host.decode("latin-1")
        name = normal(text)
        port = text.rpartition(":")[2] if text.rpartition(":")[2].isdecimal() else ""
        if name == LOCAL or name.startswith("127.") or name == "::1":
            domain = f".{LOCAL}"
        elif len(self._domains) > 1 and not is_address(name):
            domain = self._domains[1]
        else:
            return None
        return f"{service}{domain}:{port}" if port else f"{service}{domain}"
