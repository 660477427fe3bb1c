"""What each role may do: the whole policy, as data.

A permission is a word that RPCs demand in their proto options (`quorate.security.permissions`).
Submitting a task and writing a service bring a program that nodes then run: only `submitter` and
`admin` hold the first, only `admin` the second. `agent.*` is what the leader does at a node: no
person holds it, so that nobody goes around the leader and its epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quorate.security.identity import Role

PERMISSIONS: Final[Mapping[str, str]] = {
    "tasks.submit": "create tasks",
    "tasks.read": "read, watch and wait for tasks, with results and logs",
    "tasks.control": "cancel, retry and delete tasks",
    "queues.read": "read queues and their counts",
    "queues.control": "pause and resume queues",
    "queues.write": "create, change and delete queues",
    "nodes.read": "read nodes",
    "nodes.control": "cordon and drain nodes",
    "schedules.read": "read schedules and their runs",
    "schedules.control": "pause, resume and run schedules",
    "schedules.write": "create, change and delete schedules, whose tasks nodes then run",
    "services.read": "read and watch services and instances",
    "services.register": "register and deregister instances of services",
    "services.write": "create, change and delete services",
    "exchanges.read": "read virtual hosts, exchanges and bindings",
    "exchanges.write": "create and delete virtual hosts, exchanges and bindings",
    "policies.write": "set and delete policies of message queues and exchanges",
    "message_queues.read": "read message queues and their counts",
    "message_queues.write": "create, purge and delete message queues, and move their messages",
    "messages.publish": "publish messages",
    "messages.consume": "read, take and consume messages",
    "cluster.read": "read the cluster's leader, members and sizes",
    "quotas.read": "read quotas and what is used of them",
    "quotas.write": "set quotas",
    "limits.read": "read shared limits and what is used of them",
    "limits.write": "create, change and delete shared limits",
    "audit.read": "read who changed what",
    "scaling.read": "ask whether there is work for nodes (KEDA)",
    "scaling.mark": "ask how many nodes are needed (KEDA), for which idle ones are marked to go",
    "reflection.read": "list services and messages by gRPC reflection",
    "channelz.read": "see connections and calls by gRPC channelz",
    "agent.session": "give a node work",
    "agent.logs": "read logs from a node",
}

_VIEWER: Final = frozenset(
    (
        *("tasks.read", "queues.read", "nodes.read", "services.read"),
        *("cluster.read", "quotas.read", "limits.read", "scaling.read", "reflection.read"),
        *("schedules.read", "exchanges.read", "message_queues.read"),
    )
)
_OPERATOR: Final = _VIEWER | {
    *("tasks.control", "queues.control", "queues.write", "nodes.control"),
    *("services.register", "audit.read", "limits.write", "scaling.mark", "schedules.control"),
    *("exchanges.write", "policies.write", "message_queues.write"),
}

ROLES: Final[Mapping[Role, frozenset[str]]] = {
    Role.ADMIN: frozenset(name for name in PERMISSIONS if not name.startswith("agent.")),
    Role.OPERATOR: _OPERATOR,
    Role.SUBMITTER: frozenset(
        (
            *("tasks.submit", "tasks.read", "tasks.control", "queues.read"),
            *("cluster.read", "quotas.read", "limits.read", "reflection.read"),
            *("schedules.read", "schedules.control", "schedules.write"),
            *("exchanges.read", "exchanges.write", "message_queues.read", "message_queues.write"),
            *("messages.publish", "messages.consume"),
        )
    ),
    Role.VIEWER: _VIEWER,
    Role.SCALER: frozenset(("scaling.read", "scaling.mark", "cluster.read")),
    Role.SERVICE: frozenset(("services.read", "services.register", "cluster.read")),
    # What a gateway needs for itself; what its users ask goes by their credentials.
    Role.GATEWAY: frozenset(("services.read", "cluster.read")),
    Role.NODE: frozenset(("nodes.read", "cluster.read")),
    Role.SCHEDULER: frozenset(("agent.session", "agent.logs", "cluster.read")),
}


def holds(role: Role, permission: str) -> bool:
    """Whether a role holds a permission."""
    return permission in ROLES[role]
