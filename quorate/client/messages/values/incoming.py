"""Messages as consumers get them."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from quorate.client.messages.values.headers import plain
from quorate.v1 import message_pb2 as pb


class Received:
    """A message of a queue or stream.

    Attributes:
        id: names it in its queue, the same under every leader; of a stream: its offset.
        queue: where it was read.
        redelivered: it may have been delivered before.
        failed_deliveries: how often it came back, as far as that is on record.
        proto: all of it, as it travels.
    """

    __slots__ = ("_message", "failed_deliveries", "id", "proto", "queue", "redelivered")

    def __init__(self, delivery: pb.Delivery, queue: str = "") -> None:
        self.id = delivery.id
        self.queue = queue or delivery.queue
        self.redelivered = delivery.redelivered
        self.failed_deliveries = delivery.failed_deliveries
        self.proto = delivery
        self._message = delivery.message

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} of {self.queue!r}, {len(self.body)} bytes>"

    @property
    def body(self) -> bytes:
        """As the producer sent it."""
        return self._message.body

    @property
    def text(self) -> str:
        """The body as UTF-8. Raises UnicodeDecodeError."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON. Raises ValueError where it is none."""
        return json.loads(self.body)

    @property
    def exchange(self) -> str:
        """Where it was published; empty: the default exchange."""
        return self._message.exchange

    @property
    def routing_key(self) -> str:
        """With which it was published."""
        return self._message.routing_key

    @property
    def headers(self) -> dict[str, Any]:
        """Its headers as Python values, a new dict each time."""
        return plain(self._message.properties.headers)

    @property
    def publish_time(self) -> dt.datetime:
        """When the leader took it in, in UTC."""
        return _utc(self.proto.publish_time)

    @property
    def properties(self) -> pb.MessageProperties:
        """All its properties, as they travel."""
        return self._message.properties

    @property
    def content_type(self) -> str:
        """Such as "application/json"; empty where the producer said nothing, as all that follow."""
        return self.properties.content_type

    @property
    def message_id(self) -> str:
        """What the producer calls it."""
        return self.properties.message_id

    @property
    def correlation_id(self) -> str:
        """Of a reply: the request's."""
        return self.properties.correlation_id

    @property
    def reply_to(self) -> str:
        """The message queue where a reply is expected."""
        return self.properties.reply_to

    @property
    def type(self) -> str:
        """What kind of message the producer says it is."""
        return self.properties.type

    @property
    def priority(self) -> int:
        """As the producer gave it."""
        return self.properties.priority

    @property
    def ordering_key(self) -> str:
        """Messages of a queue with the same one are delivered one after another."""
        return self.properties.ordering_key

    @property
    def timestamp(self) -> dt.datetime | None:
        """What the producer says, in UTC."""
        given = self.properties.HasField("timestamp")
        return _utc(self.properties.timestamp) if given else None


def _utc(value: Timestamp) -> dt.datetime:
    found: dt.datetime = value.ToDatetime(tzinfo=dt.UTC)
    return found
