"""Consumers on the real driver, journal, records and fold: nothing is sent before it may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quorate.etcd.memory.store import MemoryEtcd
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueSpec,
    QueueUid,
    SessionId,
    SubscribeSpec,
)
from scheduler.storage.replica.fold import Fold
from tests.support.broker import HOST, publication
from tests.support.broker_term import BrokerTerm, begin, leading, load
from tests.support.server import until

SESSION = SessionId("session-of-a-test")
ONE = ConsumerNumber(1)
SPEC = SubscribeSpec(ONE, "q", prefetch=10)


async def ask(term: BrokerTerm, kind: type, *args: Any) -> Any:
    return await term.broker.call(lambda token: kind(*args, token))


async def open_session(
    term: BrokerTerm, consumers: Sequence[SubscribeSpec] = (), ids: Sequence[int] = ()
) -> Any:
    unsettled = [("q", ONE, ids)] if consumers else []
    return await ask(term, e.SessionOpened, SESSION, "caller", HOST, consumers, unsettled)


async def consuming(term: BrokerTerm, *, automatic: bool = False) -> None:
    """A queue with two messages and a consumer."""
    uid = QueueUid("00000000000000a1")
    await ask(term, e.MessageQueueDeclared, HOST, "q", MessageQueueSpec(), SessionId(""), uid)
    await open_session(term)
    spec = SubscribeSpec(ONE, "q", prefetch=10, automatic_ack=automatic)
    await ask(term, e.Subscribed, SESSION, spec)
    publications = [publication(body, "q") for body in (b"a", b"b")]
    await ask(term, e.MessagesPublished, HOST, "", publications)
    await until(lambda: len(term.sessions.deliveries) == 2, "the messages are delivered")


def settled(term: BrokerTerm) -> list[int]:
    return [one.number for one in term.sessions.got if isinstance(one, fx.SettleDone)]


async def test_messages_are_delivered_and_acknowledged() -> None:
    async with leading(MemoryEtcd()) as term:
        await consuming(term)
        ids = [delivery.id for delivery in term.sessions.deliveries]
        term.broker.handle((e.Settled(SESSION, 7, ONE, "", ids, e.Outcome.ACK),))
        assert settled(term) == []
        await until(lambda: settled(term) == [7], "it is confirmed")
        assert term.broker.state.queue(HOST, "q").unacknowledged == 0


async def test_automatic_acknowledgements_are_on_record_before_the_delivery() -> None:
    etcd = MemoryEtcd()
    async with leading(etcd) as term:
        await consuming(term, automatic=True)
    fold = Fold()
    await load(etcd, fold)
    async with leading(etcd, fold) as term:
        assert term.broker.state.queue(HOST, "q").ready == 0


async def test_a_session_goes_on_under_the_next_leader() -> None:
    etcd = MemoryEtcd()
    term = await begin(etcd, Fold())
    await consuming(term)
    ids = [delivery.id for delivery in term.sessions.deliveries]
    term.broker.handle((e.Settled(SESSION, 1, ONE, "", ids[:1], e.Outcome.ACK),))
    await until(lambda: settled(term) == [1], "it is confirmed")
    await term.end()
    fold = Fold()
    await load(etcd, fold)
    async with leading(etcd, fold) as following:
        assert list(following.broker.state.sessions) == [SESSION]
        answer = await open_session(following, [SPEC], ids[1:])
        assert answer.resumed
        state = following.broker.state
        assert (state.queue(HOST, "q").ready, state.queue(HOST, "q").unacknowledged) == (0, 1)
        # What is on its way twice does no harm.
        following.broker.handle((e.Settled(SESSION, 2, ONE, "", ids, e.Outcome.ACK),))
        await until(lambda: settled(following) == [2], "it is confirmed")
        assert following.sessions.deliveries == []
        following.broker.handle((e.SessionClosed(SESSION),))
        await following.broker.readable()
        assert list(following.broker.state.sessions) == []
    fold = Fold()
    await load(etcd, fold)
    assert fold.broker.state.sessions == {}
