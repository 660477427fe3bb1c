"""Publishing: routed, confirmed, returned, refused, in parts, and once for each number."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import ResultKind
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.routing.fields import text
from scheduler.core.broker.rows import Overflow
from tests.support.broker import HOST, Broker, Waiting, publication


def test_the_default_exchange_reaches_a_queue_by_its_name() -> None:
    """https://www.rabbitmq.com/docs/exchanges#default-exchange"""
    broker = Broker()
    broker.declare("jobs")
    sent = publication(b"hello", "jobs")
    assert broker.publish(sent).results == ()
    (delivery,) = broker.receive("jobs")
    assert delivery.payload == sent.payload, "byte for byte"
    assert not delivery.redelivered
    assert broker.state.queue(HOST, "jobs").ready == 0


def test_it_is_confirmed_after_the_commit() -> None:
    """https://www.rabbitmq.com/docs/confirms#publisher-confirms"""
    broker = Broker()
    queue = broker.declare("jobs")
    token = Waiting()
    event = e.MessagesPublished(HOST, "", [publication(b"a", "jobs")], token)
    out = broker.machine.step(event, broker.now)
    assert [type(effect) for effect in out.after] == [fx.Reply]
    assert (queue.ready, queue.in_flight) == (0, 1)
    assert not queue.next_ready(9, broker.now).deliveries
    for follows in broker.commit(out):
        broker.step(follows)
    assert (queue.ready, queue.in_flight) == (1, 0)


def test_one_event_to_several_queues_is_one_commit() -> None:
    """https://www.rabbitmq.com/docs/exchanges#fanout"""
    broker = Broker()
    broker.exchange("all", "fanout")
    for n in range(3):
        broker.declare(f"q{n}")
        broker.bind("all", f"q{n}")
    broker.effects.clear()
    broker.publish(*(publication(b"%d" % n, exchange="all") for n in range(4)))
    added = [out.additions for out in broker.effects if out.additions]
    assert len(added) == 1
    assert [len(one.messages) for one in added[0]] == [4, 4, 4]


def test_unroutable_and_mandatory_is_returned() -> None:
    """https://www.rabbitmq.com/docs/publishers#unroutable"""
    broker = Broker()
    answer = broker.publish(
        publication(b"a", "nowhere"), publication(b"b", "nowhere", mandatory=True)
    )
    ((position, kind, error),) = answer.results
    assert (position, kind, error.reason) == (1, ResultKind.RETURNED, "ROUTE_NOT_FOUND")


def test_an_unknown_exchange_rejects_that_publication_alone() -> None:
    broker = Broker()
    broker.declare("jobs")
    answer = broker.publish(publication(b"a", "jobs", "none"), publication(b"b", "jobs"))
    ((position, kind, error),) = answer.results
    assert (position, kind, error.reason) == (0, ResultKind.REJECTED, "EXCHANGE_NOT_FOUND")
    assert broker.bodies("jobs") == [b"b"]


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"expiration": Duration(seconds=-1)}, "properties.expiration"),
        ({"deliver_after": Duration(seconds=366 * 86_400)}, "properties.deliver_after"),
        ({"ordering_key": "k" * 256}, "properties.ordering_key"),
    ],
)
def test_bad_properties_name_the_field(properties: dict[str, Any], field: str) -> None:
    broker = Broker()
    broker.declare("jobs")
    ((_, kind, error),) = broker.publish(publication(b"a", "jobs", **properties)).results
    assert (kind, error.field) == (ResultKind.REJECTED, field)


def test_properties_that_nobody_serialized_are_refused() -> None:
    broker = Broker()
    broker.declare("jobs")
    bad = publication(b"a", "jobs")._replace(properties=b"\xff\xff")
    ((_, kind, error),) = broker.publish(bad).results
    assert (kind, error.field) == (ResultKind.REJECTED, "properties")


def test_an_alternate_exchange_takes_what_matches_nothing() -> None:
    """https://www.rabbitmq.com/docs/ae"""
    broker = Broker()
    broker.exchange("others", "fanout")
    broker.exchange("main", arguments=(("alternate-exchange", text("others")),))
    broker.declare("lost")
    broker.bind("others", "lost")
    broker.publish(publication(b"a", "no such key", "main", mandatory=True))
    assert broker.bodies("lost") == [b"a"]


def test_a_large_publish_is_stored_in_parts_and_confirmed_after_the_last() -> None:
    broker = Broker(BrokerLimits(step_bytes=1_000, step_writes=4))
    broker.exchange("all", "fanout")
    for n in range(6):
        broker.declare(f"q{n}")
        broker.bind("all", f"q{n}")
    broker.effects.clear()
    broker.publish(*(publication(b"x" * 100 + b"%d" % n, exchange="all") for n in range(9)))
    assert len(broker.effects) > 6
    assert all(not out.after for out in broker.effects if out.then)
    for n in range(6):
        assert [body[-1:] for body in broker.bodies(f"q{n}")] == [b"%d" % n for n in range(9)]


