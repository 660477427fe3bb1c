"""Publish and acknowledge in one commit: all of it or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import ConsumerNumber, SessionId
from tests.support.broker import HOST, Waiting, publication
from tests.support.consuming import Client, Consumers


@pytest.fixture
def broker() -> Consumers:
    found = Consumers()
    found.declare("in")
    found.declare("out")
    return found


def transact(
    client: Client,
    *bodies: str,
    ids: tuple[int, ...] = (),
    outcome: e.Outcome = e.Outcome.ACK,
    session: str = "",
    size: int = 0,
) -> Any:
    publications = [publication(body.encode() + b"x" * size, "out") for body in bodies]
    id = SessionId(session) or client.id
    settle = e.Settled(id, 0, ConsumerNumber(1), "", ids, outcome)
    token = Waiting()
    client.broker.step(e.Transacted(HOST, publications, id, [settle] if ids else [], token))
    return token.answer


def test_the_acknowledgement_and_the_messages_are_one_commit(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("in", prefetch=1)
    client.subscribe("out", 2)
    broker.put("in", "a", "b")
    broker.effects.clear()
    answer = transact(client, "A", ids=(client.ids()[0],))
    assert not answer.results
    commits = [out for out in broker.effects if out.additions]
    assert len(commits) == 1
    assert commits[0].writes
    assert client.bodies(2) == ["A"]
    assert client.bodies(1) == ["a", "b"]


def test_a_repeated_transaction_publishes_nothing(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a")
    ids = tuple(client.ids())
    transact(client, "A", ids=ids)
    again = transact(client, "A", ids=ids)
    assert isinstance(again, QuorateError)
    assert again.reason == "UNKNOWN_DELIVERY"
    assert broker.state.queue(HOST, "out").ready == 1


def test_a_delivery_that_is_named_twice_is_refused(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a")
    (one,) = client.ids()
    assert transact(client, "A", ids=(one, one)).reason == "UNKNOWN_DELIVERY"
    assert broker.state.queue(HOST, "in").unacknowledged == 1
    assert broker.state.queue(HOST, "out").ready == 0


def test_what_a_transaction_may_not_do(broker: Consumers) -> None:
    client = broker.client()
    client.subscribe("in")
    broker.put("in", "a")
    ids = tuple(client.ids())
    assert transact(client, "A", ids=ids, outcome=e.Outcome.REJECT).reason == "BAD_OUTCOME"
    assert transact(client, "A", ids=ids, session="x" * 20).reason == "SESSION_NOT_FOUND"
    large = transact(client, "A", "B", ids=ids, size=300_000)
    assert large.reason == "TRANSACTION_TOO_LARGE"
    assert broker.state.queue(HOST, "out").ready == 0
    assert broker.state.queue(HOST, "in").unacknowledged == 1


def test_acknowledgements_of_too_many_commits_are_refused(
    broker: Consumers,
) -> None:
    broker.machine.limits = BrokerLimits(step_writes=4)
    client = broker.client()
    client.subscribe("in")
    for body in "abc":
        broker.put("in", body)
    error = transact(client, "A", ids=tuple(client.ids()))
    assert error.reason == "TRANSACTION_TOO_LARGE"
    assert error.metadata["limit"]


def test_only_messages(broker: Consumers) -> None:
    client = broker.client(opened=False)
    transact(client, "A", "B")
    assert broker.state.queue(HOST, "out").ready == 2
