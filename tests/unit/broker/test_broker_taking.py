"""What callers take, read, move and delete of a queue; streams; small chunks."""

from __future__ import annotations

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.instants import InstantsDue
from scheduler.core.broker.handlers.overflow import OverflowDue
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import NO_SESSION, QueueType
from tests.support.broker import HOST, Broker, Waiting, publication

# -- taking, reading, moving, deleting -------------------------------------------------------------


def test_receive_takes_messages_before_it_answers() -> None:
    """https://www.rabbitmq.com/docs/confirms#acknowledgement-modes"""
    broker = Broker()
    broker.declare("jobs")
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(3)))
    broker.effects.clear()
    assert len(broker.receive("jobs", 2)) == 2
    (out,) = broker.effects
    assert [type(write) for write in out.writes] == [fx.ChangeSubLog]
    assert broker.bodies("jobs") == [b"2"]


def test_what_is_not_in_memory_is_loaded() -> None:
    broker = Broker(BrokerLimits(window_bytes=0))
    broker.declare("jobs")
    for n in range(3):
        broker.publish(publication(b"%d" % n, "jobs"))
    broker.loads = False
    token = Waiting()
    broker.step(e.ReceiveAsked(HOST, "jobs", NO_SESSION, 3, token))
    assert not token.answered
    assert broker.wanted == [("0000000000000001", "p00", 0)]
    broker.loads = True
    broker.step(e.TimePassed())
    assert len(token.answer.deliveries) >= 1


def test_peek_leaves_messages_where_they_are() -> None:
    broker = Broker()
    broker.declare("jobs")
    broker.publish(*(publication(b"%d" % n, "jobs") for n in range(3)))
    answer = broker.ask(e.PeekAsked, HOST, "jobs", 2, 0)
    assert [one.id for one in answer.deliveries] == [0, 1]
    assert answer.ready == 3


@pytest.mark.parametrize("type", [QueueType.QUEUE, QueueType.STREAM])
def test_peek_reads_every_message_also_those_that_are_not_in_memory(type: QueueType) -> None:
    broker = Broker()
    broker.declare("jobs", type=type)
    for n in range(5):
        broker.publish(publication(b"%d" % n, "jobs"))
    # As under a new leader: each message is in a chunk of its own, and none is loaded.
    broker.state.window.clear()
    answer = broker.ask(e.PeekAsked, HOST, "jobs", 4, 0)
    assert [one.id for one in answer.deliveries] == [0, 1, 2, 3]


def test_peek_ends_where_bodies_do_not_stay_in_memory() -> None:
    broker = Broker(BrokerLimits(window_bytes=0))
    broker.declare("jobs")
    for n in range(5):
        broker.publish(publication(b"%d" % n, "jobs"))
    answer = broker.ask(e.PeekAsked, HOST, "jobs", 4, 0)
    assert [one.id for one in answer.deliveries][:1] == [0]


def test_purge_deletes_what_is_ready() -> None:
    """https://www.rabbitmq.com/amqp-0-9-1-reference#queue.purge"""
    broker = Broker(BrokerLimits(step_chunks=2))
    queue = broker.declare("jobs", max_priority=1)
    for n in range(9):
        broker.publish(publication(b"%d" % n, "jobs", priority=n % 2))
    taken = [one.id for one in queue.next_ready(2, broker.now).deliveries]
    queue.put_back(taken[:1])
    assert broker.ask(e.PurgeAsked, HOST, "jobs", NO_SESSION).messages == 8
    assert (queue.ready, queue.unacknowledged) == (0, 1)
    queue.put_back(taken[1:])
    assert broker.bodies("jobs") == [b"3"]
    assert len(broker.stored) == 1


def test_messages_move_in_parts_and_keep_their_order() -> None:
    broker = Broker(BrokerLimits(step_bytes=600))
    broker.declare("jobs")
    broker.declare("others")
    broker.publish(*(publication(b"%d" % n + b"x" * 100, "jobs") for n in range(9)))
    answer = broker.ask(e.MoveAsked, HOST, "jobs", "others", 7)
    assert (answer.moved, answer.ready) == (7, 2)
    assert [body[:1] for body in broker.bodies("others")] == [b"%d" % n for n in range(7)]
    answer = broker.ask(e.MoveAsked, HOST, "jobs", "others", 100)
    assert (answer.moved, answer.ready) == (2, 0)
    with pytest.raises(QuorateError) as caught:
        broker.ask(e.MoveAsked, HOST, "jobs", "jobs", 1)
    assert caught.value.reason == "SAME_MESSAGE_QUEUE"


