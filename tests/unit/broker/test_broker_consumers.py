"""Who gets which message: credit, priorities, turns, exclusive and single active consumers."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker.consuming import bounds
from scheduler.core.broker.routing.fields import FieldType, Value
from tests.support.broker import Waiting
from tests.support.consuming import Consumers


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    found.declare("q")
    return found


def refused(token: Waiting) -> QuorateError:
    assert isinstance(token.answer, QuorateError)
    return token.answer


def test_a_consumer_gets_no_more_than_its_prefetch(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/consumer-prefetch
    client = broker.client()
    client.subscribe("q", prefetch=2)
    broker.put("q", *"abcd")
    assert client.bodies() == ["a", "b"]
    client.ack(client.ids()[0])
    assert client.bodies() == ["a", "b", "c"]


def test_credit_changes_while_a_consumer_runs(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=1)
    broker.put("q", *"abcdef")
    client.credit(3)
    assert client.bodies() == ["a", "b", "c"]
    # Less takes nothing back.
    client.credit(1)
    client.ack(*client.ids()[:2])
    assert client.bodies() == ["a", "b", "c"]
    client.ack()
    assert client.bodies() == ["a", "b", "c", "d"]


def test_consumers_of_a_session_share_its_limit(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/confirms#channel-qos-prefetch: global=true
    broker.declare("other")
    client = broker.client()
    client.credit(3, consumer=0)
    client.subscribe("q", 1, prefetch=10)
    client.subscribe("other", 2, prefetch=10)
    broker.put("q", *"abcd")
    broker.put("other", *"wxyz")
    assert client.bodies(1) == ["a", "b", "c"]
    assert client.bodies(2) == []
    client.ack(*client.ids(1)[:2])
    # Those that waited for it get what is free, in turn.
    assert sorted([*client.bodies(1), *client.bodies(2)]) == ["a", "b", "c", "d", "w"]
    client.credit(0, consumer=0)
    assert client.bodies(2) == ["w", "x", "y", "z"]


def test_a_limit_of_a_session_is_not_exceeded_by_consumers_of_one_queue(broker: Consumers) -> None:
    client = broker.client()
    client.credit(3, consumer=0)
    client.subscribe("q", 1, prefetch=10)
    client.subscribe("q", 2, prefetch=10)
    broker.put("q", *"abcdefgh")
    assert len(client.ids(1)) + len(client.ids(2)) == 3
    assert broker.state.queue("/", "q").ready == 5
    client.ack(consumer=1)
    assert len(client.ids(1)) + len(client.ids(2)) == 3


def test_without_a_prefetch_limit_bodies_are_bounded(
    broker: Consumers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "scheduler.core.broker.consuming.sessions.UNLIMITED_BYTES", 4 * bounds.MESSAGE_BYTES
    )
    client = broker.client()
    client.subscribe("q", prefetch=0)
    for body in "abcdefgh":
        broker.put("q", body)
    assert client.bodies() == ["a", "b", "c", "d"][: len(client.bodies())]
    assert 3 <= len(client.bodies()) <= 4
    client.ack()
    assert len(client.bodies()) > 4


def test_consumers_of_equal_priority_take_turns(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/consumer-priority
    one, two = broker.client("one"), broker.client("two")
    one.subscribe("q", prefetch=10)
    two.subscribe("q", prefetch=10)
    broker.put("q", *"abcd")
    assert (one.bodies(), two.bodies()) == (["a", "c"], ["b", "d"])
    # The turn is remembered between commits.
    broker.put("q", "e")
    broker.put("q", "f")
    assert (one.bodies(), two.bodies()) == (["a", "c", "e"], ["b", "d", "f"])


def test_a_higher_priority_gets_messages_as_long_as_it_has_credit(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/consumer-priority
    low, high = broker.client("low"), broker.client("high")
    low.subscribe("q", prefetch=10)
    high.subscribe("q", prefetch=2, priority=5)
    broker.put("q", *"abcd")
    assert high.bodies() == ["a", "b"]
    assert low.bodies() == ["c", "d"]
    high.ack()
    broker.put("q", "e")
    assert high.bodies() == ["a", "b", "e"]


def test_automatic_acknowledgement_is_committed_before_delivery(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", automatic_ack=True)
    broker.holding = True
    broker.put("q", *"ab")
    assert client.bodies() == []
    assert broker.state.queue("/", "q").ready == 0
    broker.flush()
    assert client.bodies() == ["a", "b"]
    assert client.ids() == []
    # At most once: another leader does not deliver them again.
    broker.holding = False
    broker.fail_over()
    client.open(inventory=True)
    assert client.bodies() == ["a", "b"]


def test_one_automatic_acknowledgement_at_a_time_is_on_its_way(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", automatic_ack=True)
    broker.holding = True
    broker.put("q", "a")
    broker.put("q", "b")
    assert broker.state.queue("/", "q").ready == 1
    broker.flush()
    assert client.bodies() == ["a", "b"]


def test_an_exclusive_consumer_is_alone(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/consumers#exclusivity
    one, two = broker.client("one"), broker.client("two")
    one.subscribe("q", exclusive=True)
    assert refused(two.subscribe("q")).reason == "MESSAGE_QUEUE_IN_EXCLUSIVE_USE"
    answer = two.fetch("q")
    assert answer is not None
    assert answer.error is not None
    one.unsubscribe()
    assert not isinstance(two.subscribe("q", 2).answer, QuorateError)
    assert refused(one.subscribe("q", 2, exclusive=True)).reason == "MESSAGE_QUEUE_HAS_CONSUMERS"


def test_an_exclusive_queue_is_its_sessions_alone(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/queues#exclusive-queues
    one, two = broker.client("one"), broker.client("two")
    broker.declare("own", one.id, exclusive=True)
    one.subscribe("own")
    assert "own" in refused(two.subscribe("own")).message


def test_a_single_active_consumer_hands_over_when_it_goes() -> None:
    # https://www.rabbitmq.com/docs/consumers#single-active-consumer
    broker = Consumers()
    broker.declare("q", single_active_consumer=True)
    one, two = broker.client("one"), broker.client("two")
    one.subscribe("q", prefetch=2)
    two.subscribe("q", prefetch=10)
    broker.put("q", *"abcd")
    assert (one.bodies(), two.bodies()) == (["a", "b"], [])
    one.unsubscribe()
    # What it has in its hands is settled first.
    assert two.bodies() == []
    one.ack(one.ids()[0])
    assert two.bodies() == []
    one.ack()
    assert two.bodies() == ["c", "d"]


def test_a_higher_priority_takes_over_when_all_is_settled() -> None:
    # https://www.rabbitmq.com/docs/consumers#initial-sac-selection
    broker = Consumers()
    broker.declare("q", single_active_consumer=True)
    one, two = broker.client("one"), broker.client("two")
    one.subscribe("q", prefetch=1)
    broker.put("q", *"abc")
    two.subscribe("q", priority=1)
    one.ack()
    assert (one.bodies(), two.bodies()) == (["a"], ["b", "c"])


def test_exclusive_and_single_active_exclude_each_other() -> None:
    # https://www.rabbitmq.com/docs/consumers#sac-and-exclusive-consumers-are-mutually-exclusive
    broker = Consumers()
    broker.declare("q", single_active_consumer=True)
    token = broker.client().subscribe("q", exclusive=True)
    assert refused(token).reason == "EXCLUSIVE_WITH_SINGLE_ACTIVE"


def test_a_consumer_gets_nothing_before_its_subscription_is_on_record(broker: Consumers) -> None:
    broker.put("q", "a")
    client = broker.client()
    broker.holding = True
    token = client.subscribe("q")
    assert not token.answered
    broker.flush()
    assert token.answer.ready == 1
    assert client.bodies() == ["a"]


def test_an_unsubscribed_consumer_keeps_what_it_has(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/consumers#unsubscribing
    client = broker.client()
    client.subscribe("q", prefetch=2)
    broker.put("q", *"abc")
    client.unsubscribe()
    client.ack(client.ids()[0])
    assert client.bodies() == ["a", "b"]
    assert client.settled == 1
    client.nack()
    assert client.refused == []
    assert broker.state.queue("/", "q").ready == 2
    assert broker.state.queue("/", "q").consumers == 0


def test_consumers_end_with_their_queue(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/consumer-cancel
    client = broker.client()
    client.subscribe("q", prefetch=1)
    broker.put("q", *"ab")
    broker.holding = True
    broker.step_delete("q")
    assert client.ended == {}
    broker.flush()
    assert client.ended == {1: "MESSAGE_QUEUE_DELETED"}
    # To settle what is gone is no error: the client could not know.
    client.ack()
    broker.flush()
    assert client.refused == []
    assert client.settled == 1
    assert broker.state.consuming.total.unsettled == 0


def test_an_auto_delete_queue_goes_with_its_last_consumer() -> None:
    # https://www.rabbitmq.com/docs/queues#temporary-queues
    broker = Consumers()
    broker.declare("q", auto_delete=True)
    client = broker.client()
    client.subscribe("q", 1)
    client.subscribe("q", 2)
    client.unsubscribe(1)
    assert broker.state.find_queue("/", "q") is not None
    client.close()
    assert broker.state.find_queue("/", "q") is None


def test_a_paused_session_gets_nothing(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    broker.pause(client, True)
    broker.put("q", "a")
    assert client.bodies() == []
    broker.pause(client, False)
    assert client.bodies() == ["a"]


def test_a_large_delivery_is_made_in_steps(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=2_000)
    broker.effects.clear()
    broker.put("q", *(str(n) for n in range(1_000)))
    assert client.bodies() == [str(n) for n in range(1_000)]
    most = max(
        sum(len(d.deliveries) for d in out.now if isinstance(d, fx.Deliver))
        for out in broker.effects
    )
    assert most <= bounds.STEP_MESSAGES


def test_too_many_unsettled_deliveries_stop_all_until_some_are_settled(
    broker: Consumers,
) -> None:
    broker.state.consuming.total.most = 2
    broker.declare("other")
    client = broker.client()
    client.subscribe("q", 1, prefetch=2)
    client.subscribe("other", 2, prefetch=2)
    broker.put("q", *"ab")
    broker.put("other", "c")
    assert client.bodies(2) == []
    client.ack(client.ids(1)[0])
    assert client.bodies(2) == ["c"]


def test_a_queue_that_is_deleted_makes_room_for_others(broker: Consumers) -> None:
    broker.state.consuming.total.most = 2
    broker.declare("other")
    client = broker.client()
    client.subscribe("q", 1, prefetch=2)
    client.subscribe("other", 2, prefetch=2)
    broker.put("q", *"ab")
    broker.put("other", "c")
    assert client.bodies(2) == []
    broker.step_delete("q")
    assert client.bodies(2) == ["c"]


def test_single_messages_count_too(broker: Consumers) -> None:
    broker.state.consuming.total.most = 2
    client = broker.client()
    broker.put("q", *"abc")
    answers: Any = [client.fetch("q") for _ in range(3)]
    error = answers.pop().error
    assert [answer.error for answer in answers] == [None, None]
    assert (error.reason, error.metadata["limit"]) == ("TOO_MANY_UNSETTLED", "2")
    last: Any = client.fetch("q", automatic_ack=True)
    assert last.delivery is not None


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"consumer": 0}, "consumer"),
        ({"prefetch": 65_536}, "prefetch"),
        ({"priority": 128}, "priority"),
        ({"name": "x" * 256}, "name"),
        ({"arguments": (("x-consumer-timeout", Value(FieldType.STRING, b"1")),)}, "arguments"),
    ],
)
def test_what_a_consumer_may_not_ask_for(
    broker: Consumers, spec: dict[str, Any], field: str
) -> None:
    error = refused(broker.client().subscribe("q", **spec))
    assert error.field == field
    assert broker.state.queue("/", "q").consumers == 0


def test_a_consumer_number_is_used_once(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    assert refused(client.subscribe("q")).reason == "CONSUMER_EXISTS"


def test_an_unknown_queue_is_refused(broker: Consumers) -> None:
    assert refused(broker.client().subscribe("none")).reason == "MESSAGE_QUEUE_NOT_FOUND"


def test_bodies_that_are_not_in_memory_are_loaded(broker: Consumers) -> None:
    broker.put("q", *"abc")
    broker.state.window.clear()
    broker.loads = False
    client = broker.client()
    client.subscribe("q", prefetch=2)
    assert client.bodies() == []
    assert len(broker.wanted) == 1
    # Whatever happens meanwhile, it is asked for once.
    client.credit(3)
    assert len(broker.wanted) == 1
    broker.load()
    assert client.bodies() == ["a", "b", "c"]


def test_a_chunk_that_is_missed_is_looked_up_again(broker: Consumers) -> None:
    broker.put("q", *"ab")
    broker.state.window.clear()
    broker.loads = False
    client = broker.client()
    client.subscribe("q")
    broker.miss()
    # It is on record still: so it is read again, and never thought to be gone.
    assert len(broker.wanted) == 1
    broker.load()
    assert client.bodies() == ["a", "b"]
