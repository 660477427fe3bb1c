"""A connection between its client and the cluster: what is held, what goes on, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from gateway.amqp.client_connection import ClientConnection
from gateway.amqp.flow import MOST_ANSWERS, MOST_HELD
from gateway.amqp.metrics import metrics
from gateway.amqp.protocol import limits
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import not_found
from quorate.v1 import broker_pb2 as pb
from quorate.v1.message_pb2 import MESSAGE_QUEUE_TYPE_STREAM, HeaderTable, HeaderValue
from tests.support.amqp_cluster import Client, Stream, broken

LOST = [
    broken(grpc.StatusCode.UNAVAILABLE),
    # What grpc.aio says when it was sending just then.
    broken(grpc.StatusCode.INTERNAL, "Internal error from Core"),
]


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    await client.open()
    yield client
    await client.leave()


async def test_a_client_that_floods_is_not_read(client):
    body = b"x" * (1 << 20)
    sent = 0
    while client.reads:
        client.publish(body)
        sent += 1
        assert sent <= MOST_HELD // len(body) + 1
    shown = {one.name: one.samples[0].value for one in metrics(client.hall)}
    assert shown["quorate_gateway_amqp_connections"] == shown["quorate_gateway_amqp_channels"] == 1
    assert shown["quorate_gateway_amqp_published"] == sent
    assert shown["quorate_gateway_amqp_held_bytes"] > MOST_HELD
    stream = await client.cluster.stream()
    number = 0
    while number < sent - 1:
        number = (await stream.published()).publications[-1].number
        stream.answer(pb.PublishStreamResponse(confirmed=number))
    async with asyncio.timeout(60):
        while not client.reads:
            await asyncio.sleep(0)
    stream.answer(pb.PublishStreamResponse(confirmed=sent))
    async with asyncio.timeout(60):
        while client.connection.held:
            await asyncio.sleep(0)


async def test_what_closed_channels_published_is_held_until_it_is_durable(client):
    for channel in range(2, 11):
        client.method(channel, "channel.open")
        client.publish(b"x" * (1 << 20), channel)
        # An error: the client need not wait for anything.
        client.method(channel, "basic.ack", delivery_tag=9)
        client.method(channel, "channel.close-ok")
    assert not client.reads
    for _ in range(9):
        stream = await client.cluster.stream()
        await stream.published()
        stream.answer(pb.PublishStreamResponse(confirmed=1))
    async with asyncio.timeout(60):
        while client.connection.held:
            await asyncio.sleep(0)
    assert client.reads


async def test_many_connections_share_what_a_gateway_holds(client):
    hall: Any = client.hall
    hall.connections.update(dict.fromkeys(range(255)))
    client.publish(b"x" * (1 << 20))
    assert client.reads
    for _ in range(2):
        client.publish(b"x" * (1 << 20))
    assert not client.reads


async def test_what_waits_for_the_cluster_is_held_too(client):
    """Methods behind one that is not answered."""
    asked = asyncio.Event()

    async def never(request: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    client.cluster.answers["CreateMessageQueue"] = never
    client.method(1, "queue.declare", queue="q")
    await asyncio.wait_for(asked.wait(), 60)
    for _ in range(9):
        client.publish(b"x" * (1 << 20))
    assert not client.reads


@pytest.mark.parametrize("how", LOST)
async def test_a_producer_goes_on_with_the_next_leader(client, how):
    client.method(1, "confirm.select")
    for body in (b"1", b"2", b"3"):
        client.publish(body)
    first = await client.cluster.stream()
    request = await first.published()
    producer = request.producer
    assert [one.number for one in request.publications] == [1, 2, 3]
    first.answer(pb.PublishStreamResponse(confirmed=1))
    assert (await client.get("basic.ack"))["delivery_tag"] == 1
    first.end(how)
    second = await client.cluster.stream()
    request = await second.published()
    assert (request.producer, request.virtual_host) == (producer, "/")
    assert [one.number for one in request.publications] == [2, 3]
    second.answer(pb.PublishStreamResponse(confirmed=3))
    ack = await client.get("basic.ack")
    assert (ack["delivery_tag"], ack["multiple"]) == (3, True)
    assert not client.closed


async def test_a_stream_that_is_refused_closes_the_channel(client):
    client.publish()
    stream = await client.cluster.stream()
    stream.end(broken(grpc.StatusCode.PERMISSION_DENIED, "not yours"))
    close = await client.get("channel.close")
    assert close["reply_code"] == 403
    assert not client.closed


async def consuming(client: Client) -> Stream:
    """basic.consume; the stream of its session."""
    client.method(1, "basic.consume", queue="q", consumer_tag="c")
    stream = await client.cluster.stream()
    assert (await stream.consumed()).open.session
    assert (await stream.consumed()).subscribe.queue == "q"
    stream.answer(pb.ConsumeResponse(opened=pb.SessionOpened()))
    stream.answer(pb.ConsumeResponse(subscribed=pb.Subscribed(consumer=1)))
    await client.get("basic.consume-ok")
    return stream


def deliveries(*ids: int) -> pb.ConsumeResponse:
    found = wire.DeliveriesEnvelope(consumer=1)
    for id in ids:
        message = wire.MessageEnvelope(routing_key="q").SerializeToString()
        found.deliveries.add(id=id, message=message)
    response = pb.ConsumeResponse()
    response.deliveries.MergeFromString(found.SerializeToString())
    return response


async def test_a_consumer_that_begins_while_a_leader_changes_begins(client):
    stream = await consuming(client)
    stream.end(LOST[0])
    stream = await client.cluster.stream()
    assert (await stream.consumed()).open.session
    # The next leader has not answered yet.
    client.method(1, "basic.consume", queue="other", consumer_tag="d")
    assert (await stream.consumed()).subscribe.queue == "other"
    stream.answer(pb.ConsumeResponse(opened=pb.SessionOpened()))
    stream.answer(pb.ConsumeResponse(subscribed=pb.Subscribed(consumer=2)))
    assert (await client.get("basic.consume-ok"))["consumer_tag"] == "d"


@pytest.mark.parametrize("how", LOST)
async def test_a_consumer_goes_on_with_the_next_leader(client, how):
    stream = await consuming(client)
    stream.answer(deliveries(7, 8))
    assert (await client.get("basic.deliver"))["delivery_tag"] == 1
    assert (await client.get("basic.deliver"))["delivery_tag"] == 2
    client.method(1, "basic.ack", delivery_tag=1)
    assert list((await stream.consumed()).settle.ids) == [7]
    stream.end(how)
    stream = await client.cluster.stream()
    opening = (await stream.consumed()).open
    assert [one.consumer for one in opening.consumers] == [1]
    assert list(opening.unsettled[0].ids) == [7, 8]
    again = (await stream.consumed()).settle
    assert list(again.ids) == [7]
    stream.answer(pb.ConsumeResponse(opened=pb.SessionOpened()))
    # Tags stay valid.
    client.method(1, "basic.ack", delivery_tag=2)
    assert list((await stream.consumed()).settle.ids) == [8]
    assert client.nothing


async def test_a_client_that_does_not_read_gets_nothing_more(client):
    stream = await consuming(client)
    client.connection.pause_writing()
    for id in range(3):
        stream.answer(deliveries(id))
    for _ in range(20):
        await asyncio.sleep(0)
    assert client.nothing
    client.connection.resume_writing()
    for tag in (1, 2, 3):
        assert (await client.get("basic.deliver"))["delivery_tag"] == tag


async def test_a_client_that_does_not_read_its_answers_is_not_read(client):
    client.connection.pause_writing()
    sent = 0
    while client.reads:
        client.method(1, "basic.cancel", consumer_tag="unknown")
        sent += 1
        assert sent <= MOST_ANSWERS
    client.connection.resume_writing()
    assert client.reads


async def test_a_client_that_sends_before_it_reads_again_is_read(client):
    """A few answers do not hold it: it may wait until it has sent."""
    client.connection.pause_writing()
    client.method(1, "basic.cancel", consumer_tag="unknown")
    client.publish(b"x" * 1_000)
    assert client.reads


async def test_a_client_that_reads_nothing_at_the_end_is_dropped(client, monkeypatch):
    """The socket does not wait for it: what was delivered comes back."""
    monkeypatch.setattr(limits, "CLOSE", 0.01)
    client.unread = 1 << 20
    client.connection.pause_writing()
    client.connection.shut_down()
    async with asyncio.timeout(60):
        while not client.aborted:
            await asyncio.sleep(0.01)


async def test_a_place_in_a_stream_that_is_none_closes_the_channel(client):
    queue = pb.GetMessageQueueResponse()
    queue.message_queue.spec.type = MESSAGE_QUEUE_TYPE_STREAM
    client.cluster.answers["GetMessageQueue"] = queue
    for arguments in ({"text": "soon"}, {"integer": -1}):
        offset = {"x-stream-offset": HeaderValue(**arguments)}
        client.method(1, "basic.consume", queue="q", arguments=offset)
        close = await client.get("channel.close")
        assert (close["reply_code"], close["class_id"], close["method_id"]) == (406, 60, 20)
        client.method(1, "channel.close-ok")
        client.method(1, "channel.open")
        await client.get("channel.open-ok")


async def test_a_defect_of_the_gateway_is_reported_to_the_client(client):
    async def defect(request: object) -> None:
        raise ZeroDivisionError

    client.cluster.answers["PurgeMessageQueue"] = defect
    client.method(1, "queue.purge", queue="q")
    assert (await client.get("connection.close"))["reply_code"] == 541


async def test_a_stream_that_fails_in_the_gateway_closes_the_connection(client):
    stream = await consuming(client)
    stream.end(ZeroDivisionError())
    assert (await client.get("connection.close"))["reply_code"] == 541


async def test_a_channel_that_is_gone_consumes_no_more_while_its_publications_wait(client):
    stream = await consuming(client)
    client.publish()
    await (await client.cluster.stream()).published()
    client.connection.connection_lost(None)
    assert (await stream.consumed()).HasField("close")


async def test_only_the_latest_limit_is_sent(client):
    stream = await consuming(client)
    for prefetch in (*range(1, 2_000), 7):
        client.method(1, "basic.qos", prefetch_count=prefetch, **{"global": True})
    credits = [(await stream.consumed()).credit for _ in range(2)]
    assert [(one.consumer, one.prefetch) for one in credits] == [(0, 7), (1, 7)]
    client.method(1, "basic.qos", prefetch_count=8, **{"global": True})
    assert (await stream.consumed()).credit.prefetch == 8


async def test_a_cancelled_consumer_gets_nothing_from_the_next_leader(client):
    stream = await consuming(client)
    stream.answer(deliveries(7, 8))
    await client.get("basic.deliver")
    client.method(1, "basic.cancel", consumer_tag="c")
    assert (await stream.consumed()).unsubscribe.consumer == 1
    stream.end(LOST[0])
    stream = await client.cluster.stream()
    (again,) = (await stream.consumed()).open.consumers
    assert (again.consumer, again.prefetch) == (1, 2)


async def test_methods_take_effect_in_their_order(client):
    """A declaration waits until what was published before it is durable."""
    client.publish()
    client.method(1, "queue.declare", queue="q", passive=True)
    client.method(1, "queue.purge", queue="q")
    stream = await client.cluster.stream()
    await stream.published()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(client.cluster.calls) == 1
    stream.answer(pb.PublishStreamResponse(confirmed=1))
    await client.get("queue.declare-ok")
    await client.get("queue.purge-ok")
    asked = [type(one).__name__ for one in client.cluster.calls[1:]]
    assert asked == ["GetMessageQueueRequest", "PurgeMessageQueueRequest"]


async def test_what_was_published_on_a_connection_that_is_lost_is_sent(client):
    client.publish(b"m")
    stream = await client.cluster.stream()
    client.connection.connection_lost(None)
    assert len((await stream.published()).publications) == 1
    stream.answer(pb.PublishStreamResponse(confirmed=1))
    async with asyncio.timeout(60):
        while client.hall.tasks:
            await asyncio.wait(tuple(client.hall.tasks))


async def test_an_error_closes_the_channel_and_what_waits_behind_it_is_dropped(client):
    client.cluster.answers["GetMessageQueue"] = not_found("message_queue", "q")
    client.method(1, "queue.declare", queue="q", passive=True)
    client.method(1, "queue.purge", queue="q")
    close = await client.get("channel.close")
    assert close["reply_text"] == "NOT_FOUND - no queue 'q' in vhost '/'"
    assert (close["class_id"], close["method_id"]) == (50, 10)
    client.method(1, "channel.close-ok")
    client.method(1, "channel.open")
    await client.get("channel.open-ok")
    assert len(client.cluster.calls) == 2


async def test_a_channel_that_its_client_closes_is_closed_when_a_publication_fails(client):
    client.publish()
    client.method(1, "channel.close")
    stream = await client.cluster.stream()
    await stream.published()
    answer = pb.PublishStreamResponse(confirmed=1)
    failed = answer.results.add(number=1, kind=pb.PublicationResult.KIND_REJECTED)
    failed.failure.code = grpc.StatusCode.NOT_FOUND.value[0]
    stream.answer(answer)
    await client.get("channel.close-ok")
    assert client.nothing
    client.method(1, "channel.open")
    await client.get("channel.open-ok")


async def test_a_channel_that_ends_does_not_end_the_next_one_of_its_number(client):
    await consuming(client)
    client.method(1, "channel.close")
    # Nobody asked for it.
    client.method(1, "channel.close-ok")
    client.method(1, "channel.open")
    for _ in range(20):
        await asyncio.sleep(0)
    assert client.nothing
    assert client.connection.channels == 1


async def test_a_client_that_knows_it_is_blocked():
    client = Client()
    properties = HeaderTable()
    properties.entries["capabilities"].table.entries["connection.blocked"].boolean = True
    await client.open(client_properties=properties.entries)
    client.publish()
    stream = await client.cluster.stream()
    stream.answer(pb.PublishStreamResponse(blocked=True))
    assert "no room" in (await client.get("connection.blocked"))["reason"]
    stream.answer(pb.PublishStreamResponse(blocked=False, confirmed=1))
    await client.get("connection.unblocked")
    await client.leave()


async def test_a_gateway_has_so_many_connections_at_most():
    first = Client()
    hall: Any = first.hall
    hall.connections.update(dict.fromkeys(range(10)))
    second: Any = Client.__new__(Client)
    second.closed = False
    ClientConnection(hall).connection_made(second)
    assert second.closed
    await first.leave()
