"""What was returned or refused is so again when the answer was lost with the leader."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest_asyncio

from gateway.amqp.cluster.outbox import is_nacked
from gateway.amqp.wire import frames
from quorate.runtime.errors import precondition
from quorate.v1 import broker_pb2 as pb
from scheduler.api.broker.failures import failure
from scheduler.api.broker.publishing.publications import Reader
from scheduler.api.broker.publishing.results import result
from scheduler.core.broker.rows import Overflow
from tests.support.amqp_cluster import Client, Stream, broken
from tests.support.consuming import Consumers


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    await client.open()
    yield client
    await client.leave()


async def answer(broker: Consumers, stream: Stream) -> pb.PublishStreamResponse:
    """What the cluster says to the next request of a producer."""
    request = await stream.published()
    publications = Reader().read_all(request.publications)
    found = broker.publish(*publications, producer="channel").results
    numbers = [one.number for one in publications]
    results = [result(numbers[one.position], one.kind, one.error) for one in found]
    return pb.PublishStreamResponse(confirmed=numbers[-1], results=results)


async def test_a_lost_return_and_a_lost_nack_are_said_by_the_next_leader(client) -> None:
    broker = Consumers()
    broker.declare("full", max_length=1, overflow=Overflow.REJECT_PUBLISH)
    client.method(1, "confirm.select")
    for body, key in ((b"1", "full"), (b"2", "full"), (b"3", "nowhere"), (b"4", "nowhere")):
        method = frames.method(1, "basic.publish", routing_key=key, mandatory=body == b"3")
        client.send(method + frames.content(1, b"\0\0", body, 131_072))
    first = await client.cluster.stream()
    assert len((await answer(broker, first)).results) == 2, "the leader dies with this answer"
    broker.fail_over()
    broker.receive("full")
    broker.declare("nowhere")
    first.end(broken(grpc.StatusCode.UNAVAILABLE))
    second = await client.cluster.stream()
    second.answer(await answer(broker, second))
    assert (await client.get("basic.ack"))["delivery_tag"] == 1
    assert (await client.get("basic.nack"))["delivery_tag"] == 2
    assert (await client.get("basic.return"))["reply_code"] == 312
    ack = await client.get("basic.ack")
    assert (ack["delivery_tag"], ack["multiple"]) == (4, True)
    assert client.nothing
    assert [broker.bodies(name) for name in ("full", "nowhere")] == [[], []]
    assert not client.closed


def test_what_nobody_knows_any_more_is_a_nack() -> None:
    assert is_nacked(failure(precondition("OUTCOME_FORGOTTEN", "gone")))
    assert not is_nacked(failure(precondition("OTHER", "other")))
