"""What looks ready to a new leader may be with sessions that it has not heard of yet."""

from __future__ import annotations

import pytest

from tests.support.broker import publication
from tests.support.consuming import Consumers

REATTACH = 3.0


@pytest.fixture
def broker() -> Consumers:
    return Consumers()


def test_a_new_leader_drops_nothing_that_a_session_may_have(broker: Consumers) -> None:
    """What consumers have does not count: https://www.rabbitmq.com/docs/maxlength"""
    broker.declare("full", max_length=1)
    client = broker.client()
    client.subscribe("full", prefetch=2)
    for body in "abc":
        broker.put("full", body)
    broker.fail_over()
    broker.pass_time(REATTACH - 1)
    client.open(inventory=True)
    assert len(client.ids()) == 2
    client.ack()
    assert client.refused == []
    assert client.bodies() == ["a", "b", "c"]


def test_a_new_leader_drops_the_surplus_that_no_session_has(broker: Consumers) -> None:
    broker.declare("full", max_length=1)
    client = broker.client()
    client.subscribe("full", prefetch=2)
    for body in "ab":
        broker.put("full", body)
    broker.fail_over()
    assert broker.state.queue("/", "full").ready == 2
    broker.pass_time(REATTACH)
    assert broker.bodies("full") == [b"b"]


def test_a_new_leader_expires_nothing_that_a_session_may_have(broker: Consumers) -> None:
    broker.declare("brief", message_ttl=2.0)
    client = broker.client()
    client.subscribe("brief", prefetch=1)
    broker.publish(publication(b"a", "brief"), publication(b"b", "brief"))
    broker.fail_over()
    broker.pass_time(REATTACH - 0.5)
    client.open(inventory=True)
    # "b" expired meanwhile, and goes now.
    assert broker.state.queue("/", "brief").unacknowledged == 1
    broker.pass_time(0.1)
    assert broker.state.queue("/", "brief").ready == 0
    client.ack()
    assert client.refused == []
