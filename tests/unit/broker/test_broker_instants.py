"""What happens at an instant: messages expire, and delayed ones are due."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import NO_SESSION, QueueType
from tests.support.broker import HOST, NOW, Broker, publication


def seconds(number: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=number))
    return duration


def test_messages_expire_after_the_queues_time() -> None:
    """https://www.rabbitmq.com/docs/ttl#message-ttl-applied-to-queues"""
    broker = Broker()
    queue = broker.declare("jobs", message_ttl=10.0)
    broker.publish(publication(b"a", "jobs"))
    broker.pass_time(4)
    broker.publish(publication(b"b", "jobs"))
    broker.pass_time(5.9)
    assert broker.bodies("jobs") == [b"a", b"b"]
    broker.pass_time(0.2)
    assert broker.bodies("jobs") == [b"b"]
    assert queue.ready == 1
    broker.pass_time(10)
    assert not broker.stored


def test_the_shorter_of_both_times_counts() -> None:
    """https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers"""
    broker = Broker()
    broker.declare("jobs", message_ttl=10.0)
    broker.publish(
        publication(b"short", "jobs", expiration=seconds(5)),
        publication(b"long", "jobs", expiration=seconds(20)),
    )
    broker.pass_time(5)
    assert broker.bodies("jobs") == [b"long"]
    broker.pass_time(5)
    assert broker.bodies("jobs") == []


def test_a_message_expires_behind_one_that_does_not() -> None:
    """Where we differ from https://www.rabbitmq.com/docs/ttl: there it waits for the head of the
    queue, and stays in the counts."""
    broker = Broker()
    broker.declare("dead")
    queue = broker.declare("jobs", dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.publish(
        publication(b"stays", "jobs"), publication(b"goes", "jobs", expiration=seconds(5))
    )
    broker.pass_time(5)
    assert queue.ready == 1
    assert broker.bodies("dead") == [b"goes"]


def test_it_is_not_delivered_from_its_instant_on() -> None:
    """https://www.rabbitmq.com/docs/ttl: "will not be delivered"; its removal may come later."""
    broker = Broker()
    broker.declare("jobs")
    broker.publish(publication(b"a", "jobs", expiration=seconds(5)))
    broker.now += 5
    assert broker.receive("jobs") == ()
    assert not broker.stored, "asking removed it"


def test_a_message_that_is_out_expires_when_it_comes_back() -> None:
    """https://www.rabbitmq.com/docs/ttl: a requeued message keeps its expiry."""
    broker = Broker()
    queue = broker.declare("jobs", message_ttl=5.0)
    broker.publish(publication(b"a", "jobs"))
    (taken,) = queue.next_ready(1, broker.now).deliveries
    broker.pass_time(10)
    assert queue.unacknowledged == 1
    queue.put_back([taken.id])
    assert queue.next_ready(1, broker.now).deliveries == []
    broker.step(e.ReceiveAsked(HOST, "jobs", NO_SESSION, 1, _Nobody()))
    assert queue.ready == 0


class _Nobody:
    def done(self) -> bool:
        return True

    def set_result(self, result: object, /) -> None: ...

    def set_exception(self, exception: BaseException, /) -> None: ...


def test_many_expire_in_parts() -> None:
    broker = Broker(BrokerLimits(step_messages=10))
    queue = broker.declare("jobs", message_ttl=5.0)
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(45)))
    broker.effects.clear()
    broker.pass_time(5)
    assert queue.ready == 0
    assert len([out for out in broker.effects if out.writes]) == 5


def test_chunks_are_loaded_to_expire_what_is_in_them() -> None:
    broker = Broker()
    broker.declare("dead")
    broker.declare("jobs", message_ttl=5.0, dead_letter_exchange="", dead_letter_routing_key="dead")
    for n in range(40):
        broker.publish(publication(b"%d" % n, "jobs"))
    broker.state.window.clear()
    broker.pass_time(5)
    assert broker.bodies("dead") == [b"%d" % n for n in range(40)]


def test_while_a_chunk_is_loaded_nothing_is_due() -> None:
    """The driver does not turn in a circle."""
    broker = Broker()
    broker.declare("jobs", message_ttl=5.0)
    broker.publish(publication(b"a", "jobs"))
    broker.state.window.clear()
    broker.loads = False
    broker.pass_time(6)
    assert broker.next_due > broker.now
    broker.loads = True
    broker.step(e.TimePassed())
    assert not broker.stored