def test_calls_that_wait_for_a_queue_that_is_deleted_are_answered() -> None:
    broker = Broker(BrokerLimits(window_bytes=0))
    broker.declare("jobs")
    broker.declare("others")
    broker.publish(publication(b"a", "jobs"))
    broker.loads = False
    receive, move = Waiting(), Waiting()
    broker.step(e.ReceiveAsked(HOST, "jobs", NO_SESSION, 3, receive))
    broker.step(e.MoveAsked(HOST, "jobs", "others", 3, move))
    broker.ask(e.MessageQueueDeleteAsked, HOST, "jobs", NO_SESSION, False, False)
    broker.loads = True
    broker.step(e.TimePassed())
    assert receive.answer.reason == move.answer.reason == "MESSAGE_QUEUE_NOT_FOUND"


# -- streams ---------------------------------------------------------------------------------------


def test_a_stream_is_bounded_by_bytes_and_age() -> None:
    """https://www.rabbitmq.com/docs/streams#retention"""
    broker = Broker()
    stream = broker.declare("log", type=QueueType.STREAM, max_length_bytes=4_000, max_age=60.0)
    for n in range(9):
        broker.publish(publication(b"%d" % n + b"x" * 1_000, "log"))
    assert stream.first_offset == 6
    assert stream.next_offset == 9
    answer = broker.ask(e.PeekAsked, HOST, "log", 5, 0)
    assert [one.id for one in answer.deliveries] == [6, 7, 8]
    assert stream.read(2, 1).skipped == 4
    broker.pass_time(30)
    broker.publish(publication(b"new", "log"))
    broker.pass_time(32)
    assert (stream.first_offset, stream.ready) == (9, 1)
    with pytest.raises(QuorateError) as caught:
        broker.ask(e.PurgeAsked, HOST, "log", NO_SESSION)
    assert caught.value.reason == "STREAM"


# -- small chunks ----------------------------------------------------------------------------------


def test_small_chunks_are_merged() -> None:
    broker = Broker()
    queue = broker.declare("jobs")
    for n in range(300):
        broker.publish(publication(b"%d" % n, "jobs"))
    assert len(queue.of_priority(0).log.chunks) < 150
    assert broker.bodies("jobs") == [b"%d" % n for n in range(300)]
    assert len(broker.receive("jobs", 300)) == 300
    assert not broker.stored


def test_a_queue_that_loses_its_oldest_messages_merges_many_and_not_those_that_go_next() -> None:
    """Others would be gone before they are read back."""
    broker = Broker()
    limited = broker.declare("limited", max_length=500)
    for n in range(600):
        broker.publish(publication(b"%d" % n, "limited"))
    assert len(limited.of_priority(0).log.chunks) == 500
    large = broker.declare("large", max_length=1_200)
    for n in range(1_100):
        broker.publish(publication(b"%d" % n, "large"))
    firsts = large.of_priority(0).log.chunks.firsts
    assert len(firsts) < 700
    assert list(firsts[:500]) == list(range(500))
    assert broker.bodies("large") == [b"%d" % n for n in range(1_000)]


def test_events_of_different_kinds_wait_for_the_same_chunk() -> None:
    """They hold the same values, and are not the same."""
    broker = Broker()
    queue = broker.declare("jobs")
    broker.publish(publication(b"a", "jobs"))
    broker.state.window.clear()
    broker.loads = False
    out = fx.BrokerEffects()
    missing = queue.next_ready(1, broker.now).missing
    assert missing is not None
    first, second = InstantsDue(queue.row.uid), OverflowDue(queue.row.uid)
    assert tuple(first) == tuple(second)
    for event in (first, second, first):
        broker.state.load(queue, missing, out, event)
    assert len(out.now) == 1
    waited = broker.state.loaded(queue.row.uid, missing)
    assert [type(event) for event in waited] == [InstantsDue, OverflowDue]
