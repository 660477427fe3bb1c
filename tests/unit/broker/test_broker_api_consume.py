"""Consume: sessions over streams."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import grpc
import pytest

from quorate.runtime.errors import QuorateError
from quorate.security.identity import Caller, How, Role, set_caller
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.api.broker.consuming import stream as consume_stream
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.rows import SessionId
from scheduler.core.broker.state import BrokerState
from tests.support.broker_calls import Broker, Consumer, publication, serving

C = grpc.StatusCode
ID = "session-0123456789"


async def publish(broker: Broker, *bodies: bytes, to: str = "q") -> None:
    await broker.call(pb.PublishRequest(publications=[publication(one, to) for one in bodies]))


async def test_messages_are_delivered_as_published_and_gone_when_acknowledged():
    async with serving() as broker:
        await broker.queue("q")
        await publish(broker, b"before")
        consumer = Consumer(broker)
        assert len(await consumer.open()) >= 16
        assert (await consumer.subscribe("q", prefetch=10)).ready == 1
        (first,) = await consumer.deliveries(1)
        await publish(broker, b"after")
        (second,) = await consumer.deliveries(1)
        assert first.message == m.Message(routing_key="q", body=b"before")
        assert (second.message.body, second.redelivered) == (b"after", False)
        assert first.publish_time.seconds > 0
        ids = [first.id, second.id]
        consumer.send(settle=pb.Settle(number=7, consumer=1, ids=ids, outcome=pb.OUTCOME_ACK))
        assert (await consumer.answer()).settled == 7
        queue = await broker.get("q")
        assert (queue.ready, queue.unacknowledged, queue.acknowledged_total) == (0, 0, 2)
        await consumer.close()


async def test_no_more_is_delivered_than_the_prefetch_and_credit_changes_it():
    async with serving() as broker:
        await broker.queue("q")
        await publish(broker, b"1", b"2", b"3")
        consumer = Consumer(broker)
        await consumer.open()
        await consumer.subscribe("q", prefetch=1)
        await consumer.deliveries(1)
        queue = await broker.get("q")
        assert (queue.ready, queue.unacknowledged) == (2, 1)
        consumer.send(credit=pb.Credit(consumer=1, prefetch=3))
        assert [one.message.body for one in await consumer.deliveries(2)] == [b"2", b"3"]
        await consumer.close()


async def test_a_session_that_goes_on_with_another_stream_keeps_its_deliveries():
    async with serving() as broker:
        await broker.queue("q")
        await publish(broker, b"1", b"2")
        consumer = Consumer(broker)
        await consumer.open(ID)
        await consumer.subscribe("q", prefetch=1)
        (first,) = await consumer.deliveries(1)
        await consumer.close()
        again = Consumer(broker)
        subscribe = pb.Subscribe(queue="q", consumer=1, prefetch=1)
        unsettled = pb.Unsettled(queue="q", consumer=1, ids=[first.id])
        assert await again.open(ID, consumers=[subscribe], unsettled=[unsettled]) == ID
        again.send(settle=pb.Settle(number=1, consumer=1, ids=[first.id], outcome=pb.OUTCOME_ACK))
        found: list[Any] = []
        while len(found) < 2:
            answer = await again.answer()
            found.append(answer.settled or answer.deliveries.deliveries[0].message.body)
        assert sorted(map(str, found)) == ["1", "b'2'"]
        await again.close()


async def test_a_session_that_is_closed_gives_its_deliveries_back():
    async with serving() as broker:
        await broker.queue("q")
        await publish(broker, b"1")
        consumer, other = Consumer(broker), Consumer(broker)
        for one in (consumer, other):
            await one.open()
            await one.subscribe("q", prefetch=1)
        (first,) = await consumer.deliveries(1)
        consumer.send(close=pb.CloseSession())
        with pytest.raises(StopAsyncIteration):
            await consumer.answer()
        (second,) = await other.deliveries(1)
        assert (second.id, second.redelivered) == (first.id, True)
        await other.close()


async def test_an_exclusive_queue_belongs_to_its_session():
    async with serving() as broker:
        consumer = Consumer(broker)
        session = await consumer.open()
        queue = m.MessageQueue(name="mine", spec=m.MessageQueueSpec(exclusive=True))
        made = await broker.call(pb.CreateMessageQueueRequest(message_queue=queue, session=session))
        assert made.message_queue.owner_session == session
        locked = await broker.refused(pb.PurgeMessageQueueRequest(name="mine"))
        assert locked.reason == "MESSAGE_QUEUE_LOCKED"
        assert (await broker.refused(pb.PeekMessagesRequest(name="mine"))).reason == locked.reason
        await broker.call(pb.PeekMessagesRequest(name="mine", session=session))
        await consumer.subscribe("mine")
        consumer.send(close=pb.CloseSession())
        with pytest.raises(StopAsyncIteration):
            await consumer.answer()
        async with asyncio.timeout(60):
            while broker.term.broker.state.names:
                await asyncio.sleep(0.01)
        await consumer.close()


async def test_a_list_shows_sessions_of_the_caller_alone():
    """Whoever knows the session of an exclusive queue could use that."""
    async with serving() as broker:
        set_caller(Caller("ann", Role.SUBMITTER, How.TOKEN))
        consumer = Consumer(broker)
        session = await consumer.open()
        queue = m.MessageQueue(name="mine", spec=m.MessageQueueSpec(exclusive=True))
        await broker.call(pb.CreateMessageQueueRequest(message_queue=queue, session=session))
        (mine,) = (await broker.call(pb.ListMessageQueuesRequest())).message_queues
        assert mine.owner_session == session
        set_caller(Caller("bob", Role.SUBMITTER, How.TOKEN))
        (anns,) = (await broker.call(pb.ListMessageQueuesRequest())).message_queues
        assert (anns.name, anns.owner_session) == ("mine", "")
        request = pb.TransactRequest(
            session=session, settles=[pb.Settle(consumer=1, ids=[1], outcome=pb.OUTCOME_ACK)]
        )
        foreign = await broker.refused(request)
        assert (foreign.reason, foreign.field) == ("SESSION_OF_ANOTHER", "session")
        await consumer.close()


async def test_a_fetch_gets_one_message_or_none():
    async with serving() as broker:
        await broker.queue("q")
        await publish(broker, b"1", b"2")
        consumer = Consumer(broker)
        await consumer.open()
        consumer.send(fetch=pb.Fetch(number=1, queue="q", automatic_ack=True))
        got = (await consumer.answer()).fetched
        assert (got.number, got.delivery.message.body, got.ready) == (1, b"1", 1)
        consumer.send(fetch=pb.Fetch(number=2, queue="q"))
        held = (await consumer.answer()).fetched
        settle = pb.Settle(number=3, queue="q", ids=[held.delivery.id], outcome=pb.OUTCOME_ACK)
        consumer.send(settle=settle)
        assert (await consumer.answer()).settled == 3
        consumer.send(fetch=pb.Fetch(number=4, queue="q"))
        assert not (await consumer.answer()).fetched.HasField("delivery")
        consumer.send(fetch=pb.Fetch(number=5, queue="none"))
        assert (await consumer.answer()).fetched.failure.code == C.NOT_FOUND.value[0]
        await consumer.close()


async def test_what_is_refused_is_told_and_the_session_goes_on():
    async with serving() as broker:
        await broker.queue("q")
        consumer = Consumer(broker)
        await consumer.open()
        assert (await consumer.subscribe("none")).failure.code == C.NOT_FOUND.value[0]
        assert not (await consumer.subscribe("q", 2)).HasField("failure")
        consumer.send(settle=pb.Settle(number=1, consumer=2, ids=[99], outcome=pb.OUTCOME_ACK))
        refused = (await consumer.answer()).refused
        assert (refused.number, list(refused.ids)) == (1, [99])
        await broker.call(pb.DeleteMessageQueueRequest(name="q"))
        while not (answer := await consumer.answer()).HasField("ended"):
            pass
        assert answer.ended.consumer == 2
        await consumer.close()


async def test_a_subscription_says_whether_it_reads_a_stream_and_from_where():
    async with serving() as broker:
        await broker.queue("q")
        await broker.queue("s", type=m.MESSAGE_QUEUE_TYPE_STREAM)
        for queue in ("q", "s"):
            await publish(broker, b"1", b"2", to=queue)
        consumer = Consumer(broker)
        await consumer.open()
        assert not (await consumer.subscribe("q", 1, prefetch=1)).stream
        await consumer.deliveries(1)
        following = await consumer.subscribe("s", 2)
        first = await consumer.subscribe("s", 3, position=pb.StreamPosition(first=True))
        assert (following.stream, first.stream) == (True, True)
        assert following.offset == first.offset + 2
        await consumer.close()


async def test_a_slow_reader_is_paused_and_goes_on(monkeypatch):
    monkeypatch.setattr(consume_stream, "MOST_OUTGOING", 40_000)
    async with serving() as broker:
        await broker.queue("q")
        consumer = Consumer(broker)
        session = SessionId(await consumer.open())
        await consumer.subscribe("q")
        for _ in range(20):
            await publish(broker, *[bytes(10_000)] * 2)
        queue = await broker.get("q")
        # It has not read any of them.
        assert queue.unacknowledged <= 8
        assert broker.term.broker.state.consuming.sessions[session].paused
        assert len(await consumer.deliveries(40)) == 40
        await consumer.close()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"subscribe": pb.Subscribe(queue="q")}, "subscribe.consumer"),
        ({"subscribe": pb.Subscribe(consumer=1)}, "subscribe.queue"),
        ({"subscribe": pb.Subscribe(consumer=1, queue="q", prefetch=65_536)}, "subscribe.prefetch"),
        ({"subscribe": pb.Subscribe(consumer=1, queue="q", priority=128)}, "subscribe.priority"),
        ({"credit": pb.Credit(consumer=1, prefetch=65_536)}, "credit.prefetch"),
        ({"settle": pb.Settle(consumer=1, ids=[1])}, "settle.outcome"),
        ({"settle": pb.Settle(ids=[1], outcome=pb.OUTCOME_ACK)}, "settle.queue"),
        ({"fetch": pb.Fetch(number=1)}, "fetch.queue"),
        ({"open": pb.OpenSession()}, "request.open"),
        ({}, "request"),
    ],
)
async def test_bad_requests_end_the_stream_with_their_field(request_, field):
    async with serving() as broker:
        consumer = Consumer(broker)
        await consumer.open()
        consumer.send(**request_)
        with pytest.raises(QuorateError) as caught:
            await consumer.answer()
        assert (caught.value.code, caught.value.field) == (C.INVALID_ARGUMENT, field)
        await consumer.close()


async def test_a_bad_request_ends_a_stream_that_has_deliveries():
    async with serving() as broker:
        await broker.queue("q")
        consumer = Consumer(broker)
        session = SessionId(await consumer.open())
        await consumer.subscribe("q", automatic_ack=True)
        await publish(broker, b"1", b"2")
        consumer.send()
        async with asyncio.timeout(60):
            while not consumer.sent.empty():
                await asyncio.sleep(0)
        with pytest.raises(QuorateError) as caught:
            await consumer.deliveries(1 << 30)
        assert caught.value.field == "request"
        assert not broker.term.broker.state.consuming.sessions[session].present
        await consumer.close()


async def test_a_stream_that_ends_without_close_leaves_its_session_for_a_while():
    async with serving() as broker:
        await broker.queue("q")
        consumer = Consumer(broker)
        session = SessionId(await consumer.open())
        consumer.sent.put_nowait(None)
        with pytest.raises(StopAsyncIteration):
            await consumer.answer()
        assert not broker.term.broker.state.consuming.sessions[session].present


@pytest.mark.parametrize("turns", range(8))
async def test_a_session_is_lost_also_when_the_call_is_cancelled_while_it_ends(turns):
    # gRPC first ends the requests of a connection that broke, and then cancels the call: the
    # cancellation meets it in any step of its end.
    machine = BrokerMachine(BrokerState(), BrokerLimits(session_grace=0.01))
    async with serving(machine=machine) as broker:
        await broker.queue("q")
        await publish(broker, b"1")
        gone, other = Consumer(broker), Consumer(broker)
        await gone.open()
        await gone.subscribe("q", prefetch=1)
        await gone.deliveries(1)
        ending = asyncio.create_task(anext(gone._answers))
        await asyncio.sleep(0)
        gone.sent.put_nowait(None)
        for _ in range(turns):
            await asyncio.sleep(0)
        ending.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await ending
        await gone.close()
        await other.open()
        await other.subscribe("q", prefetch=1)
        (delivery,) = await other.deliveries(1)
        assert delivery.redelivered


async def test_a_session_is_opened_first_and_has_a_long_id():
    async with serving() as broker:
        consumer = Consumer(broker)
        consumer.send(credit=pb.Credit())
        with pytest.raises(QuorateError) as caught:
            await consumer.answer()
        assert caught.value.field == "request.open"
        short = Consumer(broker)
        short.send(open=pb.OpenSession(session="short"))
        with pytest.raises(QuorateError) as caught:
            await short.answer()
        assert (caught.value.field, caught.value.metadata["limit"]) == ("session", "128")


async def test_a_second_stream_of_a_session_ends_the_first():
    async with serving() as broker:
        first, second = Consumer(broker), Consumer(broker)
        await first.open(ID)
        await second.open(ID)
        with pytest.raises(QuorateError) as caught:
            await first.answer()
        assert caught.value.reason == "SESSION_TAKEN"
        await first.close()
        assert broker.term.broker.state.consuming.sessions[SessionId(ID)].present
        await second.close()
        assert not broker.term.broker.state.consuming.sessions[SessionId(ID)].present


async def test_streams_end_with_the_term():
    async with serving() as broker:
        consumer = Consumer(broker)
        await consumer.open()
        broker.consuming.close()
        with pytest.raises(QuorateError) as caught:
            await consumer.answer()
        assert (caught.value.code, caught.value.reason) == (C.UNAVAILABLE, "LEADER_LOST")
        await consumer.close()


async def test_who_is_active_is_told_while_somebody_is():
    async with serving() as broker:
        await broker.queue("q", single_active_consumer=True)
        await broker.queue("other")
        assert (await broker.get("q")).active_consumer == ""
        consumer = Consumer(broker)
        await consumer.open()
        await consumer.subscribe("q", 1, name="first")
        await consumer.subscribe("q", 2)
        await consumer.subscribe("other", 3)
        assert (await broker.get("q")).active_consumer == "first"
        assert (await broker.get("other")).active_consumer == ""
        consumer.send(unsubscribe=pb.Unsubscribe(consumer=1))
        # Answered behind it.
        await consumer.subscribe("other", 4)
        assert (await broker.get("q")).active_consumer == "2"
        await consumer.close()


async def test_a_direct_reply_goes_to_who_asked():
    """https://www.rabbitmq.com/docs/direct-reply-to"""
    async with serving() as broker:
        consumer = Consumer(broker)
        await consumer.open()
        subscribed = await consumer.subscribe("amq.rabbitmq.reply-to", automatic_ack=True)
        address = subscribed.reply_to
        assert (await broker.get(address)).consumers == 1
        reply = publication(b"answer", address, mandatory=True)
        assert not (await broker.call(pb.PublishRequest(publications=[reply]))).results
        (delivery,) = await consumer.deliveries(1)
        assert delivery.message.body == b"answer"
        await consumer.close()
        error = await broker.refused(pb.GetMessageQueueRequest(name=address))
        assert error.code is C.NOT_FOUND
        (gone,) = (await broker.call(pb.PublishRequest(publications=[reply]))).results
        assert gone.kind == pb.PublicationResult.KIND_RETURNED
