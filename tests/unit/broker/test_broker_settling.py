"""What becomes of deliveries: ack, nack, requeue, reject, touch, timeouts, delivery counts."""

from __future__ import annotations

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import events as e
from scheduler.core.broker.consuming import bounds
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.routing.fields import FieldType, Value
from tests.support.broker import Waiting
from tests.support.consuming import Consumers, body_of


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    found.declare("q")
    return found


def queue_of(broker: Consumers) -> MessageQueue:
    return broker.state.queue("/", "q")


def test_an_acknowledged_message_is_gone(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/confirms#consumer-acknowledgements
    client = broker.client()
    client.subscribe("q")
    broker.put("q", *"abc")
    client.ack(*client.ids()[:2])
    assert queue_of(broker).unacknowledged == 1
    client.close()
    other = broker.client("other")
    other.subscribe("q")
    assert other.bodies() == ["c"]


def test_a_settlement_is_confirmed_when_it_is_committed(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    broker.put("q", "a")
    broker.holding = True
    client.ack()
    assert client.settled == 0
    broker.flush()
    assert client.settled == 1


def test_many_ids_are_settled_in_parts_and_confirmed_at_the_end() -> None:
    broker = Consumers()
    broker.declare("q")
    client = broker.client()
    client.subscribe("q", prefetch=2_000)
    for n in range(700):
        # A chunk each: they are not next to each other for the acknowledgement.
        broker.put("q", f"{n}", f"{n}")
    broker.effects.clear()
    number = client.ack(*client.ids()[::2])
    assert client.settled == number
    assert len(broker.effects) >= 3
    assert queue_of(broker).unacknowledged == 700


def test_a_nacked_message_is_ready_in_its_place(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/nack
    client = broker.client()
    client.subscribe("q", prefetch=2)
    broker.put("q", *"abc")
    client.nack(client.ids()[0])
    assert client.bodies() == ["a", "b", "a"]
    again = client.got[1][-1]
    assert (again.redelivered, again.failed) == (True, 0)


def test_requeue_counts_and_nack_does_not(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
    client = broker.client()
    client.subscribe("q", prefetch=1)
    broker.put("q", "a")
    for outcome in (e.Outcome.NACK, e.Outcome.REQUEUE, e.Outcome.NACK, e.Outcome.REQUEUE):
        client.settle(outcome)
    assert [delivery.failed for delivery in client.got[1]] == [0, 0, 1, 1, 2]


def test_more_deliveries_in_vain_than_the_limit_end_it() -> None:
    # https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling: "redelivered more times
    # than the limit"
    broker = Consumers()
    broker.declare("q", delivery_limit=2)
    client = broker.client()
    client.subscribe("q", prefetch=1)
    broker.put("q", *"ab")
    for _ in range(3):
        client.requeue()
    assert client.bodies() == ["a", "a", "a", "b"]
    assert queue_of(broker).ready == 0


def test_the_default_limit_is_twenty(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
    client = broker.client()
    client.subscribe("q", prefetch=1)
    broker.put("q", "a")
    for _ in range(30):
        if client.ids():
            client.requeue()
    assert len(client.bodies()) == 21


def test_without_a_limit_a_message_comes_back_for_ever() -> None:
    broker = Consumers()
    broker.declare("q", delivery_limit=0)
    client = broker.client()
    client.subscribe("q", prefetch=1)
    broker.put("q", "a")
    for _ in range(50):
        client.requeue()
    assert len(client.bodies()) == 51


def test_a_message_that_came_back_goes_on_record_with_its_delivery(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=1)
    broker.put("q", "a")
    client.requeue()
    # One was in vain, and the one that is out counts until it is settled.
    assert queue_of(broker).failed(client.ids()[0]) == 2
    client.nack()
    assert client.got[1][-1].failed == 1


def test_an_old_delivery_goes_on_record(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    broker.put("q", *"ab")
    (first, second) = client.ids()
    broker.pass_time(bounds.RECORD_AFTER / 2)
    client.ack(second)
    assert queue_of(broker).failed(first) == 0
    broker.pass_time(bounds.RECORD_AFTER)
    assert queue_of(broker).failed(first) == 1
    # Nacked, it was not in vain.
    client.nack()
    assert queue_of(broker).failed(first) == 0
    assert client.got[1][-1].failed == 0


def test_a_delivery_that_takes_the_leader_with_it_counts(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    broker.put("q", "a")
    broker.pass_time(2 * bounds.RECORD_AFTER)
    broker.fail_over()
    broker.pass_time(60)
    other = broker.client("other")
    other.subscribe("q")
    (again,) = other.got[1]
    assert (again.redelivered, again.failed) == (True, 1)


def test_nack_with_a_delay_moves_the_message_in_the_same_commit(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=1)
    broker.put("q", *"ab")
    client.requeue()
    broker.effects.clear()
    client.nack(delay=30.0)
    moves = [out for out in broker.effects if out.additions]
    assert len(moves) == 1
    assert moves[0].writes
    assert client.bodies() == ["a", "a", "b"]
    assert queue_of(broker).waiting_for_due == 1
    assert client.settled == client.number


def test_a_delay_waits_for_the_body(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=2)
    broker.put("q", *"ab")
    broker.state.window.clear()
    broker.loads = False
    first, second = client.ids()
    number = client.nack(first, delay=30.0)
    client.ack(second)
    # What came later is not confirmed before it.
    assert client.settled < number
    broker.loads = True
    broker.load()
    assert client.settled == number + 1
    assert queue_of(broker).waiting_for_due == 1


def test_unknown_deliveries_are_refused_and_the_others_settled(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/confirms#consumer-acks-double-acking
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=1)
    other.subscribe("q", prefetch=1)
    broker.put("q", *"ab")
    (own,), (foreign,) = client.ids(), other.ids()
    number = client.ack(own, foreign, 1 << 62, (1 << 64) - 1)
    assert client.refused == [number]
    assert client.settled == number
    assert other.ids() == [foreign]
    assert client.ack(own) in client.refused
    assert client.ack(own, consumer=9) in client.refused
    other.ack()
    assert other.refused == []


@pytest.mark.parametrize("outcome", list(e.Outcome))
def test_settling_with_an_unknown_session_is_refused(broker: Consumers, outcome: e.Outcome) -> None:
    client = broker.client(opened=False)
    assert client.settle(outcome, 1) in client.refused


def test_a_consumer_that_does_not_settle_in_time_ends(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/quorum-queues#consumer-timeout
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=2)
    broker.put("q", *"abc")
    broker.pass_time(1_700)
    client.ack(client.ids()[0])
    other.subscribe("q", prefetch=10)
    broker.pass_time(200)
    assert client.ended == {1: "CONSUMER_TIMEOUT"}
    # It does not count; what was delivered later came back with it.
    assert [(body_of(d), d.redelivered, d.failed) for d in other.got[1]] == [
        ("b", True, 0),
        ("c", True, 0),
    ]
    # To settle what it lost is refused: it will be delivered again.
    assert client.ack() in client.refused
    assert broker.state.queue("/", "q").consumers == 1


def test_touch_begins_the_timeout_anew(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    broker.put("q", "a")
    for _ in range(3):
        broker.pass_time(1_700)
        client.touch(*client.ids())
    assert client.ended == {}
    broker.pass_time(1_900)
    assert client.ended == {1: "CONSUMER_TIMEOUT"}


def test_an_argument_of_the_consumer_overrules_the_queues_timeout(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/quorum-queues#consumer-timeout
    client = broker.client()
    arguments = (("x-consumer-timeout", Value(FieldType.INT32, 5_000)),)
    client.subscribe("q", arguments=arguments)
    broker.put("q", "a")
    broker.pass_time(4)
    assert client.ended == {}
    broker.pass_time(2)
    assert client.ended == {1: "CONSUMER_TIMEOUT"}


def test_fetch_gets_one_message_or_none(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/consumers#fetching
    client = broker.client()
    empty = client.fetch("q")
    assert empty is not None
    assert (empty.delivery, empty.ready, empty.error) == (None, 0, None)
    broker.put("q", *"ab")
    found = client.fetch("q")
    assert found is not None
    assert found.delivery is not None
    assert (body_of(found.delivery), found.ready) == ("a", 1)
    client.ack(found.delivery.id, consumer=0, queue="q")
    assert client.refused == []
    assert queue_of(broker).unacknowledged == 0


def test_fetch_with_automatic_ack_is_committed_first(broker: Consumers) -> None:
    client = broker.client()
    broker.put("q", "a")
    broker.holding = True
    assert client.fetch("q", automatic_ack=True) is None
    broker.flush()
    (answer,) = client.fetched.values()
    assert answer.delivery is not None
    assert queue_of(broker).ready == queue_of(broker).unacknowledged == 0


def test_what_was_fetched_comes_back_with_the_end_of_the_session(broker: Consumers) -> None:
    client = broker.client()
    broker.put("q", "a")
    client.fetch("q")
    client.close()
    other = broker.client("other")
    again = other.fetch("q")
    assert again is not None
    assert again.delivery is not None
    assert (again.delivery.redelivered, again.delivery.failed) == (True, 1)


def test_a_fetch_waits_for_the_body(broker: Consumers) -> None:
    client = broker.client()
    broker.put("q", "a")
    broker.state.window.clear()
    broker.loads = False
    assert client.fetch("q") is None
    broker.load()
    (answer,) = client.fetched.values()
    assert answer.delivery is not None


def test_what_cannot_be_fetched(broker: Consumers) -> None:
    broker.declare("single", single_active_consumer=True)
    client = broker.client()
    for name, reason in (
        ("none", "MESSAGE_QUEUE_NOT_FOUND"),
        ("single", "SINGLE_ACTIVE_CONSUMER"),
    ):
        answer = client.fetch(name)
        assert answer is not None
        assert answer.error is not None
        assert answer.error.reason == reason


def test_a_session_of_another_caller_is_refused(broker: Consumers) -> None:
    client = broker.client()
    token = Waiting()
    broker.step(e.SessionOpened(client.id, "somebody", "/", (), (), token))
    assert isinstance(token.answer, QuorateError)
    assert token.answer.reason == "SESSION_OF_ANOTHER"
