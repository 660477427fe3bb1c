"""Exchanges, message queues, streams and bindings, from plain arguments; the same for both clients.

Raises QuorateError (INVALID_ARGUMENT) naming the argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypedDict

from quorate.client.messages.values import headers
from quorate.client.messages.values.outgoing import Seconds, span
from quorate.client.transport.rpcs import new_request_id
from quorate.client.work.texts import checked_text
from quorate.runtime.errors import invalid
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

ExchangeKind = Literal["direct", "fanout", "topic", "headers", "consistent-hash"]
OverflowKind = Literal["drop-head", "reject-publish", "reject-publish-dead-letter"]
EXCHANGE_KINDS: Final[Mapping[str, message_pb2.ExchangeType]] = {
    "direct": message_pb2.EXCHANGE_TYPE_DIRECT,
    "fanout": message_pb2.EXCHANGE_TYPE_FANOUT,
    "topic": message_pb2.EXCHANGE_TYPE_TOPIC,
    "headers": message_pb2.EXCHANGE_TYPE_HEADERS,
    "consistent-hash": message_pb2.EXCHANGE_TYPE_CONSISTENT_HASH,
}
OVERFLOWS: Final[Mapping[str, message_pb2.Overflow]] = {
    "drop-head": message_pb2.OVERFLOW_DROP_HEAD,
    "reject-publish": message_pb2.OVERFLOW_REJECT_PUBLISH,
    "reject-publish-dead-letter": message_pb2.OVERFLOW_REJECT_PUBLISH_DEAD_LETTER,
}
_SPANS: Final = ("message_ttl", "expires", "max_age", "consumer_timeout")
_NUMBERS: Final = ("max_length", "max_length_bytes", "max_priority", "delivery_limit")
_LENGTHS: Final = ("max_length", "max_length_bytes")
_FLAGS: Final = ("auto_delete", "single_active_consumer", "durable")
_TEXTS: Final = ("dead_letter_exchange", "dead_letter_routing_key")
_MOST: Final = (1 << 63) - 1


class QueueArgs(TypedDict, total=False):
    """What is asked of a message queue; times in seconds or as timedeltas, at most 365 days."""

    message_ttl: Seconds
    """Age at which messages go (to the dead letter exchange, if there is one); none by default."""
    expires: Seconds
    """The queue is deleted when it was not used for so long; never by default."""
    max_length: int
    """Most messages that are ready; no limit by default. 0: one that no consumer takes at once is
    dropped, or refused."""
    max_length_bytes: int
    """Most bytes of their bodies; no limit by default. 0: as `max_length=0`."""
    overflow: OverflowKind
    """At either limit the oldest go ("drop-head", the default), or new ones are refused."""
    dead_letter_exchange: str
    """Where rejected, expired and dropped messages go; "" is the default exchange. By default they
    are gone."""
    dead_letter_routing_key: str
    """Instead of the message's own, which is the default."""
    max_priority: int
    """Highest priority that counts, 1 to 31; 0 (no priorities) by default."""
    delivery_limit: int
    """A message that came back so often is dead lettered; 20 by default, 0 for no limit."""
    single_active_consumer: bool
    """One consumer at a time; the next one takes over when it goes. False by default."""
    auto_delete: bool
    """The queue goes with its last consumer. False by default."""
    consumer_timeout: Seconds
    """A consumer that settles a delivery later loses it; 30 minutes by default."""
    durable: bool
    """Passed on to AMQP clients; the queue survives restarts whatever it says. True by default."""
    arguments: Mapping[str, Any]
    """`x-` arguments of AMQP, at most 64; none by default."""


class StreamArgs(TypedDict, total=False):
    """What is asked of a stream. Without a limit it keeps all messages."""

    max_age: Seconds
    """Older messages go; none by default."""
    max_length_bytes: int
    """The oldest messages go when all take more; no limit by default."""
    durable: bool
    """As of a message queue; True by default."""
    arguments: Mapping[str, Any]
    """As of a message queue."""