def test_a_number_that_is_settled_is_confirmed_without_effect() -> None:
    """https://www.rabbitmq.com/docs/publishers: a publisher repeats what was not confirmed; streams
    deduplicate by publishing id: https://www.rabbitmq.com/docs/stream"""
    broker = Broker()
    broker.declare("jobs")
    numbered = [publication(b"%d" % n, "jobs", number=n) for n in range(1, 4)]
    broker.publish(*numbered[:2], producer="p")
    writes = [write for out in broker.effects for write in out.writes]
    assert fx.PutProducer(broker.state.producers["p"]) in writes
    assert broker.publish(*numbered, producer="p").results == ()
    assert broker.bodies("jobs") == [b"1", b"2", b"3"]
    broker.publish(*numbered, producer="other")
    assert len(broker.bodies("jobs")) == 6


def test_producers_are_forgotten() -> None:
    broker = Broker(BrokerLimits(producers=2))
    broker.declare("jobs")
    for n in range(3):
        broker.publish(publication(b"a", "jobs", number=1), producer=f"p{n}")
    assert list(broker.state.producers) == ["p1", "p2"]
    broker.pass_time(300)
    broker.publish(publication(b"a", "jobs", number=2), producer="p1")
    broker.pass_time(400)
    assert list(broker.state.producers) == ["p1"]
    broker.pass_time(700)
    assert not broker.state.producers


def test_priorities_are_bounded_by_the_queue() -> None:
    """https://www.rabbitmq.com/docs/priority: a higher one counts as the queue's maximum."""
    broker = Broker()
    broker.declare("jobs", max_priority=5)
    for priority in (0, 3, 9, 5):
        broker.publish(publication(b"%d" % priority, "jobs", priority=priority))
    assert broker.bodies("jobs") == [b"9", b"5", b"3", b"0"]


def test_a_queue_without_priorities_keeps_the_order() -> None:
    """https://www.rabbitmq.com/docs/priority"""
    broker = Broker()
    broker.declare("jobs")
    for priority in (0, 3, 9, 5):
        broker.publish(publication(b"%d" % priority, "jobs", priority=priority))
    assert broker.bodies("jobs") == [b"0", b"3", b"9", b"5"]


# -- lengths ---------------------------------------------------------------------------------------


def test_a_full_queue_drops_its_oldest_messages() -> None:
    """https://www.rabbitmq.com/docs/maxlength#default-max-queue-length-limit-behaviour"""
    broker = Broker()
    queue = broker.declare("jobs", max_length=3)
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(5)))
    assert broker.bodies("jobs") == [b"2", b"3", b"4"]
    assert queue.dropped == 2


def test_messages_that_consumers_have_do_not_count() -> None:
    """https://www.rabbitmq.com/docs/maxlength: "Messages unacknowledged by consumers do not count
    towards the limit"."""
    broker = Broker()
    queue = broker.declare("jobs", max_length=2)
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(2)))
    queue.next_ready(2, broker.now)
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(2, 4)))
    assert (queue.ready, queue.unacknowledged) == (2, 2)


def test_a_queue_is_bounded_by_bytes() -> None:
    """https://www.rabbitmq.com/docs/maxlength"""
    broker = Broker()
    queue = broker.declare("jobs", max_length_bytes=5_000)
    for n in range(10):
        broker.publish(publication(b"%d" % n + b"x" * 1_000, "jobs"))
    assert [body[:1] for body in broker.bodies("jobs")] == [b"6", b"7", b"8", b"9"]
    assert queue.ready_bytes <= 5_000


def test_many_are_dropped_in_parts() -> None:
    broker = Broker(BrokerLimits(step_messages=10))
    broker.declare("jobs", max_length=1)
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(45)))
    assert broker.bodies("jobs") == [b"44"]


@pytest.mark.parametrize("overflow", [Overflow.REJECT_PUBLISH, Overflow.REJECT_PUBLISH_DEAD_LETTER])
def test_a_full_queue_refuses(overflow: Overflow) -> None:
    """https://www.rabbitmq.com/docs/maxlength#overflow-behaviour"""
    broker = Broker()
    broker.declare("dead")
    broker.declare(
        "jobs",
        max_length=2,
        overflow=overflow,
        dead_letter_exchange="",
        dead_letter_routing_key="dead",
    )
    answer = broker.publish(*(publication(b"%d" % n, "jobs") for n in range(3)))
    ((position, kind, error),) = answer.results
    assert (position, kind, error.reason) == (2, ResultKind.REJECTED, "MESSAGE_QUEUE_FULL")
    assert error.metadata["limit"] == "2"
    assert broker.bodies("jobs") == [b"0", b"1"]
    dead = [b"2"] if overflow is Overflow.REJECT_PUBLISH_DEAD_LETTER else []
    assert broker.bodies("dead") == dead


