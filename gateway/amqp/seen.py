"""Open connections and channels as the management API shows them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

from gateway.amqp.protocol.events import Login
from gateway.amqp.protocol.state import State

_Ends = tuple[str, int]
_UNKNOWN: _Ends = ("unknown", 0)


class ChannelSeen(NamedTuple):
    """An open channel."""

    number: int
    consumers: int
    prefetch: int
    limit: int
    confirms: bool
    transacts: bool
    unacknowledged: int


class ConnectionSeen(NamedTuple):
    """An open connection. `user`: who logged in; empty before that, and where anybody may.

    `caller`: what the cluster calls that user (`submitter:ci`); several may have the same name.
    `number`: of the gateway's connections, in the order in which they were accepted.
    """

    number: int
    user: str
    caller: str
    product: str
    virtual_host: str
    peer: _Ends
    own: _Ends
    tls: bool
    blocked: bool
    channels: tuple[ChannelSeen, ...]

    @property
    def name(self) -> str:
        """As RabbitMQ names connections."""
        return f"{self.peer[0]}:{self.peer[1]} -> {self.own[0]}:{self.own[1]}"


def connection_seen(
    number: int,
    login: Login | None,
    transport: asyncio.Transport | None,
    virtual_host: str,
    blocked: bool,
    states: Iterable[State],
) -> ConnectionSeen:
    """What is known of a connection."""
    info = (lambda name: None) if transport is None else transport.get_extra_info
    peer, own = info("peername"), info("sockname")
    return ConnectionSeen(
        number,
        login.user if login is not None else "",
        login.caller if login is not None else "",
        login.product if login is not None else "",
        virtual_host,
        peer[:2] if isinstance(peer, tuple) else _UNKNOWN,
        own[:2] if isinstance(own, tuple) else _UNKNOWN,
        info("sslcontext") is not None,
        blocked,
        tuple(map(_channel_seen, states)),
    )


def _channel_seen(state: State) -> ChannelSeen:
    return ChannelSeen(
        state.number,
        len(state.consumers),
        state.prefetch,
        state.limit,
        state.confirms,
        state.transacts,
        len(state.unsettled),
    )
