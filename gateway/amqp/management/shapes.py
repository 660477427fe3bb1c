"""Message queues, exchanges, bindings and consumers, as RabbitMQ's API shows them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Final

from gateway.amqp.management.rates import Totals
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m

Entry = dict[str, Any]
RatesOf = Callable[[m.MessageQueue, Totals], Totals]

_TYPES: Final[Mapping[int, str]] = {
    m.EXCHANGE_TYPE_DIRECT: "direct",
    m.EXCHANGE_TYPE_FANOUT: "fanout",
    m.EXCHANGE_TYPE_TOPIC: "topic",
    m.EXCHANGE_TYPE_HEADERS: "headers",
    m.EXCHANGE_TYPE_CONSISTENT_HASH: "x-consistent-hash",
}
EXCHANGE_TYPES: Final = tuple(_TYPES.values())
TASK_QUEUE: Final = "task_queue"


def queue(row: m.MessageQueue, rates_of: RatesOf, node: str) -> Entry:
    """A message queue or stream. Messages that are not due yet are no part of `messages`."""
    spec = row.spec
    totals = totals_of(row)
    entry: Entry = {
        "name": row.name,
        "vhost": row.virtual_host,
        "type": _type(spec),
        "durable": spec.durable,
        "auto_delete": spec.auto_delete,
        "exclusive": spec.exclusive,
        "arguments": arguments_of(spec),
        "node": node,
        "state": "running",
        "messages": row.ready + row.unacknowledged,
        "messages_ready": row.ready,
        "messages_unacknowledged": row.unacknowledged,
        "messages_delayed": row.delayed,
        "message_bytes": row.bytes,
        "consumers": row.consumers,
        "policy": row.policy or None,
        "operator_policy": row.operator_policy or None,
        "effective_policy_definition": {},
        "message_stats": stats(totals, rates_of(row, totals)),
    }
    if spec.single_active_consumer:
        entry["single_active_consumer_tag"] = row.active_consumer or None
    if row.HasField("oldest_time"):
        entry["head_message_timestamp"] = row.oldest_time.seconds
    return entry


_OVERFLOWS: Final[Mapping[int, str]] = {
    m.OVERFLOW_REJECT_PUBLISH: "reject-publish",
    m.OVERFLOW_REJECT_PUBLISH_DEAD_LETTER: "reject-publish-dlx",
}
# Of the cluster and of RabbitMQ's quorum queues.
_DEFAULTS: Final[Mapping[str, int]] = {"x-delivery-limit": 20, "x-consumer-timeout": 1_800_000}


def arguments_of(spec: m.MessageQueueSpec) -> Entry:
    """What an AMQP client would have to declare for such a queue."""
    found: Entry = {}
    if spec.type == m.MESSAGE_QUEUE_TYPE_STREAM:
        found["x-queue-type"] = "stream"
    for name, time in (
        ("x-message-ttl", spec.message_ttl),
        ("x-expires", spec.expires),
        ("x-consumer-timeout", spec.consumer_timeout),
    ):
        millis = time.ToMilliseconds()
        if millis and _DEFAULTS.get(name) != millis:
            found[name] = millis
    for name, number in (
        ("x-max-length", spec.max_length),
        ("x-max-length-bytes", spec.max_length_bytes),
        ("x-max-priority", spec.max_priority),
    ):
        if number:
            found[name] = number
    if spec.no_backlog:
        found["x-max-length"] = 0
    if spec.overflow in _OVERFLOWS:
        found["x-overflow"] = _OVERFLOWS[spec.overflow]
    if spec.HasField("dead_letter_exchange"):
        found["x-dead-letter-exchange"] = spec.dead_letter_exchange
    if spec.HasField("dead_letter_routing_key"):
        found["x-dead-letter-routing-key"] = spec.dead_letter_routing_key
    limit = spec.delivery_limit
    if spec.HasField("delivery_limit") and limit != _DEFAULTS["x-delivery-limit"]:
        # 0 is no limit here, and -1 there.
        found["x-delivery-limit"] = limit or -1
    if spec.single_active_consumer:
        found["x-single-active-consumer"] = True
    if spec.HasField("max_age"):
        found["x-max-age"] = f"{spec.max_age.seconds}s"
    # As it was declared.
    return found | table(spec.arguments)


def totals_of(row: m.MessageQueue) -> Totals:
    """Its counts since the leader began."""
    return Totals(
        row.published_total, row.delivered_total, row.acknowledged_total, row.redelivered_total
    )


def stats(totals: Totals, rates: Totals) -> Entry:
    """`message_stats`: counts, and messages a second."""
    names = ("publish", "deliver_get", "ack", "redeliver")
    found: Entry = {}
    for name, total, rate in zip(names, totals, rates, strict=True):
        found[name] = total
        found[f"{name}_details"] = {"rate": rate}
    return found


def _type(spec: m.MessageQueueSpec) -> str:
    if spec.type == m.MESSAGE_QUEUE_TYPE_STREAM:
        return "stream"
    said = spec.arguments["x-queue-type"].text if "x-queue-type" in spec.arguments else ""
    return said or ("classic" if spec.exclusive else "quorum")


def exchange(row: m.Exchange) -> Entry:
    """An exchange."""
    return {
        "name": row.name,
        "vhost": row.virtual_host,
        "type": _TYPES.get(row.type, "unknown"),
        # Predeclared ones have no time of creation.
        "durable": row.durable or not row.HasField("create_time"),
        "auto_delete": row.auto_delete,
        "internal": row.internal,
        "arguments": table(row.arguments),
        "policy": None,
    }


def binding(row: m.Binding) -> Entry:
    """A binding. Its `destination_type` may be `task_queue`, which RabbitMQ does not have."""
    kind = row.WhichOneof("destination") or ""
    arguments = table(row.arguments)
    key = row.routing_key or "~"
    if arguments:
        data = b"".join(
            name.encode() + row.arguments[name].SerializeToString(deterministic=True)
            for name in sorted(row.arguments)
        )
        key = f"{row.routing_key}~{blake2b(data, digest_size=8).hexdigest()}"
    return {
        "source": row.source,
        "vhost": row.virtual_host,
        "destination": getattr(row, kind) if kind else "",
        "destination_type": "queue" if kind == "message_queue" else kind,
        "routing_key": row.routing_key,
        "arguments": arguments,
        "properties_key": key,
    }


def consumer(row: pb.MessageQueueConsumer, queue: m.MessageQueue) -> Entry:
    """A consumer of a message queue, on whichever gateway its channel is."""
    return {
        "queue": {"name": queue.name, "vhost": queue.virtual_host},
        "consumer_tag": row.name or str(row.consumer),
        "ack_required": not row.automatic_ack,
        "exclusive": row.exclusive,
        "prefetch_count": row.prefetch,
        "active": row.active,
        "activity_status": "single_active"
        if row.active and _single(queue)
        else "up"
        if row.active
        else "waiting",
        "unacknowledged": row.unacknowledged,
        "arguments": {"x-priority": row.priority} if row.priority else {},
        "channel_details": {},
    }


def _single(queue: m.MessageQueue) -> bool:
    return queue.spec.single_active_consumer


def table(values: Mapping[str, m.HeaderValue]) -> Entry:
    """Arguments as JSON; binary ones in base64."""
    return {name: _plain(values[name]) for name in sorted(values)}


def _plain(value: m.HeaderValue) -> Any:
    match value.WhichOneof("value"):
        case "boolean":
            return value.boolean
        case "integer":
            return value.integer
        case "number":
            return _finite(value.number)
        case "small_number":
            return _finite(value.small_number)
        case "text":
            return value.text
        case "binary":
            return b64encode(value.binary).decode()
        case "timestamp":
            return value.timestamp.seconds
        case "list":
            return [_plain(one) for one in value.list.values]
        case "table":
            return table(value.table.entries)
        case "decimal":
            return value.decimal.value / 10**value.decimal.scale
    return None


def _finite(number: float) -> float | str:
    # JSON has no others.
    return number if number - number == 0 else str(number)
