"""One message queue: what is ready, in which order, and what comes back."""

from __future__ import annotations

from typing import Any

from scheduler.core.broker.queues.ids import make_id, split_id
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.queues.window import Window
from scheduler.core.broker.rows import (
    MessageQueueRow,
    MessageQueueSpec,
    PositionKind,
    QueueType,
    QueueUid,
    StreamPosition,
)
from scheduler.core.broker.storage.format import chunked, pack
from scheduler.core.broker.storage.places import of_priority
from tests.support.broker import Broker, publication
from tests.support.sub_logs import NOW

UID = QueueUid("00000000000000a1")


class Filled:
    """A queue whose publications commit at once."""

    def __init__(self, window: int = 1 << 20, kind: QueueType = QueueType.QUEUE) -> None:
        self.window = Window(window)
        row = MessageQueueRow(UID, "/", "jobs", MessageQueueSpec(type=kind), NOW)
        self.queue = MessageQueue(row, self.window)
        self.values: dict[tuple[str, int], bytes] = {}

    def publish(self, count: int, priority: int = 0, **more: Any) -> None:
        lane = self.queue.of_priority(priority)
        first = lane.log.reserve(count)
        messages = [pack(n, NOW, b"%d" % n, **more) for n in range(first, first + count)]
        lane.in_flight += count
        built = [builder.build() for builder in chunked(messages)]
        for summary, value in built:
            self.values[of_priority(priority), summary.first] = value
        self.queue.committed(of_priority(priority), built)

    def take(self, count: int, now: float = NOW) -> list[int]:
        return [delivery.id for delivery in self.queue.next_ready(count, now).deliveries]


def test_higher_priorities_first_then_in_order() -> None:
    """https://www.rabbitmq.com/docs/priority"""
    filled = Filled()
    filled.publish(2)
    filled.publish(2, 9)
    filled.publish(1)
    assert filled.take(9) == [make_id(9, 0), make_id(9, 1), 0, 1, 2]
    assert split_id(make_id(9, 1)) == (9, 1)
    assert (filled.queue.ready, filled.queue.unacknowledged) == (0, 5)


def test_what_comes_back_is_delivered_again_in_its_place() -> None:
    """https://www.rabbitmq.com/docs/confirms#consumer-nacks-requeue: "placed to its original
    position in its queue, if possible"."""
    filled = Filled()
    filled.publish(5)
    assert filled.take(3) == [0, 1, 2]
    assert filled.queue.put_back([1, 7]) == 1
    assert filled.queue.put_back([2], delivered=False) == 1
    again = filled.queue.next_ready(9, NOW).deliveries
    assert [(one.id, one.redelivered) for one in again] == [
        (1, True), (2, False), (3, False), (4, False),
    ]  # fmt: skip


def test_settled_messages_are_gone_once() -> None:
    filled = Filled()
    filled.publish(3)
    filled.take(3)
    (change,) = filled.queue.settle([0, 2], NOW)
    assert (change.uid, change.sub_log) == (UID, "p00")
    assert filled.queue.settle([0, 2], NOW) == []
    assert (filled.queue.ready, filled.queue.unacknowledged) == (0, 1)
    kept = filled.queue.message_of(1)
    assert kept is not None
    assert kept.payload == b"1"
    filled.queue.settle([1], NOW)
    assert filled.queue.message_of(1) is None
    assert filled.window.size == 0


def test_deliveries_in_vain_are_counted() -> None:
    filled = Filled()
    filled.publish(2)
    filled.take(2)
    filled.queue.put_back([0])
    assert len(filled.queue.came_back([(0, 3)], NOW)) == 1
    (again,) = filled.queue.next_ready(9, NOW).deliveries
    assert (again.id, again.failed, again.redelivered) == (0, 3, True)
    assert filled.queue.failed(0) == 3