def create_exchange(
    name: str,
    kind: str,
    *,
    auto_delete: bool,
    internal: bool,
    durable: bool,
    alternate: str,
    arguments: Mapping[str, Any] | None,
    virtual_host: str,
) -> pb.CreateExchangeRequest:
    if kind not in EXCHANGE_KINDS:
        raise invalid("kind", f"{kind!r} is not one of {', '.join(EXCHANGE_KINDS)}")
    exchange = message_pb2.Exchange(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("name", name),
        type=EXCHANGE_KINDS[kind],
        auto_delete=auto_delete,
        internal=internal,
        durable=durable,
        arguments=headers.table("arguments", arguments),
    )
    if alternate:
        exchange.arguments["alternate-exchange"].text = checked_text("alternate", alternate)
    return pb.CreateExchangeRequest(exchange=exchange, request_id=new_request_id())


def create_queue(
    name: str, args: QueueArgs, *, virtual_host: str, session: str = "", exclusive: bool = False
) -> pb.CreateMessageQueueRequest:
    spec = _spec(args)
    spec.exclusive = exclusive
    return _create(name, spec, virtual_host, session)


def create_stream(
    name: str, args: StreamArgs, *, virtual_host: str
) -> pb.CreateMessageQueueRequest:
    spec = _spec(args)
    spec.type = message_pb2.MESSAGE_QUEUE_TYPE_STREAM
    spec.no_backlog = False
    return _create(name, spec, virtual_host, "")


def binding(
    queue: str,
    exchange: str,
    routing_key: str,
    *,
    to_exchange: str,
    to_task_queue: str,
    arguments: Mapping[str, Any] | None,
    virtual_host: str,
) -> message_pb2.Binding:
    if bool(queue) + bool(to_exchange) + bool(to_task_queue) != 1:
        raise invalid(
            "queue", "give one of: the message queue that is bound, to_exchange, to_task_queue"
        )
    return message_pb2.Binding(
        virtual_host=checked_text("virtual_host", virtual_host),
        source=checked_text("exchange", exchange),
        message_queue=checked_text("queue", queue) if queue else None,
        exchange=checked_text("to_exchange", to_exchange) if to_exchange else None,
        task_queue=checked_text("to_task_queue", to_task_queue) if to_task_queue else None,
        routing_key=checked_text("routing_key", routing_key),
        arguments=headers.table("arguments", arguments),
    )


def _create(
    name: str, spec: message_pb2.MessageQueueSpec, virtual_host: str, session: str
) -> pb.CreateMessageQueueRequest:
    queue = message_pb2.MessageQueue(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("name", name),
        spec=spec,
    )
    return pb.CreateMessageQueueRequest(
        message_queue=queue, session=session, request_id=new_request_id()
    )


def _spec(args: Mapping[str, Any]) -> message_pb2.MessageQueueSpec:
    spec = message_pb2.MessageQueueSpec(durable=True)
    for name, value in args.items():
        if value is None:
            continue
        if name in _SPANS:
            getattr(spec, name).FromNanoseconds(round(span(name, value) * 1e9))
        elif name in _NUMBERS:
            most = 0xFFFF_FFFF if name in ("max_priority", "delivery_limit") else _MOST
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
                raise invalid(name, f"is {value!r}; use 0 to {most}", limit=most)
            setattr(spec, name, value)
            if value == 0 and name in _LENGTHS:
                spec.no_backlog = True
        elif name in _FLAGS:
            setattr(spec, name, bool(value))
        elif name in _TEXTS:
            setattr(spec, name, checked_text(name, value))
        elif name == "overflow":
            if value not in OVERFLOWS:
                raise invalid("overflow", f"{value!r} is not one of {', '.join(OVERFLOWS)}")
            spec.overflow = OVERFLOWS[value]
        elif name == "arguments":
            for entry, made in headers.table("arguments", value).items():
                spec.arguments[entry].CopyFrom(made)
        else:
            raise TypeError(f"a message queue has no option {name!r}")
    return spec
