"""Consumers of streams. https://www.rabbitmq.com/docs/streams#consuming"""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.broker.rows import PositionKind, QueueType, StreamPosition
from scheduler.core.broker.storage.places import of_priority
from tests.support.consuming import Consumers

FIRST = StreamPosition(PositionKind.FIRST)


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    found.declare("s", type=QueueType.STREAM)
    return found


def test_each_reader_has_its_own_position(broker: Consumers) -> None:
    broker.put("s", *"abc")
    one, two = broker.client("one"), broker.client("two")
    one.read("s", FIRST, prefetch=10)
    two.read("s", StreamPosition(PositionKind.OFFSET, 2), prefetch=10)
    broker.put("s", "d")
    assert one.bodies() == ["a", "b", "c", "d"]
    assert two.bodies() == ["c", "d"]


def test_acknowledgements_give_credit_and_nothing_else(broker: Consumers) -> None:
    broker.put("s", *"abcde")
    client = broker.client()
    client.read("s", FIRST, prefetch=2)
    assert client.bodies() == ["a", "b"]
    client.ack(client.ids()[0])
    client.nack()
    client.reject(client.ids()[0])
    assert client.bodies() == ["a", "b", "c", "d", "e"]
    assert client.settled == client.number
    other = broker.client("other")
    other.read("s", FIRST)
    assert other.bodies() == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (FIRST, "abcd"),
        (StreamPosition(PositionKind.LAST), "cd"),
        (StreamPosition(PositionKind.NEXT), ""),
        (StreamPosition(PositionKind.OFFSET, 1), "bcd"),
        (StreamPosition(PositionKind.OFFSET, 99), ""),
    ],
)
def test_where_a_reader_begins(broker: Consumers, position: StreamPosition, expected: str) -> None:
    broker.put("s", *"ab")
    broker.put("s", *"cd")
    client = broker.client()
    client.read("s", position)
    assert client.bodies() == list(expected)


def test_a_reader_that_begins_at_an_instant(broker: Consumers) -> None:
    for body in "abcd":
        broker.put("s", body)
        broker.pass_time(10)
    client = broker.client()
    client.read("s", StreamPosition(PositionKind.TIME, 0, broker.now - 25))
    assert client.bodies() == ["c", "d"]


def test_a_reader_gets_nothing_of_the_future_twice(broker: Consumers) -> None:
    client = broker.client()
    client.read("s", StreamPosition(PositionKind.OFFSET, 2))
    broker.put("s", *"abc")
    assert client.bodies() == ["c"]


def test_an_overtaken_reader_is_told_what_it_missed(broker: Consumers) -> None:
    for body in "abcdef":
        broker.put("s", body)
    client = broker.client()
    client.read("s", FIRST, prefetch=1)
    lane = broker.state.queue("/", "s").lane(of_priority(0))
    lane.log.trim(0.0, lane.log.chunks.size // 3, broker.now)
    client.ack()
    assert client.bodies() == ["a", "e"]
    assert client.skipped == {1: 3}


def test_a_reader_goes_on_under_another_leader(broker: Consumers) -> None:
    broker.put("s", *"abcd")
    client = broker.client()
    client.read("s", FIRST, prefetch=2)
    broker.fail_over()
    client.specs[1] = client.specs[1].__class__(
        client.specs[1].consumer, "s", prefetch=2, position=StreamPosition(PositionKind.OFFSET, 2)
    )
    client.open(inventory=True)
    # What it has takes its credit.
    assert client.bodies() == ["a", "b"]
    client.ack()
    assert client.bodies() == ["a", "b", "c", "d"]


def test_bodies_are_read_for_readers_that_lag(broker: Consumers) -> None:
    broker.put("s", *"ab")
    broker.put("s", *"cd")
    broker.state.window.clear()
    client = broker.client()
    client.read("s", FIRST)
    assert client.bodies() == ["a", "b", "c", "d"]


def test_a_reader_without_acknowledgements(broker: Consumers) -> None:
    client = broker.client()
    client.read("s", FIRST, automatic_ack=True)
    broker.put("s", *"abc")
    assert client.bodies() == ["a", "b", "c"]
    assert broker.state.consuming.total.unsettled == 0


def test_a_stream_is_not_fetched_of(broker: Consumers) -> None:
    answer = broker.client().fetch("s")
    assert answer is not None
    assert answer.error is not None
    assert answer.error.reason == "STREAM_NOT_FETCHED"


def test_a_long_stream_is_read_in_steps(broker: Consumers) -> None:
    for _ in range(3):
        broker.put("s", *("x" for _ in range(1_000)))
    client = broker.client()
    client.read("s", FIRST, prefetch=5_000)
    assert [delivery.id for delivery in client.got[1]] == list(range(3_000))


def test_readers_that_settle_nothing_are_held_and_do_not_stop_queues(broker: Consumers) -> None:
    consuming = broker.state.consuming
    consuming.of_streams.most = 3
    broker.declare("q")
    broker.declare("t", type=QueueType.STREAM)
    one, two = broker.client("one"), broker.client("two")
    one.read("s", FIRST, prefetch=10)
    two.read("t", FIRST, prefetch=10)
    broker.put("s", *"abcde")
    broker.put("t", "f")
    assert (one.bodies(), two.bodies()) == (["a", "b", "c"], [])
    assert (consuming.of_streams.unsettled, consuming.total.unsettled) == (3, 0)
    consuming.total.most = 2
    two.subscribe("q", 2, prefetch=10)
    broker.put("q", *"xyz")
    assert two.bodies(2) == ["x", "y"]
    two.ack(two.ids(2)[0], consumer=2)
    assert (one.bodies(), two.bodies()) == (["a", "b", "c"], [])
    one.ack(one.ids()[0])
    assert len(one.bodies()) + len(two.bodies()) == 4
    while one.ids():
        one.ack(one.ids()[0])
    assert (one.bodies(), two.bodies()) == (["a", "b", "c", "d", "e"], ["f"])
    assert two.bodies(2) == ["x", "y", "z"]


def test_what_a_reader_says_it_has_is_held_by_the_same_bound(broker: Consumers) -> None:
    broker.put("s", *"abcd")
    client = broker.client()
    client.read("s", FIRST, prefetch=10)
    assert len(client.ids()) == 4
    broker.fail_over()
    broker.state.consuming.of_streams.most = 3
    after = StreamPosition(PositionKind.OFFSET, 4)
    client.specs[1] = replace(client.specs[1], position=after)
    client.open(inventory=True)
    assert broker.state.consuming.of_streams.unsettled == 3
    client.ack(*client.ids())
    assert broker.state.consuming.of_streams.unsettled == 0
    assert not client.refused
