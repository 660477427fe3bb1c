"""Publish, deliver, settle, through the driver and the journal: under one leader and the next."""

from __future__ import annotations

import asyncio
from functools import partial

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import broker_wire_pb2 as w
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueSpec,
    QueueUid,
    SessionId,
    SubscribeSpec,
)
from tests.support.broker_term import BrokerTerm, Follower, leading

UID = QueueUid("00000000000000a1")
SESSION = SessionId("session-0123456789")
CONSUMER = ConsumerNumber(1)
SPEC = SubscribeSpec(CONSUMER, "q", prefetch=100)


def payload(number: int) -> bytes:
    return w.MessageEnvelope(routing_key="q", body=b"%d" % number).SerializeToString()


async def publish(term: BrokerTerm, *numbers: int) -> None:
    publications = [e.Publication(payload(number), "", b"q") for number in numbers]
    await term.broker.call(partial(e.MessagesPublished, "/", "", publications))


async def until(term: BrokerTerm, count: int) -> list[fx.Delivery]:
    """Wait for so many deliveries."""
    async with asyncio.timeout(60):
        while len(term.sessions.deliveries) < count:
            await asyncio.sleep(0.01)
    return term.sessions.deliveries


def settle(term: BrokerTerm, number: int, ids: list[int]) -> None:
    event = e.Settled(SESSION, number, CONSUMER, "", ids, e.Outcome.ACK)
    term.broker.handle((event,))


async def test_messages_are_delivered_settled_and_redelivered_by_the_next_leader() -> None:
    etcd = MemoryEtcd()
    async with leading(etcd) as term:
        declared = partial(e.MessageQueueDeclared, "/", "q", MessageQueueSpec(), SessionId(""), UID)
        await term.broker.call(declared)
        await term.broker.call(partial(e.SessionOpened, SESSION, "alice", "/", (), ()))
        await publish(term, 1, 2)
        await term.broker.call(partial(e.Subscribed, SESSION, SPEC))
        await publish(term, 3, 4)
        deliveries = await until(term, 4)
        assert [one.payload for one in deliveries] == [payload(n) for n in (1, 2, 3, 4)]
        settle(term, 1, [deliveries[0].id, deliveries[2].id])
        async with asyncio.timeout(60):
            while fx.SettleDone(SESSION, 1) not in term.sessions.got:
                await asyncio.sleep(0.01)
        assert not any(one.redelivered for one in deliveries)
    fold = Follower(etcd).follow()
    assert list(fold.broker.state.sessions) == [SESSION]
    async with leading(etcd, fold) as term:
        # The session goes on: it has one message; the other was lost on its way.
        unsettled = [("q", CONSUMER, [deliveries[1].id])]
        await term.broker.call(partial(e.SessionOpened, SESSION, "alice", "/", [SPEC], unsettled))
        (again,) = await until(term, 1)
        assert (again.id, again.payload) == (deliveries[3].id, payload(4))
        settle(term, 2, [deliveries[1].id, again.id])
        async with asyncio.timeout(60):
            while fx.SettleDone(SESSION, 2) not in term.sessions.got:
                await asyncio.sleep(0.01)
        assert term.broker.state.queue("/", "q").ready == 0
    queue = Follower(etcd).follow().broker.state.queue("/", "q")
    assert not any(len(lane.log.chunks) for _, lane in queue.sub_logs())
