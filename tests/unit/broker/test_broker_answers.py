"""Deliveries as answers of a stream: small ones together, a large one by itself."""

from __future__ import annotations

import pytest

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.api.broker.consuming.answers import deliveries
from scheduler.core.broker import effects as fx
from scheduler.core.broker.rows import ConsumerNumber, SessionId
from scheduler.core.broker.storage.bodies import LARGE_BYTES

FRAME = len(m.Message(body=bytes(LARGE_BYTES)).SerializeToString()) - LARGE_BYTES


def delivery(number: int, size: int) -> fx.Delivery:
    body = m.Message(body=bytes([number]) * size).SerializeToString()
    return fx.Delivery(number, number % 2 == 1, number, 1_700_000_000.25, body)


@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_a_large_message_reads_as_a_small_one_does(beyond: int) -> None:
    size = LARGE_BYTES - FRAME + beyond
    effect = fx.Deliver(
        SessionId("s"), ConsumerNumber(3), [delivery(1, 9), delivery(2, size), delivery(3, 9)], 7
    )
    answers = [
        pb.ConsumeResponse.FromString(one.SerializeToString()).deliveries
        for one in deliveries(effect)
    ]
    assert len(answers) == (1 if beyond < 0 else 3)
    assert {answer.consumer for answer in answers} == {3}
    assert [answer.skipped for answer in answers] == [7, 0, 0][: len(answers)]
    found = [one for answer in answers for one in answer.deliveries]
    assert [(one.id, one.redelivered, one.failed_deliveries) for one in found] == [
        (1, True, 1),
        (2, False, 2),
        (3, True, 3),
    ]
    assert [len(one.message.body) for one in found] == [9, size, 9]
    assert {one.publish_time.nanos for one in found} == {250_000_000}