def test_too_many_messages_that_are_not_committed_are_refused() -> None:
    broker = Broker(BrokerLimits(in_flight=2))
    broker.declare("jobs")
    answer = broker.publish(*(publication(b"%d" % n, "jobs") for n in range(3)))
    ((position, _, error),) = answer.results
    assert (position, error.reason) == (2, "MESSAGE_QUEUE_BUSY")


def test_each_part_says_how_far_the_producer_is() -> None:
    """The next leader takes up a repeated publish where the one before died."""
    broker = Broker(BrokerLimits(step_bytes=400))
    broker.declare("jobs")
    sent = [publication(b"%d" % n + b"x" * 100, "jobs", number=n) for n in range(1, 8)]
    out = broker.machine.step(e.MessagesPublished(HOST, "p", sent, Waiting()), broker.now)
    for follows in broker.commit(out):
        broker.step(follows)
    assert out.then, "there are more parts; the leader dies here"
    assert 0 < broker.state.producers["p"].number < 7
    broker.step(e.Elected())
    broker.publish(*sent, producer="p")
    assert [body[:1] for body in broker.bodies("jobs")] == [b"%d" % n for n in range(1, 8)]


def test_a_producer_is_as_far_as_all_of_its_messages_are() -> None:
    """A publish that goes on in parts is not overtaken by the next one of its producer: after a
    crash between the two, its messages would count as queued."""
    broker = Broker(BrokerLimits(step_bytes=400))
    queue = broker.declare("jobs")
    first, second = Waiting(), Waiting()
    large = [publication(bytes(100), "jobs", number=n) for n in range(1, 11)]
    out = broker.machine.step(e.MessagesPublished(HOST, "p", large, first), broker.now)
    (more,) = out.then
    small = [publication(b"x", "jobs", number=11)]
    after = broker.machine.step(e.MessagesPublished(HOST, "p", small, second), broker.now)
    assert not after.writes
    assert not after.additions
    known = broker.state.producers.get("p")
    assert known is None or known.number < 10
    for follows in (*broker.commit(out), more):
        broker.step(follows)
    assert (first.answer.results, second.answer.results) == ((), ())
    assert queue.ready == 11
    assert broker.state.producers["p"].number == 11
    broker.step(e.MessagesPublished(HOST, "p", small, third := Waiting()))
    assert third.answer.results == ()
    assert queue.ready == 11


@pytest.mark.parametrize("stream", ["s", ""])
def test_publishes_of_a_stream_keep_their_order_without_a_producer(stream: str) -> None:
    """One that goes on in parts is not overtaken by those behind it; single calls have no order."""
    broker = Broker(BrokerLimits(step_bytes=400))
    broker.declare("jobs")
    first, second = Waiting(), Waiting()
    large = [publication(b"%d" % n + bytes(100), "jobs") for n in range(6)]
    event = e.MessagesPublished(HOST, "", large, first, stream)
    out = broker.machine.step(event, broker.now)
    assert out.then
    behind = event._replace(publications=[publication(b"last", "jobs")], token=second)
    after = broker.machine.step(behind, broker.now)
    assert bool(after.additions) is not bool(stream)
    for follows in (*broker.commit(out), *broker.commit(after), *out.then):
        broker.step(follows)
    assert first.answered
    assert second.answered
    bodies = [body[:4].rstrip(b"\0") for body in broker.bodies("jobs")]
    assert (bodies[-1] == b"last") is bool(stream)
    assert not broker.state.publishing


def test_a_publish_that_is_refused_when_its_turn_comes_lets_others_go_on() -> None:
    broker = Broker(BrokerLimits(step_bytes=400))
    broker.ask(e.VirtualHostAsked, "v")
    broker.declare("jobs")
    first, second, third = Waiting(), Waiting(), Waiting()
    large = [publication(bytes(100), "jobs", number=n) for n in range(1, 7)]
    out = broker.machine.step(e.MessagesPublished(HOST, "p", large, first), broker.now)
    broker.step(e.MessagesPublished("v", "p", [publication(b"x", "jobs", number=7)], second))
    broker.step(e.MessagesPublished(HOST, "p", [publication(b"y", "jobs", number=8)], third))
    broker.ask(e.VirtualHostDeleteAsked, "v")
    for follows in (*broker.commit(out), *out.then):
        broker.step(follows)
    assert second.answer.reason == "VIRTUAL_HOST_NOT_FOUND"
    assert third.answer.results == ()
    assert broker.bodies("jobs")[-1] == b"y"
