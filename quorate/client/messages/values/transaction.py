"""Transactions from plain arguments; the same for both clients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Unpack

import grpc

from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs, publication
from quorate.client.messages.values.requests import Destination
from quorate.client.transport.rpcs import new_request_id
from quorate.client.work.texts import checked_text
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import broker_pb2 as pb

# As the cluster has it.
MOST_MESSAGES: Final = 512
MOST_DELIVERIES: Final = 5_000
# A new leader that does not know yet what the consumer has; or a delivery that is another one's.
UNKNOWN: Final = ("UNKNOWN_DELIVERY", "SESSION_NOT_FOUND")
_AGAIN: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Message:
    """A message that `client.transact` publishes.

    Args:
        body: bytes as they are, text as UTF-8, any other value as JSON; at most 1 MiB.
        exchange, routing_key: where to; or
        queue: straight to this message queue; mandatory unless `mandatory` is False.
        mandatory: refuse the transaction if it reaches no queue.
        properties: see `MessageArgs`.

    Raises QuorateError: INVALID_ARGUMENT naming the argument.
    """

    __slots__ = ("publication",)

    def __init__(
        self,
        body: Body,
        *,
        exchange: str = "",
        routing_key: str = "",
        queue: str = "",
        mandatory: bool | None = None,
        **properties: Unpack[MessageArgs],
    ) -> None:
        to = Destination.of(exchange, queue, routing_key, mandatory)
        self.publication = publication(
            to.exchange, to.routing_key, body, properties, mandatory=to.mandatory
        )


def transaction(
    messages: Iterable[Message],
    settles: Sequence[tuple[pb.Outcome, Sequence[Received]]],
    session: str,
    consumer: int,
    virtual_host: str,
    request_id: str,
) -> pb.TransactRequest:
    """Raises QuorateError: INVALID_ARGUMENT naming the argument and its limit."""
    publications = [one.publication for one in messages]
    count = sum(len(deliveries) for _, deliveries in settles)
    for field, number, most in (
        ("messages", len(publications), MOST_MESSAGES),
        ("deliveries", count, MOST_DELIVERIES),
    ):
        if number > most:
            raise invalid(field, f"are {number:,}; use at most {most:,}", limit=most, value=number)
    if not (publications or count):
        raise invalid("messages", "a transaction has messages or deliveries, or both")
    return pb.TransactRequest(
        virtual_host=checked_text("virtual_host", virtual_host),
        publications=publications,
        session=session,
        settles=[
            pb.Settle(consumer=consumer, outcome=outcome, ids=[one.id for one in deliveries])
            for outcome, deliveries in settles
            if deliveries
        ],
        request_id=checked_text("request_id", request_id) or new_request_id(),
    )


def one_consumer(deliveries: Iterable[Any]) -> Any:
    """The consumer that has all of these; None: there are none.

    Raises QuorateError: INVALID_ARGUMENT: they are of several consumers.
    """
    found = None
    for one in deliveries:
        consumer = one.consumer
        if found is not None and consumer is not found:
            raise invalid("deliveries", "are of several consumers; a transaction settles one's")
        found = consumer
    return found


def is_lost(error: QuorateError) -> bool:
    """Whether the outcome is not known: the same request is sent again."""
    return error.code in _AGAIN