def test_delayed_messages_come_in_the_order_in_which_they_are_due() -> None:
    """As the delayed message exchange: https://github.com/rabbitmq/rabbitmq-delayed-message-exchange"""
    broker = Broker()
    queue = broker.declare("jobs")
    for delay in (9, 3, 6):
        broker.publish(publication(b"%d" % delay, "jobs", deliver_after=seconds(delay)))
    assert (queue.ready, queue.waiting_for_due) == (0, 3)
    broker.pass_time(3)
    assert broker.bodies("jobs") == [b"3"]
    broker.now += 10
    broker.step(e.TimePassed())
    assert broker.bodies("jobs") == [b"3", b"6", b"9"]
    assert (queue.ready, queue.waiting_for_due, queue.published) == (3, 0, 3)


def test_a_late_leader_keeps_the_order_over_many_chunks() -> None:
    broker = Broker(BrokerLimits(step_messages=7))
    broker.declare("jobs")
    delays = [(n * 37) % 60 + 1 for n in range(60)]
    for delay in delays:
        broker.publish(publication(b"%d" % delay, "jobs", deliver_after=seconds(delay)))
    broker.state.window.clear()
    broker.now += 100
    broker.step(e.TimePassed())
    assert broker.bodies("jobs") == [b"%d" % delay for delay in sorted(delays)]


def test_a_delayed_message_keeps_its_priority_and_instant() -> None:
    broker = Broker()
    queue = broker.declare("jobs", max_priority=9)
    broker.publish(publication(b"low", "jobs"))
    broker.publish(publication(b"high", "jobs", priority=9, deliver_after=seconds(5)))
    broker.pass_time(5)
    assert broker.bodies("jobs") == [b"high", b"low"]
    assert queue.peek(1, broker.now, 1_000)[0][0].instant == NOW


def test_a_delayed_message_may_expire_before_it_is_due() -> None:
    broker = Broker()
    broker.declare("dead")
    queue = broker.declare("jobs", dead_letter_exchange="", dead_letter_routing_key="dead")
    broker.publish(
        publication(b"a", "jobs", deliver_after=seconds(9), expiration=seconds(5)),
        publication(b"b", "jobs", deliver_after=seconds(9), expiration=seconds(15)),
    )
    broker.pass_time(6)
    assert broker.bodies("dead") == [b"a"]
    broker.pass_time(4)
    assert broker.bodies("jobs") == [b"b"]
    broker.pass_time(6)
    assert (queue.ready, queue.waiting_for_due) == (0, 0)
    assert broker.bodies("dead") == [b"a", b"b"]


def test_the_queues_time_begins_when_a_message_is_due() -> None:
    broker = Broker()
    broker.declare("jobs", message_ttl=2.0)
    broker.publish(publication(b"a", "jobs", deliver_after=seconds(9)))
    broker.pass_time(10)
    assert broker.bodies("jobs") == [b"a"]
    broker.pass_time(2)
    assert broker.bodies("jobs") == []


def test_a_stream_neither_delays_nor_expires() -> None:
    broker = Broker()
    broker.declare("log", type=QueueType.STREAM)
    broker.publish(
        publication(b"a", "log", deliver_after=seconds(9)),
        publication(b"b", "log", expiration=seconds(1)),
    )
    broker.pass_time(5)
    assert broker.bodies("log") == [b"a", b"b"]


def test_a_new_leader_expires_and_delivers_what_the_old_one_left() -> None:
    broker = Broker()
    broker.declare("jobs", message_ttl=5.0)
    broker.publish(publication(b"old", "jobs"))
    broker.publish(publication(b"late", "jobs", deliver_after=seconds(7)))
    broker.now += 8
    broker.step(e.Elected())
    broker.step(e.TimePassed())
    assert broker.bodies("jobs") == [b"late"]


def test_time_does_not_run_below_what_is_on_record() -> None:
    broker = Broker()
    broker.declare("jobs")
    broker.publish(publication(b"a", "jobs"))
    broker.state.instant = 0.0
    broker.now -= 1_000
    broker.step(e.Elected())
    assert broker.state.instant == NOW
