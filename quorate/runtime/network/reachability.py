"""Is a process gone? What the kernel of its machine says about its port.

A refused connection is proof that nothing listens at an address *now*: the machine is up and its
kernel says so. Silence proves nothing (partition, power loss, SIGSTOP, a full backlog), so every
other outcome, including a name that does not resolve, counts as "not refused". Nothing here keeps
state; a failure of the check itself is an answer of False.
"""

from __future__ import annotations

import asyncio
import socket

from quorate.runtime.network.addresses import split_address

_RETRY_PAUSE = 0.002


async def refused(address: str, *, timeout: float = 0.25, persist: float = 0.05) -> bool:
    """Whether a raw TCP connect to `address` is refused.

    A killed process closes its sockets one after the other, and its peers may learn of a broken
    stream before the listener is closed; so a connect that succeeds is tried again for `persist`
    seconds before the answer is False.

    Args:
        address: `host:port`; an IPv6 host in brackets.
        timeout: seconds for one attempt to connect; silence that long is an answer of False.
        persist: seconds during which an accepted connect is tried again; 0 tries once.

    Returns:
        True when every address of the host refuses; False on anything else.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + persist
    while True:
        try:
            async with asyncio.timeout(timeout):
                answer = await _refused_once(address)
        except (TimeoutError, OSError, ValueError):
            return False
        if answer or loop.time() >= until:
            return answer
        await asyncio.sleep(_RETRY_PAUSE)


async def _refused_once(address: str) -> bool:
    host, port = split_address(address)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, target in found:
        with socket.socket(family, kind, protocol) as probe:
            probe.setblocking(False)
            try:
                await loop.sock_connect(probe, target)
            except (ConnectionRefusedError, ConnectionResetError):
                # A reset: the listener went away with our connection still in its queue.
                continue
            # A port of the ephemeral range that nobody listens on can be connected to itself.
            if probe.getsockname() != probe.getpeername():
                return False
    return bool(found)
