"""Connections and channels of AMQP clients: those of the gateway that is asked.

Each caller sees its own. Whoever may read the audit log (operators and admins), or anybody where
callers are not known, sees all.
"""

from __future__ import annotations

from typing import Any

from gateway.amqp.hall import Hall
from gateway.amqp.seen import ChannelSeen, ConnectionSeen

Entry = dict[str, Any]
_SEES_ALL = "audit.read"


def visible(hall: Hall, caller: Any) -> list[ConnectionSeen]:
    """The connections that a caller (`quorate.v1.Caller`) sees, the oldest first."""
    seen = sorted((one.seen for one in hall.connections), key=lambda one: one.number)
    known = bool(caller.name.partition(":")[2])
    if not known or _SEES_ALL in caller.permissions:
        return seen
    return [one for one in seen if one.caller == caller.name]


def connection(seen: ConnectionSeen, node: str) -> Entry:
    """One connection."""
    return {
        "name": seen.name,
        "user": seen.user,
        "vhost": seen.virtual_host,
        "state": "blocked" if seen.blocked else "running",
        "protocol": "AMQP 0-9-1",
        "type": "network",
        "peer_host": seen.peer[0],
        "peer_port": seen.peer[1],
        "host": seen.own[0],
        "port": seen.own[1],
        "ssl": seen.tls,
        "channels": len(seen.channels),
        "client_properties": {"product": seen.product},
        "node": node,
    }


def channel(seen: ConnectionSeen, one: ChannelSeen, node: str) -> Entry:
    """One channel."""
    return {
        "name": f"{seen.name} ({one.number})",
        "number": one.number,
        "user": seen.user,
        "vhost": seen.virtual_host,
        "state": "running",
        "consumer_count": one.consumers,
        "prefetch_count": one.prefetch,
        "global_prefetch_count": one.limit,
        "confirm": one.confirms,
        "transactional": one.transacts,
        "messages_unacknowledged": one.unacknowledged,
        "connection_details": {
            "name": seen.name,
            "peer_host": seen.peer[0],
            "peer_port": seen.peer[1],
        },
        "node": node,
    }
