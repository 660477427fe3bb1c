"""Sessions: lost streams, ends, and leaders that change."""

from __future__ import annotations

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ConsumerNumber, SessionId
from tests.support.broker import Waiting
from tests.support.consuming import CALLER, Consumers

GRACE, REATTACH = 10.0, 3.0


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    found.declare("q")
    return found


def test_a_lost_session_that_comes_back_goes_on(broker: Consumers) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=2)
    broker.put("q", *"abc")
    client.lose()
    other.subscribe("q")
    assert other.bodies() == ["c"]
    broker.pass_time(GRACE / 2)
    token = client.open(inventory=True)
    assert token.answer.resumed
    broker.pass_time(2 * GRACE)
    assert other.bodies() == ["c"]
    client.ack()
    broker.put("q", *"de")
    assert sorted([*client.bodies(), *other.bodies()]) == list("abcde")


def test_a_lost_session_gets_nothing(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    client.lose()
    broker.put("q", "a")
    assert client.bodies() == []
    client.open(inventory=True)
    assert client.bodies() == ["a"]


def test_what_a_lost_session_had_comes_back_after_the_grace(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling: connection loss counts
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=1)
    broker.put("q", "a")
    client.lose()
    other.subscribe("q")
    broker.pass_time(GRACE - 1)
    assert other.bodies() == []
    broker.pass_time(2)
    (again,) = other.got[1]
    assert (again.redelivered, again.failed) == (True, 1)
    assert broker.state.queue("/", "q").consumers == 1
    # It is another session if it comes all the same, and does not have the message.
    client.open(inventory=True)
    assert broker.state.queue("/", "q").unacknowledged == 1
    assert client.ack() in client.refused


def test_deliveries_that_were_lost_on_their_way_come_back(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=3)
    broker.reachable = False
    broker.put("q", *"ab")
    broker.reachable = True
    client.lose()
    client.open(inventory=True)
    assert client.bodies() == ["a", "b"]
    assert [delivery.failed for delivery in client.got[1]] == [0, 0]


def test_a_closed_session_is_off_record_before_others_get_its_messages(broker: Consumers) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=5)
    broker.put("q", *"ab")
    other.subscribe("q")
    broker.holding = True
    client.close()
    assert other.bodies() == []
    broker.flush()
    assert other.bodies() == ["a", "b"]
    assert [row.id for row in broker.state.sessions.values()] == [other.id]
    assert list(broker.standby.sessions) == [other.id]


def test_exclusive_queues_go_in_the_commit_that_records_the_end(broker: Consumers) -> None:
    # https://www.rabbitmq.com/docs/queues#exclusive-queues
    client = broker.client()
    broker.declare("own", client.id, exclusive=True)
    broker.declare("more", client.id, exclusive=True)
    client.subscribe("own")
    client.lose()
    broker.effects.clear()
    broker.pass_time(GRACE + 1)
    (commit,) = [out for out in broker.effects if out.writes]
    assert {type(write) for write in commit.writes} == {fx.DropSession, fx.DropMessageQueue}
    assert len(commit.writes) == 3
    assert broker.state.find_queue("/", "own") is None


def test_exclusive_queues_of_a_session_without_consumers_go_too(broker: Consumers) -> None:
    client = broker.client()
    broker.declare("own", client.id, exclusive=True)
    broker.fail_over()
    broker.pass_time(GRACE - 1)
    assert broker.state.find_queue("/", "own") is not None
    broker.pass_time(2)
    assert broker.state.find_queue("/", "own") is None


def test_an_exclusive_queue_survives_a_change_of_leaders_with_its_session(
    broker: Consumers,
) -> None:
    client = broker.client()
    broker.declare("own", client.id, exclusive=True)
    client.subscribe("own")
    broker.fail_over()
    client.open(inventory=True)
    broker.pass_time(2 * GRACE)
    broker.put("own", "a")
    assert client.bodies() == ["a"]


