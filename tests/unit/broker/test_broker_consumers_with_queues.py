"""Consumers and what else happens to a queue: publishing, dead letters, expiry, limits, purges."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import ResultKind
from scheduler.core.broker.queues.combining import combined, weight
from scheduler.core.broker.rows import Overflow, QueueUid, SessionId
from scheduler.core.broker.storage.places import DELAYED, of_priority
from scheduler.core.broker.storage.records import (
    Acks,
    ChunkDone,
    DeleteChunkDone,
    DeleteChunks,
    PutAcks,
    PutChunkDone,
)
from tests.support.broker import HOST, Waiting, publication
from tests.support.consuming import Consumers, body_of

UID = QueueUid("00000000000000a1")


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    found.declare("dead")
    found.declare("q", dead_letter_exchange="", dead_letter_routing_key="dead", delivery_limit=1)
    return found


def publish(broker: Consumers, *bodies: str, queue: str = "q", **properties: Any) -> None:
    publications = [publication(body.encode(), queue, **properties) for body in bodies]
    broker.step(e.MessagesPublished(HOST, "", publications, Waiting()))


def test_a_rejected_message_is_dead_lettered_and_confirmed_with_it(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/dlx
    client = broker.client()
    client.subscribe("q")
    client.subscribe("dead", 2)
    publish(broker, "a", "b")
    broker.holding = True
    number = client.reject(client.ids()[0])
    assert client.settled == 0
    assert client.bodies(2) == []
    broker.flush()
    assert client.settled == number
    assert client.bodies(2) == ["a"]
    assert broker.state.queue(HOST, "q").unacknowledged == 1


def test_a_rejection_that_waits_for_a_body_holds_later_confirms_back(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    publish(broker, "a", "b")
    broker.state.window.clear()
    broker.loads = False
    first, second = client.ids()
    number = client.reject(first)
    client.ack(second)
    assert client.settled < number
    broker.loads = True
    broker.load()
    assert client.settled == number + 1
    assert broker.state.queue(HOST, "dead").ready == 1


def test_too_many_deliveries_in_vain_are_dead_lettered(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
    client, other = broker.client(), broker.client("other")
    other.subscribe("dead")
    client.subscribe("q")
    publish(broker, "a")
    client.requeue()
    client.close()
    assert other.bodies() == ["a"]
    assert broker.state.queue(HOST, "q").ready == 0


def test_messages_with_an_ordering_key_are_ordered(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=10)
    publish(broker, "a1", "a2", ordering_key="a")
    publish(broker, "free")
    assert client.bodies() == ["a1", "free"]
    client.ack(client.ids()[0])
    assert client.bodies() == ["a1", "free", "a2"]


def test_a_delayed_nack_comes_back_as_redelivered(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=10)
    publish(broker, "a1", "a2", ordering_key="a")
    client.requeue()
    client.nack(delay=30.0)
    # It gave its place up.
    assert client.bodies() == ["a1", "a1", "a2"]
    client.ack()
    broker.pass_time(29)
    assert len(client.bodies()) == 3
    broker.pass_time(2)
    again = client.got[1][-1]
    assert client.bodies()[-1] == "a1"
    assert (again.redelivered, again.failed) == (True, 1)
    # What was in vain before counts: the limit is 1.
    client.requeue()
    assert broker.state.queue(HOST, "dead").ready == 1


def test_a_delayed_requeue_counts_and_is_dead_lettered_beyond_the_limit(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=10)
    publish(broker, "a")
    client.requeue(delay=30.0)
    assert client.bodies() == ["a"]
    broker.fail_over()
    client.open(inventory=True)
    broker.pass_time(31)
    assert [(body_of(one), one.failed) for one in client.got[1]] == [("a", 0), ("a", 1)]
    # The limit is 1: nothing is left to wait for.
    number = client.requeue(delay=30.0)
    assert client.settled == number
    assert broker.state.queue(HOST, "dead").ready == 1
    assert broker.state.queue(HOST, "q").waiting_for_due == 0


def test_a_delayed_message_of_a_lost_leader_is_there(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    publish(broker, "a")
    client.nack(delay=30.0)
    broker.fail_over()
    client.open(inventory=True)
    broker.pass_time(31)
    assert client.bodies() == ["a", "a"]
    assert client.got[1][-1].redelivered
    assert broker.state.queue(HOST, "q").lane(DELAYED).log.alive == 0


def test_an_expired_message_is_not_delivered(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/ttl
    broker.declare("short", message_ttl=10.0)
    client = broker.client()
    publish(broker, "a", queue="short")
    broker.now += 11
    client.subscribe("short")
    assert client.bodies() == []
    # What is out does not expire; it does when it comes back.
    publish(broker, "b", queue="short")
    broker.pass_time(11)
    client.nack()
    assert client.bodies() == ["b"]
    broker.pass_time(1)
    assert broker.state.queue(HOST, "short").ready == 0


def test_a_purge_takes_what_is_set_aside_and_leaves_what_is_out(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=10)
    publish(broker, "a1", "a2", "a3", ordering_key="a")
    assert broker.ask(e.PurgeAsked, HOST, "q", SessionId("")).messages == 2
    publish(broker, "a4", ordering_key="a")
    assert client.bodies() == ["a1"]
    client.ack()
    assert client.bodies() == ["a1", "a4"]


def test_a_full_queue_drops_what_is_set_aside_first(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/maxlength: the oldest messages that are ready
    broker.declare("full", max_length=2)
    client = broker.client()
    client.subscribe("full", prefetch=10)
    for n in range(1, 6):
        publish(broker, f"a{n}", queue="full", ordering_key="a")
    client.ack()
    client.ack()
    assert client.bodies() == ["a1", "a4", "a5"]


def test_what_is_set_aside_is_received_by_others(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=10)
    publish(broker, "a1", "a2", "a3", ordering_key="a")
    received = broker.ask(e.ReceiveAsked, HOST, "q", SessionId(""), 1)
    assert len(received.deliveries) == 1
    client.ack()
    assert client.bodies() == ["a1", "a3"]


def test_higher_priorities_are_delivered_first(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/priority
    broker.declare("ranked", max_priority=5)
    client = broker.client()
    client.subscribe("ranked", prefetch=1)
    for priority in (0, 1, 5, 3):
        publish(broker, str(priority), queue="ranked", priority=priority)
    for _ in range(3):
        client.ack()
    assert client.bodies() == ["0", "5", "3", "1"]


def change(*writes: object) -> fx.ChangeSubLog:
    return fx.ChangeSubLog(UID, of_priority(0), tuple(writes))  # type: ignore[arg-type]


def test_changes_of_one_sub_log_write_each_key_once() -> None:
    first = change(
        PutChunkDone(ChunkDone(1, 1)),
        PutChunkDone(ChunkDone(20, 1)),
        DeleteChunkDone(30),
        PutAcks(Acks(1)),
    )
    second = change(
        PutChunkDone(ChunkDone(1, 3)),
        DeleteChunks(20, 25, own_records=True),
        PutChunkDone(ChunkDone(30, 1)),
        PutAcks(Acks(2)),
    )
    other = fx.ChangeSubLog(UID, of_priority(1), (PutAcks(Acks(9)),))
    (one, kept) = combined([first, other, second])
    assert kept == other
    assert isinstance(one, fx.ChangeSubLog)
    assert one.writes == (
        DeleteChunks(20, 25, own_records=True),
        PutChunkDone(ChunkDone(1, 3)),
        PutChunkDone(ChunkDone(30, 1)),
        PutAcks(Acks(2)),
    )
    assert weight([one, kept, fx.DropSession(SessionId("s"))]) == 6


def test_nothing_waits_in_a_queue_without_a_backlog(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/maxlength: a limit of 0
    queue = broker.declare(
        "now", no_backlog=True, dead_letter_exchange="", dead_letter_routing_key="dead"
    )
    publish(broker, "nobody is there", queue="now")
    assert (queue.ready, broker.state.queue(HOST, "dead").ready) == (0, 1)
    client = broker.client()
    client.subscribe("now", prefetch=2)
    publish(broker, "a", "b", "c", queue="now")
    assert client.bodies() == ["a", "b"]
    assert (queue.ready, broker.state.queue(HOST, "dead").ready) == (0, 2)
    client.ack()
    publish(broker, "d", queue="now")
    assert client.bodies() == ["a", "b", "d"]


def test_a_queue_without_a_backlog_refuses_all_if_it_is_to_refuse(broker: Consumers) -> None:
    broker.declare("now", no_backlog=True, overflow=Overflow.REJECT_PUBLISH)
    client = broker.client()
    client.subscribe("now")
    reply = Waiting()
    broker.step(e.MessagesPublished(HOST, "", [publication(b"a", "now")], reply))
    assert [one.kind for one in reply.answer.results] == [ResultKind.REJECTED]
    assert "its limits are 0 messages" in str(reply.answer.results[0].error)
    assert client.bodies() == []


def test_a_consumer_that_acknowledges_automatically_gets_what_comes_meanwhile(
    broker: Consumers,
) -> None:
    for queue in (broker.declare("now", no_backlog=True), broker.declare("short", max_length=1)):
        name = queue.row.name
        client = broker.client(name)
        client.subscribe(name, automatic_ack=True)
        broker.holding = True
        publish(broker, "a", queue=name)
        publish(broker, "b", "c", "d", queue=name)
        broker.holding = False
        broker.flush()
        assert client.bodies() == ["a", "b", "c", "d"]
        assert queue.ready == 0


def test_what_consumers_take_at_once_does_not_count_as_length(broker: Consumers) -> None:
    queue = broker.declare("short", max_length=1)
    client = broker.client()
    client.subscribe("short", prefetch=3)
    publish(broker, "a", "b", "c", "d", "e", queue="short")
    assert client.bodies() == ["a", "b", "c"]
    assert queue.ready == 1
    client.ack()
    assert client.bodies() == ["a", "b", "c", "e"]


def test_a_new_leader_drops_nothing_before_consumers_are_back(broker: Consumers) -> None:
    broker.declare("now", no_backlog=True)
    client = broker.client()
    client.subscribe("now", prefetch=2)
    broker.fail_over()
    publish(broker, "a", queue="now")
    client.open(inventory=True)
    assert client.bodies() == ["a"]
    # Whoever does not come back is not waited for for ever.
    broker.fail_over()
    publish(broker, "b", queue="now")
    broker.pass_time(30)
    queue = broker.state.queue(HOST, "now")
    assert queue.ready == 0
    assert client.bodies() == ["a"]


def test_a_queue_is_empty_though_delivered_messages_are_not_acknowledged(broker: Consumers) -> None:
    """https://www.rabbitmq.com/docs/queues: unacknowledged messages are not ready ones."""
    client = broker.client()
    client.subscribe("q", prefetch=1)
    publish(broker, "a", "b")
    asked = e.MessageQueueDeleteAsked, HOST, "q", SessionId(""), False, True
    with pytest.raises(QuorateError) as refused:
        broker.ask(*asked)
    assert refused.value.message == "message queue 'q' has 1 messages that wait"
    client.ack(client.ids()[0])
    assert broker.state.queue(HOST, "q").unacknowledged == 1
    assert broker.ask(*asked).messages == 1
