"""Ordering keys: the next message of a key when the one before is settled."""

from __future__ import annotations

import pytest

from scheduler.core.broker.consuming.ordering import OrderingKeys
from tests.support.consuming import Consumers


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    found.declare("q")
    return found


def test_a_key_is_delivered_one_message_at_a_time(broker: Consumers) -> None:
    one, two = broker.client("one"), broker.client("two")
    one.subscribe("q", prefetch=10)
    two.subscribe("q", prefetch=10)
    broker.put("q", "a1", "a2", "a3", key="a")
    broker.put("q", "b1", "b2", key="b")
    broker.put("q", "free")
    assert sorted([*one.bodies(), *two.bodies()]) == ["a1", "b1", "free"]
    for client, had in [(client, client.ids()) for client in (one, two)]:
        for delivery in had:
            client.ack(delivery)
    assert sorted([*one.bodies(), *two.bodies()]) == ["a1", "a2", "b1", "b2", "free"]


def test_what_is_set_aside_is_ready(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=10)
    broker.put("q", "a1", "a2", "a3", key="a")
    queue = broker.state.queue("/", "q")
    assert (queue.ready, queue.unacknowledged) == (2, 1)
    client.close()
    other = broker.client("other")
    other.subscribe("q")
    assert other.bodies() == ["a1"]
    other.ack()
    other.ack()
    other.ack()
    assert other.bodies() == ["a1", "a2", "a3"]


def test_a_nacked_message_stays_in_front_of_its_key(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=10)
    broker.put("q", "a1", "a2", "a3", key="a")
    client.nack()
    client.requeue()
    client.ack()
    client.ack()
    client.ack()
    assert client.bodies() == ["a1", "a1", "a1", "a2", "a3"]


def test_a_lost_session_keeps_its_keys_until_the_grace_is_over(broker: Consumers) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=1)
    broker.put("q", "a1", "a2", key="a")
    client.lose()
    other.subscribe("q")
    assert other.bodies() == []
    broker.pass_time(11)
    assert other.bodies() == ["a1"]
    other.ack()
    assert other.bodies() == ["a1", "a2"]


def test_a_dead_lettered_message_frees_its_key() -> None:
    broker = Consumers()
    broker.declare("q", delivery_limit=1)
    client = broker.client()
    client.subscribe("q")
    broker.put("q", "a1", "a2", "a3", key="a")
    client.reject()
    client.requeue()
    client.requeue()
    assert client.bodies() == ["a1", "a2", "a2", "a3"]


def test_the_next_leader_keeps_the_order(broker: Consumers) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=1)
    broker.put("q", "a1", "a2", key="a")
    broker.put("q", "b1", key="b")
    broker.fail_over()
    other.open()
    other.subscribe("q")
    # The way out after a few seconds is not for ordered messages.
    broker.pass_time(5)
    assert other.bodies() == []
    # The key of what it has is read of the message, which is not in memory.
    client.open(inventory=True)
    assert other.bodies() == ["b1"]
    client.ack()
    assert sorted([*client.bodies(), *other.bodies()]) == ["a1", "a2", "b1"]


def test_messages_that_wait_are_bounded(broker: Consumers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.core.broker.consuming.ordering.WAITING_FOR_KEYS", 2)
    client = broker.client()
    client.subscribe("q")
    broker.put("q", *(f"a{n}" for n in range(5)), key="a")
    broker.put("q", "b", key="b")
    # With more, all wait.
    assert client.bodies() == ["a0"]
    for _ in range(6):
        client.ack()
    assert sorted(client.bodies()) == ["a0", "a1", "a2", "a3", "a4", "b"]


def test_what_was_released_and_went_releases_the_next() -> None:
    keys = OrderingKeys()
    assert keys.hold(b"k", 1)
    for delivery in (2, 3, 4):
        assert not keys.hold(b"k", delivery)
        keys.set_aside(b"k", delivery)
    # 1 came back, and went while it was ready; so did 2.
    assert keys.free(b"k", 1) == 2
    assert keys.missed(lambda delivery: delivery > 2) == [3]
    assert keys.missed(lambda delivery: delivery > 2) == []
    assert keys.hold(b"k", 3)
    assert keys.aside == 1
    assert list(keys.all_aside()) == [4]
    assert keys.aside == 0


def test_a_higher_priority_goes_first_within_a_key(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=10)
    broker.put("q", "low1", "low2", key="a", priority=0)
    broker.put("q", "high1", key="a", priority=3)
    client.ack()
    client.ack()
    assert client.bodies() == ["low1", "high1", "low2"]


def test_an_automatically_acknowledged_message_frees_its_key(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", automatic_ack=True)
    broker.put("q", "a1", "a2", "a3", key="a")
    assert client.bodies() == ["a1", "a2", "a3"]
