"""What a session gets, as answers of its stream. Messages stay the bytes that they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import precondition
from quorate.v1 import broker_pb2 as pb
from scheduler.api.broker.failures import failure
from scheduler.api.broker.views import delivery
from scheduler.api.views import instant
from scheduler.core.broker import effects as fx
from scheduler.core.broker.storage.bodies import LARGE_BYTES

# Of one answer, before its last message: gRPC clients take 4 MiB by default.
MOST_BYTES: Final = 512 << 10
# `ConsumeResponse.deliveries`, length-delimited; what is in it, and the message in that.
_TAG: Final = bytes((pb.ConsumeResponse.DELIVERIES_FIELD_NUMBER << 3 | 2,))
_DELIVERY: Final = bytes((wire.DeliveriesEnvelope.DELIVERIES_FIELD_NUMBER << 3 | 2,))
_MESSAGE: Final = bytes((wire.DeliveryEnvelope.MESSAGE_FIELD_NUMBER << 3 | 2,))


class Encoded:
    """An answer that is encoded already."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def SerializeToString(self) -> bytes:
        """See Encodable."""
        return self.data


def deliveries(effect: fx.Deliver) -> Iterator[Encoded]:
    """Deliveries, in answers of a bounded size."""
    part: list[wire.DeliveryEnvelope] = []
    size, skipped = 0, effect.skipped
    for one in effect.deliveries:
        if len(one.payload) >= LARGE_BYTES:
            if part:
                yield _encoded(effect.consumer, part, skipped)
                part, size, skipped = [], 0, 0
            yield _large(effect.consumer, one, skipped)
            skipped = 0
            continue
        part.append(
            wire.DeliveryEnvelope(
                id=one.id,
                redelivered=one.redelivered,
                failed_deliveries=one.failed,
                message=one.payload,
                publish_time=instant(one.instant).SerializeToString(),
            )
        )
        size += len(one.payload)
        if size >= MOST_BYTES:
            yield _encoded(effect.consumer, part, skipped)
            part, size, skipped = [], 0, 0
    if part or skipped:
        yield _encoded(effect.consumer, part, skipped)


def _encoded(consumer: int, part: Sequence[wire.DeliveryEnvelope], skipped: int) -> Encoded:
    body = wire.DeliveriesEnvelope(
        consumer=consumer, deliveries=part, skipped=skipped
    ).SerializeToString()
    return Encoded(_TAG + _varint(len(body)) + body)


def _large(consumer: int, one: fx.Delivery, skipped: int) -> Encoded:
    """One delivery, whose message is copied once: fields of a message may be in any order."""
    beside = wire.DeliveryEnvelope(
        id=one.id,
        redelivered=one.redelivered,
        failed_deliveries=one.failed,
        publish_time=instant(one.instant).SerializeToString(),
    ).SerializeToString()
    beside += _MESSAGE + _varint(len(one.payload))
    head = wire.DeliveriesEnvelope(consumer=consumer, skipped=skipped).SerializeToString()
    head += _DELIVERY + _varint(len(beside) + len(one.payload))
    size = len(head) + len(beside) + len(one.payload)
    return Encoded(b"".join((_TAG, _varint(size), head, beside, one.payload)))


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def fetched(effect: fx.SendFetched) -> pb.ConsumeResponse:
    """The answer to a Fetch."""
    answer = pb.Fetched(number=effect.number, ready=effect.ready)
    if effect.error is not None:
        answer.failure.CopyFrom(failure(effect.error))
    if effect.delivery is not None:
        answer.delivery.CopyFrom(delivery(effect.delivery))
    return pb.ConsumeResponse(fetched=answer)


def ended(effect: fx.EndConsumer) -> pb.ConsumeResponse:
    """The leader ended a consumer."""
    why = failure(precondition(effect.reason, effect.text))
    return pb.ConsumeResponse(ended=pb.ConsumerEnded(consumer=effect.consumer, failure=why))


def refused(effect: fx.SettleRefused) -> pb.ConsumeResponse:
    """Deliveries that were not settled."""
    why = failure(precondition(effect.reason, effect.text))
    answer = pb.SettleRefused(number=effect.number, failure=why, ids=effect.ids)
    return pb.ConsumeResponse(refused=answer)
