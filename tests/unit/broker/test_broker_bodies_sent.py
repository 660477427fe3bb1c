"""Large bodies on their way to clients: how many at a time, and in which order."""

from __future__ import annotations

from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import NO_SESSION
from tests.support.broker import publication
from tests.support.consuming import Consumers


def test_a_client_has_one_large_message_on_its_way_and_others_get_theirs() -> None:
    size = 300_000
    broker = Consumers(BrokerLimits(inline_bytes=200_000))
    for name in ("q", "other"):
        broker.declare(name)
        for number in range(3):
            broker.publish(publication(b"%d" % number + b"x" * size, name))
    slow, quick = broker.client("slow"), broker.client("quick")
    slow.subscribe("q")
    quick.subscribe("other")
    # A batch of a step is what it gets at most.
    first = len(slow.got[1])
    assert 1 <= first <= 3
    slow.subscribe("q", 2)
    broker.publish(publication(b"small", "q"))
    assert not slow.got[2]
    while len(quick.got[1]) < 3:
        before = len(quick.got[1])
        broker.step(e.OutgoingTaken(quick.id))
        assert len(quick.got[1]) > before
    broker.step(e.OutgoingTaken(slow.id))
    assert len(slow.got[1]) + len(slow.got[2]) > first


def test_large_bodies_wait_until_clients_have_room_and_small_messages_do_not() -> None:
    size = 300_000
    broker = Consumers(BrokerLimits(inline_bytes=200_000, outgoing_bytes=2 * size))
    broker.declare("large")
    broker.declare("small")
    client = broker.client()
    client.subscribe("large")
    client.subscribe("small", 2)
    for number in range(4):
        broker.publish(publication(b"%d" % number + b"x" * (size - 1), "large"))
        # As the driver counts what clients have not taken; here others'.
        broker.state.window.bodies.outgoing = len(client.got[1]) * size
        broker.step(e.OutgoingTaken(client.id))
    broker.publish(publication(b"s", "small"))
    assert [body[0] for body in client.bodies()] == ["0", "1"]
    assert client.bodies(2) == ["s"]
    broker.state.window.bodies.outgoing = 0
    broker.step(e.OutgoingTaken(client.id))
    broker.step(e.OutgoingTaken(client.id))
    assert [body[0] for body in client.bodies()] == ["0", "1", "2", "3"]


def held_back(broker: Consumers, name: str, body: bytes) -> None:
    """A message whose consumer waits for it, as clients have too much; its body is not in memory
    any more."""
    bodies = broker.state.window.bodies
    bodies.outgoing = bodies.most_outgoing
    broker.publish(publication(body, name))
    bodies.clear()
    bodies.outgoing = bodies.most_outgoing


def test_a_body_that_was_held_back_is_sent_when_its_queue_is_looked_at_again() -> None:
    """Those that others had were dropped with their streams: no client takes them."""
    broker = Consumers(BrokerLimits(inline_bytes=200_000, outgoing_bytes=600_000))
    broker.declare("q")
    client = broker.client("q")
    client.subscribe("q")
    held_back(broker, "q", b"l" * 300_000)
    assert not client.got[1]
    broker.state.window.bodies.outgoing = 0
    broker.publish(publication(b"s", "q"))
    assert [body[0] for body in client.bodies()] == ["l", "s"]


def test_bodies_that_were_held_back_are_sent_in_order() -> None:
    broker = Consumers(BrokerLimits(inline_bytes=200_000, outgoing_bytes=600_000))
    for name in ("first", "second"):
        broker.declare(name)
        broker.client(name).subscribe(name)
    held_back(broker, "first", bytes(500_000))
    held_back(broker, "second", bytes(300_000))

    def sent(outgoing: int) -> list[int]:
        broker.state.window.bodies.outgoing = outgoing
        broker.step(e.OutgoingTaken(NO_SESSION))
        return [len(client.got[1]) for client in broker.clients.values()]

    assert sent(250_000) == [0, 0], "there is room for the second one alone"
    assert sent(0) == [1, 0]
    assert sent(0) == [1, 1]
