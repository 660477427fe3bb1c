"""Ports for replicas.

A port is drawn, bound to and let go again (`quorate.runtime.network.free_port`). Between that and
the program's own bind another process may take it; then the program ends with EADDRINUSE, and is
started again with another port. What this module rules out is that two replicas of this node get
the same one, or that one gets the port of a replica that is just gone, to which requests may still
be on their way.
"""

from __future__ import annotations

from collections import deque

from quorate.runtime.errors import QuorateError
from quorate.runtime.network.free_port import free_port

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
                # A program may bind to any address.
                port = free_port(everywhere=True)
            except QuorateError as error:
                raise NoPort(error.message) from error
            if port not in self._held and port not in self._resting:
                self._held.add(port)
                return port
        raise NoPort(f"no free port in {_TRIES} tries")

    def release(self, port: int) -> None:
        """The replica is gone."""
        self._held.remove(port)
        self._resting.append(port)
