"""What a channel has of the exclusive queues of its connection goes back when the channel ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1.message_pb2 import HeaderTable, HeaderValue
from tests.support.amqp_cluster import Client, Stream, until

# What ends a channel.
ELSE = QuorateError(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", "too many streams")


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    await client.open(
        client_properties={
            "capabilities": HeaderValue(
                table=HeaderTable(entries={"consumer_cancel_notify": HeaderValue(boolean=True)})
            )
        }
    )
    yield client
    await client.leave()


async def owned(client: Client) -> Stream:
    """An exclusive queue with a consumer that has deliveries 7, 8 and 9, and settled the first."""
    queue = {"name": "mine", "owner_session": "s"}
    client.cluster.answers["CreateMessageQueue"] = pb.CreateMessageQueueResponse(
        message_queue=queue
    )
    client.method(1, "queue.declare", queue="mine", exclusive=True)
    stream = await client.cluster.stream()
    assert (await stream.consumed()).open.session
    stream.answer(pb.ConsumeResponse(opened=pb.SessionOpened()))
    await client.get("queue.declare-ok")
    client.method(1, "basic.consume", queue="mine", consumer_tag="c")
    assert (await stream.consumed()).subscribe.queue == "mine"
    stream.answer(pb.ConsumeResponse(subscribed=pb.Subscribed(consumer=1)))
    await client.get("basic.consume-ok")
    found = wire.DeliveriesEnvelope(consumer=1)
    for id in (7, 8, 9):
        message = wire.MessageEnvelope(routing_key="mine").SerializeToString()
        found.deliveries.add(id=id, message=message)
    response = pb.ConsumeResponse()
    response.deliveries.MergeFromString(found.SerializeToString())
    stream.answer(response)
    for _ in range(3):
        await client.get("basic.deliver")
    client.method(1, "basic.ack", delivery_tag=1)
    settle = (await stream.consumed()).settle
    stream.answer(pb.ConsumeResponse(settled=settle.number))
    return stream


async def end_of(stream: Stream) -> pb.Settle:
    """What the consumer's end asks for."""
    assert (await stream.consumed()).unsubscribe.consumer == 1
    barrier = (await stream.consumed()).settle
    assert not barrier.ids
    stream.answer(pb.ConsumeResponse(settled=barrier.number))
    return (await stream.consumed()).settle


@pytest.mark.parametrize("how", ["close", "error"])
async def test_a_channel_that_ends_gives_its_deliveries_back(client, how):
    stream = await owned(client)
    if how == "close":
        client.method(1, "channel.close")
    else:
        client.method(1, "basic.ack", delivery_tag=99)
        assert (await client.get("channel.close"))["reply_code"] == 406
    back = await end_of(stream)
    assert (back.consumer, list(back.ids), back.outcome) == (1, [8, 9], pb.OUTCOME_REQUEUE)


async def test_deliveries_of_a_cancelled_consumer_go_back_too(client):
    stream = await owned(client)
    client.method(1, "basic.cancel", consumer_tag="c")
    assert (await stream.consumed()).unsubscribe.consumer == 1
    stream.answer(pb.ConsumeResponse(settled=(await stream.consumed()).settle.number))
    await client.get("basic.cancel-ok")
    client.method(1, "channel.close")
    back = (await stream.consumed()).settle
    assert (back.consumer, list(back.ids), back.outcome) == (1, [8, 9], pb.OUTCOME_REQUEUE)


async def test_a_connection_that_is_lost_ends_its_session_and_nothing_waits(client):
    stream = await owned(client)
    client.method(1, "channel.close")
    assert (await stream.consumed()).unsubscribe.consumer == 1
    client.connection.connection_lost(None)
    while not (await stream.consumed()).HasField("close"):
        pass
    stream.end(EOFError())
    await until(lambda: not client.hall.tasks)


async def test_what_reached_no_queue_comes_back_before_confirms_begin(client):
    client.publish(b"m", mandatory=True)
    client.method(1, "confirm.select")
    stream = await client.cluster.stream()
    await stream.published()
    returned = pb.PublicationResult(number=1, kind=pb.PublicationResult.KIND_RETURNED)
    stream.answer(pb.PublishStreamResponse(confirmed=1, results=[returned]))
    names = [(await client._got.get())[1].name for _ in range(2)]
    assert names == ["basic.return", "confirm.select-ok"]


