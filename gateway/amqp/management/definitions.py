"""The declarations of a cluster as a document that RabbitMQ imports.

Left out: what belongs to a connection, what is predeclared, and bindings to task queues, which
RabbitMQ does not have. There are no users and permissions.

https://www.rabbitmq.com/docs/definitions
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.amqp.management import shapes
from quorate.client.messages.values.policies import definition_of
from quorate.v1 import message_pb2 as m

_RESERVED = "amq."


def document(
    *,
    version: str,
    hosts: Iterable[str],
    queues: Sequence[m.MessageQueue],
    exchanges: Sequence[m.Exchange],
    bindings: Sequence[m.Binding],
    policies: Sequence[m.MessagePolicy],
    of_one: bool,
) -> dict[str, Any]:
    """The document. `of_one`: of one virtual host, which it does not name."""
    kept = [row for row in queues if not row.spec.exclusive]
    names = {(row.virtual_host, row.name) for row in kept}
    found: dict[str, Any] = {
        "product_name": "Quorate",
        "product_version": version,
        "queues": [_queue(row) for row in kept],
        "exchanges": [
            _without(shapes.exchange(row), "policy")
            for row in exchanges
            if row.name and not row.name.startswith(_RESERVED)
        ],
        "bindings": [
            _without(shapes.binding(row), "properties_key")
            for row in bindings
            if row.exchange or (row.virtual_host, row.message_queue) in names
        ],
        "policies": [_policy(row) for row in policies if not row.operator],
        "parameters": [_operator_policy(row) for row in policies if row.operator],
    }
    if of_one:
        lists = ("queues", "exchanges", "bindings", "policies", "parameters")
        for entry in (entry for name in lists for entry in found[name]):
            del entry["vhost"]
        return found
    return found | {
        "vhosts": [{"name": name} for name in hosts],
        "users": [],
        "permissions": [],
        "topic_permissions": [],
        "global_parameters": [],
    }


def _queue(row: m.MessageQueue) -> dict[str, Any]:
    return {
        "name": row.name,
        "vhost": row.virtual_host,
        "durable": row.spec.durable,
        "auto_delete": row.spec.auto_delete,
        "arguments": shapes.arguments_of(row.spec),
    }


def _policy(row: m.MessagePolicy) -> dict[str, Any]:
    return {
        "vhost": row.virtual_host,
        "name": row.name,
        "pattern": row.pattern,
        "apply-to": row.apply_to,
        "definition": definition_of(row),
        "priority": row.priority,
    }


def _operator_policy(row: m.MessagePolicy) -> dict[str, Any]:
    """RabbitMQ exports it as a parameter."""
    value = _policy(row)
    host, name = value.pop("vhost"), value.pop("name")
    return {"component": "operator_policy", "vhost": host, "name": name, "value": value}


def _without(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != name}
