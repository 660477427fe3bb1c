"""Large messages on their way to clients: how much counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any

import pytest

from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2 as m
from scheduler.api.broker.consuming import outgoing
from scheduler.api.broker.consuming.registry import ConsumeCalls
from scheduler.api.broker.consuming.stream import ConsumeStream
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import SubscribedAnswer
from scheduler.core.broker.rows import NO_SESSION, ConsumerNumber, SessionId
from scheduler.core.broker.storage.bodies import LARGE_BYTES

SESSION = SessionId("s" * 16)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "SLOW", 0.0)
    monkeypatch.setattr(outgoing, "MOST_SLOW", 100)


async def test_what_clients_have_not_taken_counts_until_they_have() -> None:
    told: list[SessionId] = []
    of_all = outgoing.Outgoing(told.append)
    one, other = of_all.stream(), of_all.stream()
    one.add(10)
    one.add(20)
    other.add(5)
    assert of_all.size == 35
    one.taken(10, SESSION)
    assert (of_all.size, told) == (25, [NO_SESSION])
    one.taken(20, SESSION)
    assert (of_all.size, told) == (5, [NO_SESSION, SESSION])
    other.taken(other.size)
    assert of_all.size == 0


@pytest.mark.usefixtures("quick")
async def test_a_client_that_takes_nothing_holds_up_no_others() -> None:
    told: list[SessionId] = []
    of_all = outgoing.Outgoing(told.append)
    slow, slower = of_all.stream(), of_all.stream()
    slow.add(80)
    async with asyncio.timeout(60):
        while of_all.size:
            await asyncio.sleep(0)
    assert (of_all.slow, told) == (80, [NO_SESSION])
    # Not without end: more than the most counts.
    slower.add(30)
    for _ in range(5):
        await asyncio.sleep(0)
    assert (of_all.size, of_all.slow) == (30, 80)
    slow.taken(80, SESSION)
    assert of_all.slow == 0
    async with asyncio.timeout(60):
        while of_all.size:
            await asyncio.sleep(0)
    assert of_all.slow == 30
    slower.taken(30, SESSION)
    assert (of_all.size, of_all.slow) == (0, 0)


class Slow:
    """In place of a driver: a session is opened at once, a subscription when the test says."""

    def __init__(self) -> None:
        self.subscribed: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def ask(self, event: Any) -> asyncio.Future[object]:
        made = event(None)
        if isinstance(made, e.Subscribed):
            return self.subscribed
        opened: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        opened.set_result(None)
        return opened

    def handle(self, events: Any) -> None:
        pass

    async def room(self) -> None:
        pass


async def test_what_is_held_for_a_subscription_counts_nothing_once_the_call_is_over() -> None:
    broker: Any = Slow()

    async def requests() -> AsyncGenerator[bytes, None]:
        opening = pb.OpenSession(session=SESSION)
        yield pb.ConsumeRequest(open=opening).SerializeToString()
        subscribe = pb.Subscribe(queue="q", consumer=1, prefetch=1)
        yield pb.ConsumeRequest(subscribe=subscribe).SerializeToString()
        await asyncio.Event().wait()

    of_all = outgoing.Outgoing(lambda session: None)
    stream = ConsumeStream(broker, requests(), lambda *_: None, lambda *_: True, of_all)
    async with asyncio.timeout(60):
        while ConsumerNumber(1) not in stream._subscribing:
            await asyncio.sleep(0)
        payload = m.Message(body=bytes(LARGE_BYTES)).SerializeToString()
        delivery = fx.Delivery(1, False, 0, 1.0, payload)
        stream.deliver(fx.Deliver(SESSION, ConsumerNumber(1), [delivery]))
        assert stream._subscribing[ConsumerNumber(1)]
        await stream.close()
        broker.subscribed.set_result(SubscribedAnswer(0))
        # Its callback runs ahead of this.
        await asyncio.wait_for(asyncio.shield(broker.subscribed), 60)
        await asyncio.sleep(0)
    assert (of_all.size, of_all.slow) == (0, 0)


class Driver:
    """What `ConsumeCalls` needs of the broker's.

    Attributes:
        stepped: all events.
    """

    def __init__(self) -> None:
        self.stepped: list[object] = []

    def serve(self, sessions: object) -> None: ...

    def handle(self, events: Iterable[object]) -> None:
        self.stepped += events


@pytest.mark.parametrize("fetched", [False, True])
@pytest.mark.parametrize(("size", "looks"), [(LARGE_BYTES - 1, 0), (LARGE_BYTES, 1)])
async def test_others_are_sent_when_a_large_message_finds_no_stream(
    fetched: bool, size: int, looks: int
) -> None:
    driver = Driver()
    calls = ConsumeCalls(driver)  # type: ignore[arg-type]
    delivery = fx.Delivery(1, False, 0, 0.0, bytes(size))
    if fetched:
        calls.fetched(fx.SendFetched(SESSION, 1, delivery, 0))
    else:
        calls.deliver(fx.Deliver(SESSION, ConsumerNumber(1), (delivery,)))
    assert not driver.stepped, "the core is in a step"
    await asyncio.sleep(0)
    assert driver.stepped == [e.OutgoingTaken(NO_SESSION)] * looks
    assert calls.outgoing == 0