@pytest.mark.parametrize("writes", [42, 400])
def test_many_deliveries_come_back_in_bounded_steps(writes: int) -> None:
    broker = Consumers(BrokerLimits(step_writes=writes))
    broker.declare("q")
    client = broker.client()
    client.subscribe("q", prefetch=1_000)
    for n in range(700):
        broker.put("q", str(n))
    # On record, each in a chunk of its own.
    broker.pass_time(2)
    client.close()
    assert broker.state.queue("/", "q").ready == 700
    other = broker.client("other")
    other.subscribe("q", prefetch=1_000)
    assert len(other.bodies()) == 700
    other.ack(*other.ids()[::2])
    other.close()
    assert broker.state.consuming.total.unsettled == 0
    assert broker.state.queue("/", "q").ready == 350
    assert broker.state.consuming.served == {}


def test_a_new_leader_waits_for_the_sessions_on_record(broker: Consumers) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=2)
    broker.put("q", *"abc")
    broker.fail_over()
    other.open()
    other.subscribe("q")
    broker.pass_time(REATTACH - 1)
    assert other.bodies() == []
    client.open(inventory=True)
    # Each message is with one of them.
    assert other.bodies() == ["c"]
    assert [delivery.redelivered for delivery in other.got[1]] == [False]
    assert broker.state.queue("/", "q").unacknowledged == 3
    client.ack()
    assert client.refused == []


def test_what_nobody_lists_is_delivered_again_after_a_while(broker: Consumers) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=2)
    broker.put("q", *"abc")
    broker.fail_over()
    other.open()
    other.subscribe("q")
    broker.pass_time(REATTACH + 0.5)
    assert other.bodies() == ["a", "b", "c"]
    assert all(delivery.redelivered for delivery in other.got[1])
    # Too late: others have them.
    client.open(inventory=True)
    assert client.ack() in client.refused
    other.ack()
    assert other.refused == []


