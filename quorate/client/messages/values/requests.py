"""Requests of single calls about messages, from plain arguments; the same for both clients.

Raises QuorateError (INVALID_ARGUMENT) naming the argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from quorate.client.messages.values import declaring
from quorate.client.messages.values.outgoing import Body, MessageArgs, publication
from quorate.client.transport.rpcs import new_request_id
from quorate.client.work.texts import checked_text
from quorate.runtime.errors import invalid
from quorate.v1 import broker_pb2 as pb

MOST_OFFSET: Final = (1 << 63) - 1


class Destination(NamedTuple):
    """Where a producer publishes what says nothing else."""

    exchange: str
    routing_key: str
    mandatory: bool

    @classmethod
    def of(cls, exchange: str, queue: str, routing_key: str, mandatory: bool | None) -> Destination:
        """From the arguments of `producer`."""
        if queue and (exchange or routing_key):
            raise invalid("queue", "give a queue, or an exchange and a routing key, not both")
        if queue:
            return cls("", checked_text("queue", queue), mandatory is not False)
        exchange = checked_text("exchange", exchange)
        return cls(exchange, checked_text("routing_key", routing_key), bool(mandatory))


def publish(
    exchange: str,
    body: Body,
    routing_key: str,
    properties: MessageArgs,
    mandatory: bool,
    virtual_host: str,
    request_id: str,
) -> pb.PublishRequest:
    made = publication(exchange, routing_key, body, properties, mandatory=mandatory)
    return pb.PublishRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        publications=[made],
        request_id=checked_text("request_id", request_id) or new_request_id(),
    )


def checked_timeout(timeout: float) -> float:
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        raise invalid("timeout", f"is {timeout!r}; use a number of seconds above 0")
    return float(timeout)


def delete_exchange(name: str, if_unused: bool, virtual_host: str) -> pb.DeleteExchangeRequest:
    return pb.DeleteExchangeRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("name", name),
        if_unused=if_unused,
        request_id=new_request_id(),
    )


def get_queue(name: str, virtual_host: str) -> pb.GetMessageQueueRequest:
    return pb.GetMessageQueueRequest(
        virtual_host=checked_text("virtual_host", virtual_host), name=checked_text("name", name)
    )


def delete_queue(
    name: str, if_unused: bool, if_empty: bool, virtual_host: str
) -> pb.DeleteMessageQueueRequest:
    return pb.DeleteMessageQueueRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("name", name),
        if_unused=if_unused,
        if_empty=if_empty,
        request_id=new_request_id(),
    )


def bind(
    queue: str,
    exchange: str,
    routing_key: str,
    to_exchange: str,
    to_task_queue: str,
    arguments: Mapping[str, Any] | None,
    virtual_host: str,
) -> pb.CreateBindingRequest:
    made = declaring.binding(
        queue,
        exchange,
        routing_key,
        to_exchange=to_exchange,
        to_task_queue=to_task_queue,
        arguments=arguments,
        virtual_host=virtual_host,
    )
    return pb.CreateBindingRequest(binding=made, request_id=new_request_id())


def unbind(
    queue: str,
    exchange: str,
    routing_key: str,
    to_exchange: str,
    to_task_queue: str,
    arguments: Mapping[str, Any] | None,
    virtual_host: str,
) -> pb.DeleteBindingRequest:
    made = bind(queue, exchange, routing_key, to_exchange, to_task_queue, arguments, virtual_host)
    return pb.DeleteBindingRequest(binding=made.binding, request_id=made.request_id)


def list_bindings(
    exchange: str, queue: str, task_queue: str, to_exchange: str, virtual_host: str
) -> pb.ListBindingsRequest:
    return pb.ListBindingsRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        source=checked_text("exchange", exchange),
        message_queue=checked_text("queue", queue),
        task_queue=checked_text("task_queue", task_queue),
        exchange=checked_text("to_exchange", to_exchange),
    )


def peek(queue: str, count: int, offset: int, virtual_host: str) -> pb.PeekMessagesRequest:
    return pb.PeekMessagesRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("queue", queue),
        max_messages=_count(count, 100),
        offset=_number("offset", offset, 0, (1 << 64) - 1),
    )


def receive(queue: str, count: int, virtual_host: str) -> pb.ReceiveMessagesRequest:
    return pb.ReceiveMessagesRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("queue", queue),
        max_messages=_count(count, 1_000),
        request_id=new_request_id(),
    )


def purge(queue: str, virtual_host: str) -> pb.PurgeMessageQueueRequest:
    return pb.PurgeMessageQueueRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("queue", queue),
        request_id=new_request_id(),
    )


def move(queue: str, destination: str, count: int, virtual_host: str) -> pb.MoveMessagesRequest:
    return pb.MoveMessagesRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        name=checked_text("queue", queue),
        destination=checked_text("destination", destination),
        max_messages=_count(count, 10_000),
        request_id=new_request_id(),
    )


def store_offset(
    stream: str, name: str, offset: int, expected: int | None, virtual_host: str
) -> pb.SetStreamOffsetRequest:
    return pb.SetStreamOffsetRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        message_queue=checked_text("stream", stream),
        name=checked_text("name", name),
        offset=_number("offset", offset, 0, MOST_OFFSET),
        expected_offset=None if expected is None else _number("expected", expected, 0, MOST_OFFSET),
    )


def list_offsets(stream: str, virtual_host: str) -> pb.ListStreamOffsetsRequest:
    return pb.ListStreamOffsetsRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        message_queue=checked_text("stream", stream),
    )


def delete_offset(stream: str, name: str, virtual_host: str) -> pb.DeleteStreamOffsetRequest:
    return pb.DeleteStreamOffsetRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        message_queue=checked_text("stream", stream),
        name=checked_text("name", name),
        request_id=new_request_id(),
    )


def _count(count: int, most: int) -> int:
    return _number("count", count, 1, most)


def _number(field: str, value: int, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise invalid(field, f"is {value!r}; use {least} to {most:,}", limit=most, value=value)
    return value
