"""A port for a server that is started next."""

from __future__ import annotations

import random
import socket
from collections import deque
from typing import Final

from quorate.runtime.errors import unavailable

# Below those that the kernel gives to outgoing connections (`ip_local_port_range`, from 32,768 on):
# one of these could be in use again before its server listens.
PORTS: Final = range(10_000, 32_768)
# Draws before it is given up.
_TRIES: Final = 100
# The latest ports that this process drew: whoever asked may not have bound to its port yet.
_drawn: Final[deque[int]] = deque(maxlen=1_000)


def free_port(*, everywhere: bool = False) -> int:
    """A TCP port of 127.0.0.1 that nothing listens on right now, drawn at random.

    It is none of the last 1,000 that this process drew. Another process may take it until its
    server binds to it.

    Args:
        everywhere: free on every address of the machine, IPv6 ones too.

    Raises QuorateError UNAVAILABLE (NO_FREE_PORT).
    """
    for _ in range(_TRIES):
        port = random.choice(PORTS)
        if port not in _drawn and _is_free(port, everywhere):
            _drawn.append(port)
            return port
    where = "of the machine" if everywhere else "of 127.0.0.1"
    raise unavailable("NO_FREE_PORT", f"none of {_TRIES} ports {where} is free")


def _is_free(port: int, everywhere: bool) -> bool:
    both = everywhere and socket.has_dualstack_ipv6()
    with socket.socket(socket.AF_INET6 if both else socket.AF_INET) as probe:
        if both:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        host = ("::" if both else "") if everywhere else "127.0.0.1"
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