def test_an_expired_message_is_passed_over() -> None:
    """https://www.rabbitmq.com/docs/ttl#message-ttl-applied-to-queues: never delivered later."""
    filled = Filled()
    filled.publish(2, expiry=NOW + 5)
    filled.publish(1)
    taken = filled.queue.next_ready(9, NOW + 5)
    assert ([one.id for one in taken.deliveries], taken.expired) == ([2], True)
    assert filled.queue.ready == 2
    assert filled.take(9, NOW + 5) == []


def test_order_waits_for_a_body_that_is_not_in_memory() -> None:
    filled = Filled(window=300)
    filled.publish(1)
    filled.publish(1)
    filled.publish(1)
    taken = filled.queue.next_ready(9, NOW)
    assert [one.id for one in taken.deliveries] == [0]
    assert taken.missing is not None
    assert taken.missing.first == 1
    filled.window.put(UID, of_priority(0), 1, filled.values["p00", 1], wanted=True)
    assert filled.take(9) == [1]
    assert filled.window.size <= 600


def test_a_new_leader_goes_on_with_what_clients_have() -> None:
    filled = Filled()
    filled.publish(4)
    filled.take(2)
    filled.queue.lead(NOW)
    filled.queue.doubt()
    assert filled.queue.ready == 4
    assert filled.queue.adopt(2)
    assert not filled.queue.adopt(2)
    assert not filled.queue.adopt(99)
    again = filled.queue.next_ready(9, NOW).deliveries
    assert [(one.id, one.redelivered) for one in again] == [(0, True), (1, True), (3, True)]
    filled.publish(1)
    (new,) = filled.queue.next_ready(9, NOW).deliveries
    assert not new.redelivered
    assert filled.queue.put_back([2]) == 1
    assert filled.take(9) == [2]


def test_an_adopted_message_ahead_comes_back_in_its_place() -> None:
    filled = Filled()
    filled.publish(3)
    filled.queue.lead(NOW)
    assert filled.queue.adopt(1)
    assert filled.queue.put_back([1]) == 1
    assert filled.take(9) == [0, 1, 2]


def test_a_stream_is_read_from_anywhere_and_keeps_its_messages() -> None:
    """https://www.rabbitmq.com/docs/streams#consuming: first, last, next, offset, timestamp."""
    filled = Filled(kind=QueueType.STREAM)
    filled.publish(3)
    filled.publish(2)
    queue = filled.queue
    assert [one.id for one in queue.read(1, 3).deliveries] == [1, 2, 3]
    assert queue.read(1, 3).following == 4
    assert queue.ready == 5
    located = {
        kind: queue.locate(StreamPosition(kind, 4, NOW))
        for kind in PositionKind
    }  # fmt: skip
    assert located == {"offset": 4, "time": 0, "first": 0, "last": 3, "next": 5, "named": 0}
    assert queue.read(5, 3) == ([], None, False, 0, 5)


def test_the_window_is_shared_fairly() -> None:
    window = Window(2_000)
    _, value = chunked([pack(0, NOW, b"x" * 100)])[0].build()
    for first in range(4):
        window.put(UID, of_priority(0), first, value, wanted=True)
    other = QueueUid("00000000000000a2")
    window.put(other, of_priority(0), 0, value, wanted=True)
    assert window.size <= window.limit
    assert window.get(other, of_priority(0), 0) is not None
    assert window.get(UID, of_priority(0), 0) is not None
    window.drop_queue(UID)
    window.drop_queue(other)
    assert window.size == 0


def test_the_oldest_ready_message_is_known_of_any_priority() -> None:
    broker = Broker()
    queue = broker.declare("jobs", max_priority=5)
    assert queue.oldest == 0
    began = broker.now
    for priority in (0, 5, 0):
        broker.publish(publication(b"a", "jobs", priority=priority))
        broker.now += 10
    assert queue.oldest == began
    broker.state.window.clear()
    assert queue.oldest == began, "as its chunk says"
    broker.receive("jobs", 1)
    assert queue.oldest == began, "the higher priority was published later"
    broker.receive("jobs", 1)
    assert queue.oldest == began + 20
