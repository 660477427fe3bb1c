"""Which ports of this machine a local cluster may have.

A port is claimed before it is probed, and kept claimed for as long as the cluster runs. So two
`up`s never choose the same one, and none probes what another has chosen: a probe listens for a
moment, and made the port look taken to its owner, or was in the way of its owner's server.
"""

from __future__ import annotations

import socket
import sys
from types import TracebackType

from quorate.security.same_user import NO_IPV6, PortHolds

HOST = "127.0.0.1"


class PortClaims:
    """The ports that one `up` has chosen: claimed until it is closed.

    A claim is a name in Linux's abstract socket namespace: atomic, and gone with the process.
    Elsewhere there are none, and two `up`s that start at once may choose the same port.

    Args:
        holds: also hold, for this user's servers alone, the ports that are taken with `hold`.
    """

    def __init__(self, holds: PortHolds | None = None) -> None:
        # As many as an `up` has ports: some 160 at most.
        self._claims: dict[int, socket.socket] = {}
        self._holds = holds

    def __enter__(self) -> PortClaims:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every port."""
        while self._claims:
            self._claims.popitem()[1].close()

    def take(self, port: int, *, hold: bool = False) -> bool:
        """Whether no other `up` has the port and a server could listen there now.

        Then it is ours; else nothing is kept, not even if it was ours. With `hold` no other user's
        server can listen there from now on. That a server could listen is not enough for it: for a
        minute after connections were closed, a port can be held only if their server shared it.
        """
        if not self._claim(port):
            return False
        if is_free(port) and (not hold or self._hold(port)):
            return True
        if claim := self._claims.pop(port, None):
            claim.close()
        return False

    def _hold(self, port: int) -> bool:
        if self._holds is None:
            return True
        try:
            self._holds.take(HOST, [port])
        except OSError:
            return False
        return True

    def _claim(self, port: int) -> bool:
        if port in self._claims or not sys.platform.startswith("linux"):
            return True
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0quorate-up-{port}")
        except OSError:
            claim.close()
            return False
        self._claims[port] = claim
        return True


def is_free(port: int) -> bool:
    """Whether a server could listen there now, and nobody does at the other address of `localhost`.

    Whoever listens at ::1 would get what is meant for `localhost`.
    """
    return _is_free(socket.AF_INET, HOST, port) and _is_free(socket.AF_INET6, "::1", port)


def _is_free(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        probe = socket.socket(family)
    except OSError:
        return family is socket.AF_INET6
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            return error.errno in NO_IPV6
        return True
