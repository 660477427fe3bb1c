"""Ports for replicas.

A port is found by binding to port 0 and letting go again. Between that and the program's own bind
another process may take it; then the program ends with EADDRINUSE, and is started again with
another port. What this module rules out is that two replicas of this node get the same one, or
that one gets the port of a replica that is just gone, to which requests may still be on their way.
"""

from __future__ import annotations

import socket
from collections import deque

# Ports let go of lately: more than are given out while a gateway learns that one is gone.
_RESTING = 256
_TRIES = 64


class NoPort(Exception):
    """The machine has no free port left."""


class Ports:
    """The ports of all live replicas."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._resting: deque[int] = deque(maxlen=_RESTING)

    def take(self) -> int:
        """A port on which nobody listens, on any address. Raises NoPort."""
        for _ in range(_TRIES):
            try:
                port = _free_port()
            except OSError as error:
                raise NoPort(f"no free port: {error.strerror}") from error
            if port not in self._held and port not in self._resting:
                self._held.add(port)
                return port
        raise NoPort(f"no free port in {_TRIES} tries")

    def release(self, port: int) -> None:
        """The replica is gone."""
        self._held.remove(port)
        self._resting.append(port)


def _free_port() -> int:
    """A port that is free on all addresses, as a program may bind to any of them."""
    if socket.has_dualstack_ipv6():
        with socket.socket(socket.AF_INET6) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("::", 0))
            return int(probe.getsockname()[1])
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