def test_a_session_that_does_not_come_to_the_new_leader_is_off_record(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    broker.fail_over()
    broker.pass_time(GRACE + 1)
    assert broker.state.sessions == {}
    assert broker.standby.sessions == {}


def test_a_single_active_consumer_is_waited_for_until_the_grace_is_over() -> None:
    broker = Consumers()
    broker.declare("q", single_active_consumer=True)
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", prefetch=1)
    broker.put("q", *"ab")
    broker.fail_over()
    other.open()
    other.subscribe("q")
    broker.pass_time(GRACE - 1)
    assert other.bodies() == []
    broker.pass_time(2)
    assert other.bodies() == ["a", "b"]


def test_the_active_consumer_is_the_same_under_the_next_leader() -> None:
    broker = Consumers()
    broker.declare("q", single_active_consumer=True)
    one, two = broker.client("one"), broker.client("two")
    one.subscribe("q", prefetch=1, active=True)
    two.subscribe("q", prefetch=1)
    broker.put("q", *"ab")
    broker.fail_over()
    two.open(inventory=True)
    one.open(inventory=True)
    one.ack()
    assert (one.bodies(), two.bodies()) == (["a", "b"], [])


def test_an_acknowledgement_that_is_repeated_to_the_next_leader(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=5)
    broker.put("q", *"ab")
    first, second = client.ids()
    # One is committed but not confirmed; one is lost with the leader.
    broker.reachable = False
    client.ack(first)
    broker.holding = True
    client.ack(second)
    broker.holding, broker.reachable = False, True
    broker.fail_over()
    client.open(inventory=True)
    assert client.settled == 0
    client.ack(first)
    client.ack(second)
    assert client.refused == []
    assert client.settled == client.number
    queue = broker.state.queue("/", "q")
    assert (queue.ready, queue.unacknowledged) == (0, queue.unacknowledged)


def test_a_repeated_acknowledgement_of_what_was_not_listed_counts(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=5)
    broker.put("q", *"ab")
    broker.holding = True
    (first, second) = client.ids()
    client.ack(first)
    broker.holding = False
    broker.fail_over()
    # It takes what it acknowledged for settled, and does not get it again before it repeats that.
    client.lose()
    broker.pause(client, True)
    client.open(inventory=True)
    broker.step(e.CreditChanged(client.id, ConsumerNumber(1), 1))
    client.ack(first)
    assert client.refused == []
    assert client.bodies() == ["a", "b"]
    # What others have is refused.
    other = broker.client("other")
    other.subscribe("q")
    broker.put("q", "c")
    (foreign,) = other.ids()
    assert client.ack(foreign) in client.refused
    assert client.ids() == [second]
    # A repeated nack does nothing.
    client.nack(first)
    assert len(client.refused) == 1


def test_consumers_that_cannot_go_on_end(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q")
    broker.fail_over()
    broker.step_delete("q")
    token = client.open(inventory=True)
    assert token.answer.resumed
    assert client.ended == {1: "MESSAGE_QUEUE_NOT_FOUND"}


def test_an_exclusive_consumer_goes_before_who_came_after_it(broker: Consumers) -> None:
    client, other = broker.client(), broker.client("other")
    client.subscribe("q", exclusive=True)
    broker.fail_over()
    other.open()
    other.subscribe("q")
    client.open(inventory=True)
    assert other.ended == {1: "MESSAGE_QUEUE_IN_EXCLUSIVE_USE"}
    broker.put("q", "a")
    assert (client.bodies(), other.bodies()) == (["a"], [])


def test_what_a_session_lists_times_out_and_goes_on_record(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=5)
    broker.put("q", "a")
    broker.fail_over()
    client.open(inventory=True)
    broker.put("q", "b")
    queue = broker.state.queue("/", "q")
    (first, second) = client.ids()
    broker.pass_time(2)
    assert (queue.failed(first), queue.failed(second)) == (1, 1)
    broker.pass_time(1_900)
    assert client.ended == {1: "CONSUMER_TIMEOUT"}
    assert (queue.ready, queue.failed(first)) == (2, 0)


def test_a_long_inventory_is_compared_in_parts(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=20_000)
    for _ in range(12):
        broker.put("q", *("x" for _ in range(1_000)))
    assert len(client.ids()) == 12_000
    broker.fail_over()
    token = client.open(inventory=True)
    assert token.answered
    assert broker.state.queue("/", "q").unacknowledged == 12_000
    assert len(client.got[1]) == 12_000


def test_a_session_that_is_taken_over_answers_the_stream_before(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("q", prefetch=20_000)
    for _ in range(6):
        broker.put("q", *("x" for _ in range(1_000)))
    broker.fail_over()
    tokens = []
    for _ in range(2):
        token = Waiting()
        ids = list(client.has[1])
        # The first one's parts have not been compared when the second one comes.
        opened = e.SessionOpened(
            client.id, CALLER, "/", [client.specs[1]], [("q", ConsumerNumber(1), ids)], token
        )
        out = broker.machine.step(opened, broker.now)
        for effect in out.after:
            if isinstance(effect, fx.Reply):
                effect.token.set_result(effect.answer)
        tokens.append(token)
    assert isinstance(tokens[0].answer, QuorateError)
    assert tokens[0].answer.reason == "SESSION_TAKEN_OVER"


@pytest.mark.parametrize("id", ["short", "x" * 129, "has a line end\n-----"])
def test_session_ids_that_are_refused(broker: Consumers, id: str) -> None:
    token = Waiting()
    broker.step(e.SessionOpened(SessionId(id), CALLER, "/", (), (), token))
    assert isinstance(token.answer, QuorateError)
    assert token.answer.field == "session"


def test_a_session_stays_in_its_virtual_host(broker: Consumers) -> None:
    broker.ask(e.VirtualHostAsked, "other")
    client = broker.client()
    token = Waiting()
    broker.step(e.SessionOpened(client.id, CALLER, "other", (), (), token))
    assert isinstance(token.answer, QuorateError)
    assert token.answer.reason == "SESSION_DIFFERS"


def test_there_are_only_so_many_sessions(
    broker: Consumers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.core.broker.handlers.consuming.sessions.SESSIONS", 1)
    broker.client()
    token = broker.client("other", opened=False).open()
    assert token.answer.reason == "TOO_MANY_SESSIONS"
    assert token.answer.metadata["limit"] == "1"


def test_a_record_names_only_so_many_queues(
    broker: Consumers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.core.broker.handlers.consuming.records.SESSION_QUEUES", 2)
    for name in ("two", "three"):
        broker.declare(name)
    client = broker.client()
    client.subscribe("q", 1)
    client.subscribe("two", 2)
    token = client.subscribe("three", 3)
    assert token.answer.reason == "TOO_MANY_SESSION_QUEUES"
    # Those that it has nothing to do with any more make room.
    client.unsubscribe(1)
    assert client.subscribe("three", 4).answer.ready == 0
