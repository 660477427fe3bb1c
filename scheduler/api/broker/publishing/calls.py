"""Publish: some messages, answered when all of them are durable; and PublishStream."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import broker_pb2 as pb
from scheduler.api.asking import identified
from scheduler.api.broker import validate
from scheduler.api.broker.publishing.publications import (
    MOST_MESSAGES,
    Reader,
    check_together,
    enveloped,
    weight_of,
)
from scheduler.api.broker.publishing.results import producer_key, result
from scheduler.api.broker.publishing.stream import PublishStream
from scheduler.api.origin import caller_name
from scheduler.api.request_sizes import size_of_request
from scheduler.api.servicer import Context
from scheduler.api.validate import at_most
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishAnswer
from scheduler.core.broker.queues.envelope import parse
from scheduler.core.broker.routing.rows import Route
from scheduler.engine.broker.driver import BrokerDriver

# Of one message, that are named in the answer.
MOST_QUEUES: Final = 100


class PublishCalls:
    """One method for each RPC; each raises QuorateError."""

    def __init__(self, broker: BrokerDriver, max_message: int) -> None:
        self._broker = broker
        self._max_message = max_message

    async def Publish(self, request: pb.PublishRequest, context: Context) -> Message:
        host = validate.virtual_host(request.virtual_host)
        if not request.publications:
            raise invalid("publications", "at least one is required")
        at_most("publications", len(request.publications), MOST_MESSAGES, "publications")
        if request.report_queues and len(request.publications) > 1:
            count = len(request.publications)
            raise invalid("report_queues", f"is for one publication; there are {count}")
        check_together(size_of_request.get(), len(request.publications))
        producer = producer_key(host, validate.short("producer", request.producer))
        publications = Reader(host, self._max_message).read_all(enveloped(request.publications))
        if producer:
            _check_numbers(publications)
        digest = b""
        if request.request_id and not producer:
            # Repeated, its messages are those of a producer that are settled.
            producer = producer_key(host, "", request.request_id)
            publications = [one._replace(number=place) for place, one in enumerate(publications, 1)]
            digest = identified("Publish", request).digest
        reached = Route(())
        caller = caller_name()

        def make(token: e.Token) -> object:
            nonlocal reached
            if request.report_queues:
                reached = self._reached(host, publications[0])
            return e.MessagesPublished(
                host, producer, publications, token, digest=digest, caller=caller
            )

        answer = await self._broker.call(make, weight_of(publications), publishes=True)
        assert isinstance(answer, PublishAnswer)
        if answer.results:
            reached = Route(())
        return pb.PublishResponse(
            results=[result(one.position, one.kind, one.error) for one in answer.results],
            queues=reached.queues[:MOST_QUEUES],
            queue_count=len(reached.queues),
            task_queues=reached.task_queues[:MOST_QUEUES],
        )

    def _reached(self, host: str, publication: e.Publication) -> Route:
        """The queues that a message goes to as things are; none if it will be rejected."""
        try:
            message = parse(publication.routing_key, publication.properties).message
            return self._broker.state.router.route(host, publication.exchange, message)
        except QuorateError:
            return Route(())

    async def PublishStream(
        self, requests: AsyncGenerator[bytes, None], context: Context
    ) -> AsyncGenerator[pb.PublishStreamResponse, None]:
        stream = PublishStream(self._broker, requests, self._max_message)
        try:
            while (answer := await stream.answer()) is not None:
                yield answer
        finally:
            await stream.close()


def _check_numbers(publications: Sequence[e.Publication]) -> None:
    """Numbers of a producer ascend: of those that are not above the last settled one, the leader
    knows that they are done. 0 is not looked at."""
    last = 0
    for place, one in enumerate(publications):
        if not one.number:
            continue
        if one.number <= last:
            raise invalid(
                f"publications[{place}].number",
                f"is {one.number} behind {last}; the numbers of a producer ascend",
                value=one.number,
            )
        last = one.number
