"""Large messages through the calls of the Broker service, on the real driver, journal and fold."""

from __future__ import annotations

import asyncio

import pytest

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.memory.store import MemoryEtcd
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.core.broker.rows import SessionId
from scheduler.storage import keys
from tests.support.broker_calls import Broker, Consumer, publication, serving
from tests.support.broker_term import PREFIX

MOST = 16 << 20
Kind = pb.PublicationResult.Kind


async def stored(broker: Broker) -> int:
    """Parts of bodies in the store, once all is committed."""
    for _ in range(3):
        broker.term.broker.flush()
        await broker.term.journal.flush()
    start = PREFIX + keys.MESSAGE_BODIES
    return len((await broker.term.etcd.range(Range(start, prefix_end(start)))).kvs)


@pytest.mark.parametrize("most", [1 << 20, MOST])
@pytest.mark.parametrize("beyond", [-1, 0, 1])
async def test_a_body_has_as_much_as_the_cluster_takes(most: int, beyond: int) -> None:
    async with serving(max_message=most) as broker:
        await broker.queue("q")
        request = pb.PublishRequest(publications=[publication(bytes(most + beyond))])
        if beyond > 0:
            error = await broker.refused(request)
            assert error.reason == "MESSAGE_TOO_LARGE"
            assert (error.field, error.metadata["limit"]) == (
                "publications[0].message.body",
                str(most),
            )
            return
        assert not (await broker.call(request)).results
        (taken,) = (await broker.call(pb.ReceiveMessagesRequest(name="q"))).messages
        assert len(taken.message.body) == most + beyond
        assert await stored(broker) == 0


async def test_a_stream_rejects_a_message_that_is_too_large_and_goes_on() -> None:
    async with serving(max_message=2 << 20) as broker:
        await broker.queue("q")
        stream = broker.stream()
        stream.send([publication(b"first", number=1)])
        stream.send([publication(bytes((2 << 20) + 1), number=2)])
        stream.send([publication(bytes(2 << 20), number=3)])
        stream.end()
        answers = await stream.until(3)
        results = [one for answer in answers for one in answer.results]
        assert [(one.number, one.kind) for one in results] == [(2, Kind.KIND_REJECTED)]
        assert results[0].failure.reason == "MESSAGE_TOO_LARGE"
        await stream.close()
        assert (await broker.get("q")).ready == 2


async def test_several_messages_of_a_request_have_4_mib_together() -> None:
    async with serving(max_message=MOST) as broker:
        await broker.queue("q")
        stream = broker.stream()
        stream.send([publication(bytes(3 << 20), number=1), publication(bytes(2 << 20), number=2)])
        with pytest.raises(Exception, match="the limit is 4194304"):
            await stream.answer()
        await stream.close()


async def test_large_messages_are_delivered_to_many_and_stored_once() -> None:
    store = MemoryEtcd()
    async with serving(store, max_message=MOST) as broker:
        exchange = m.Exchange(name="all", type=m.EXCHANGE_TYPE_FANOUT)
        await broker.call(pb.CreateExchangeRequest(exchange=exchange))
        body = bytes(range(256)) * (12 << 12)
        for name in "abc":
            await broker.queue(name)
            binding = m.Binding(source="all", message_queue=name)
            await broker.call(pb.CreateBindingRequest(binding=binding))
        message = m.Message(exchange="all", body=body)
        request = pb.PublishRequest(publications=[m.Publication(message=message)])
        await broker.call(request)
        parts = await stored(broker)
        assert parts == len(body) // (512 << 10)
        # Each gets as much as its stream takes at a time: the others wait for it.
        for number, name in enumerate("abc", 1):
            consumer = Consumer(broker)
            await consumer.open()
            await consumer.subscribe(name)
            (got,) = await consumer.deliveries(1)
            assert got.message.body == body
            consumer.send(
                settle=pb.Settle(number=1, consumer=1, ids=[got.id], outcome=pb.OUTCOME_ACK)
            )
            assert (await consumer.answer()).settled == 1
            assert await stored(broker) == (parts if number < 3 else 0)
            consumer.send(close=pb.CloseSession())
            await consumer.close()


async def test_a_session_whose_stream_was_full_gets_messages_on_its_next_stream() -> None:
    async with serving(max_message=MOST) as broker:
        await broker.queue("q")
        bodies = [bytes([number]) * (5 << 20) for number in range(2)]
        for body in bodies:
            await broker.call(pb.PublishRequest(publications=[publication(body)]))
        consumer = Consumer(broker)
        session = await consumer.open()
        await consumer.subscribe("q")
        known = broker.term.broker.state.consuming.sessions[SessionId(session)]
        async with asyncio.timeout(60):
            while not known.paused:
                await asyncio.sleep(0.01)
        await consumer.close()
        following = Consumer(broker)
        await following.open(session, consumers=[pb.Subscribe(queue="q", consumer=1)])
        got = await following.deliveries(2)
        assert [one.message.body for one in got] == bodies
        await following.close()