async def test_the_notice_of_a_deleted_queue_is_behind_the_answer(client):
    stream = await owned(client)

    async def delete(request: object) -> pb.DeleteMessageQueueResponse:
        stream.answer(pb.ConsumeResponse(ended=pb.ConsumerEnded(consumer=1)))
        await until(lambda: not client.connection._channels[1]._state.consumers)
        return pb.DeleteMessageQueueResponse(messages=2)

    client.cluster.answers["DeleteMessageQueue"] = delete
    client.method(1, "queue.delete", queue="mine")
    names = [(await client._got.get())[1].name for _ in range(2)]
    assert names == ["queue.delete-ok", "basic.cancel"]


@pytest.mark.parametrize("how", ["refused", "cancelled"])
@pytest.mark.parametrize("consumes", [True, False])
async def test_what_a_failed_transaction_acknowledged_goes_back(client, how, consumes):
    stream = await owned(client)
    if not consumes:
        client.method(1, "basic.cancel", consumer_tag="c")
        assert (await stream.consumed()).unsubscribe.consumer == 1
        stream.answer(pb.ConsumeResponse(settled=(await stream.consumed()).settle.number))
        await client.get("basic.cancel-ok")
    asked = asyncio.Event()

    async def transact(request: pb.TransactRequest) -> pb.TransactResponse:
        assert [list(one.ids) for one in request.settles] == [[8]]
        asked.set()
        if how == "refused":
            raise QuorateError(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", "the queue is full"
            )
        await asyncio.Event().wait()
        raise AssertionError

    client.cluster.answers["Transact"] = transact
    client.method(1, "tx.select")
    client.publish()
    client.method(1, "basic.ack", delivery_tag=2)
    client.method(1, "tx.commit")
    await asked.wait()
    if how == "cancelled":
        client.connection._channels[1]._failed(ELSE)
    await client.get("channel.close")
    back = await end_of(stream) if consumes else (await stream.consumed()).settle
    assert (back.consumer, sorted(back.ids), back.outcome) == (1, [8, 9], pb.OUTCOME_REQUEUE)
    assert not client.connection._transactions.held


@pytest.mark.parametrize("late", [True, False])
async def test_a_message_that_is_fetched_while_its_channel_ends_goes_back(client, late):
    stream = await owned(client)
    client.method(1, "basic.get", queue="mine")
    fetch = (await stream.consumed()).fetch
    assert fetch.queue == "mine"
    channel = client.connection._channels[1]
    answer = pb.ConsumeResponse(fetched=pb.Fetched(number=fetch.number, delivery={"id": 10}))
    if late:
        channel._failed(ELSE)
        await client.get("channel.close")
        stream.answer(answer)
    else:
        # Answered and cancelled in one turn of the loop.
        channel._link.owner._fetched(answer.fetched)
        channel._failed(ELSE)
    settled: list[pb.Settle] = []
    while not any(10 in one.ids for one in settled):
        request = await stream.consumed()
        if request.HasField("settle"):
            settled.append(request.settle)
            stream.answer(pb.ConsumeResponse(settled=request.settle.number))
    (back,) = (one for one in settled if 10 in one.ids)
    assert (back.consumer, back.queue, back.outcome) == (0, "mine", pb.OUTCOME_REQUEUE)


async def test_a_consumer_that_begins_while_its_channel_ends_ends_with_it(client):
    stream = await owned(client)
    client.method(1, "basic.consume", queue="mine", consumer_tag="d")
    while not (request := await stream.consumed()).HasField("subscribe"):
        pass
    assert request.subscribe.consumer == 2
    client.connection._channels[1]._failed(ELSE)
    stream.answer(pb.ConsumeResponse(subscribed=pb.Subscribed(consumer=2)))
    ended: set[int] = set()
    while ended != {1, 2}:
        request = await stream.consumed()
        if request.HasField("unsubscribe"):
            ended.add(request.unsubscribe.consumer)
