"""Request and reply: one consumer of a client, to which all its replies come directly."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

from quorate.client.messages.consuming.consumer import Consumer
from quorate.client.messages.consuming.subscription import Subscription, subscription
from quorate.client.messages.publishing.window import raise_first
from quorate.client.messages.rpcs import PUBLISH
from quorate.client.messages.streams.open_streams import OpenStreams, closed
from quorate.client.messages.values.incoming import Received
from quorate.client.messages.values.outgoing import Body, MessageArgs, publication
from quorate.client.transport.calls import Calls
from quorate.client.transport.rpcs import new_request_id
from quorate.runtime.errors import QuorateError, exhausted
from quorate.v1 import broker_pb2 as pb

# What a consumer of direct replies consumes from; there is no such queue.
REPLY_TO: Final = "amq.rabbitmq.reply-to"
# Requests of a client that wait for their replies.
MOST_WAITING: Final = 10_000
DEFAULT_TIMEOUT: Final = 30.0


class Requester:
    """Sends requests and finds their replies by correlation id. Thread-safe."""

    def __init__(self, calls: Calls, streams: OpenStreams, virtual_host: str) -> None:
        self._calls = calls
        self._virtual_host = virtual_host
        self._changed = threading.Condition()
        # Correlation id -> the reply, once it is there.
        self._waiting: dict[str, Received | None] = {}
        self._error: QuorateError | None = None
        self._consumer = Consumer(calls, streams, replies(virtual_host))
        self._thread = threading.Thread(target=self._read, name="quorate-replies", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether another one is needed."""
        return self._error is not None

    def request(
        self, exchange: str, routing_key: str, body: Body, args: MessageArgs, timeout: float
    ) -> Received:
        """See `MessageMethods.request`."""
        end = time.monotonic() + timeout
        self._connect(end, timeout)
        id = secrets.token_hex(16)
        request = request_of(
            *(exchange, routing_key, body, args, id),
            *(self._consumer.link.ledger.reply_to, self._virtual_host),
        )
        with self._changed:
            check_room(len(self._waiting))
            self._waiting[id] = None
        try:
            raise_first(self._publish(request, end))
            with self._changed:
                while (reply := self._waiting[id]) is None:
                    if self._error is not None:
                        raise self._error
                    left = end - time.monotonic()
                    if left <= 0:
                        raise _late(timeout)
                    self._changed.wait(left)
            return reply
        finally:
            with self._changed:
                del self._waiting[id]

    def _connect(self, end: float, timeout: float) -> None:
        try:
            # Others wait for the same consumer: a timeout does not close it.
            if not self._consumer.link.until_ready(end):
                raise _late(timeout)
        except QuorateError as error:
            self._error = error
            raise

    def _publish(self, request: pb.PublishRequest, end: float) -> list[pb.PublicationResult]:
        left = max(end - time.monotonic(), 0.0)
        # The first try and the last one may each take a deadline, beside the time for retries.
        deadline = min(PUBLISH.deadline, left / 4)
        patience = min(self._calls.retry_for, left - 2 * deadline)
        answer = self._calls.call(PUBLISH, request, deadline=deadline, retry_for=patience)
        return list(answer.results)

    def _read(self) -> None:
        try:
            for delivery in self._consumer:
                with self._changed:
                    # Others are too late: whoever asked has gone.
                    if delivery.correlation_id in self._waiting:
                        self._waiting[delivery.correlation_id] = delivery
                        self._changed.notify_all()
        except QuorateError as error:
            self._error = error
        with self._changed:
            self._error = self._error or closed("client")
            self._changed.notify_all()


def _late(timeout: float) -> TimeoutError:
    return TimeoutError(f"no reply within {timeout:g} s")


def replies(virtual_host: str) -> Subscription:
    """The consumer of direct replies (https://www.rabbitmq.com/docs/direct-reply-to), which are in
    no queue: each is gone when it is sent; whoever asked asks again."""
    return subscription(REPLY_TO, prefetch=0, auto_ack=True, virtual_host=virtual_host)


def check_room(waiting: int) -> None:
    """Raises QuorateError: too many wait."""
    if waiting >= MOST_WAITING:
        raise exhausted(
            "TOO_MANY_REQUESTS",
            f"{waiting:,} requests of this client wait for replies, the most there may be",
            limit=MOST_WAITING,
        )


def request_of(
    exchange: str,
    routing_key: str,
    body: Body,
    args: MessageArgs,
    id: str,
    reply_to: str,
    virtual_host: str,
) -> pb.PublishRequest:
    """A request, which must reach a queue."""
    args = {**args, "correlation_id": id, "reply_to": reply_to}
    made = publication(exchange, routing_key, body, args, mandatory=True)
    return pb.PublishRequest(
        virtual_host=virtual_host, publications=[made], request_id=new_request_id()
    )
