"""Direct replies: straight to who asked, never stored.

https://www.rabbitmq.com/docs/direct-reply-to
"""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.core.broker import events as e
from scheduler.core.broker.answers import ResultKind
from scheduler.core.broker.consuming.replies import PREFIX, REPLY_TO
from scheduler.core.broker.rows import SessionId
from tests.support.broker import HOST, Waiting, publication
from tests.support.consuming import CALLER, Client, Consumers


@pytest.fixture
def broker() -> Consumers:
    return Consumers()


def asking(broker: Consumers, name: str = "client") -> tuple[Client, str]:
    """A client that waits for replies, and its address."""
    client = broker.client(name)
    address = client.subscribe(REPLY_TO, automatic_ack=True).answer.reply_to
    assert address.startswith(PREFIX)
    return client, address


def reply(body: bytes, address: str, **more: Any) -> e.Publication:
    return publication(body, address, mandatory=True, **more)


def test_replies_are_delivered_in_order_and_never_stored(broker: Consumers) -> None:
    client, address = asking(broker)
    broker.effects.clear()
    answer = broker.publish(reply(b"1", address), reply(b"2", address))
    broker.publish(reply(b"3", address))
    assert answer.results == ()
    assert client.bodies() == ["1", "2", "3"]
    assert not any(out.writes or out.additions for out in broker.effects)


def test_each_client_has_an_address_of_its_own(broker: Consumers) -> None:
    (one, to_one), (other, to_other) = asking(broker), asking(broker, "other")
    second = one.subscribe(REPLY_TO, 2, automatic_ack=True).answer.reply_to
    assert len({to_one, to_other, second}) == 3
    broker.publish(reply(b"a", to_other), reply(b"b", second))
    assert (one.bodies(), one.bodies(2), other.bodies()) == ([], ["b"], ["a"])


def test_its_consumer_acknowledges_automatically(broker: Consumers) -> None:
    client = broker.client()
    assert client.subscribe(REPLY_TO).answer.reason == "REPLY_TO_IS_AUTOMATIC"
    client.subscribe(REPLY_TO, automatic_ack=True)
    again = client.subscribe(REPLY_TO, automatic_ack=True).answer
    assert again.reason == "CONSUMER_EXISTS"
    assert broker.state.consuming.consumers == 1


@pytest.mark.parametrize("how", ["unsubscribed", "lost", "closed", "paused", "unknown", "host"])
def test_a_reply_to_nobody_is_gone(broker: Consumers, how: str) -> None:
    client, address = asking(broker)
    host = HOST
    match how:
        case "unsubscribed":
            client.unsubscribe()
        case "lost":
            client.lose()
        case "closed":
            client.close()
        case "paused":
            broker.pause(client, True)
        case "unknown":
            address += "x"
        case _:
            host = "other"
            broker.ask(e.VirtualHostAsked, host)
    ((_, kind, error),) = broker.publish(reply(b"a", address), host=host).results
    assert (kind, error.reason) == (ResultKind.RETURNED, "ROUTE_NOT_FOUND")
    assert broker.publish(publication(b"a", address), host=host).results == ()
    assert client.bodies() == []
    assert broker.state.consuming.consumers == (0 if how in ("unsubscribed", "closed") else 1)


def test_the_address_is_the_same_under_the_next_leader(broker: Consumers) -> None:
    client, address = asking(broker)
    broker.fail_over()
    assert broker.publish(reply(b"too early", address)).results
    client.open(inventory=True)
    assert broker.publish(reply(b"a", address)).results == ()
    assert client.bodies() == ["a"]
    client.lose()
    client.specs.clear()
    client.open(inventory=True)
    assert broker.publish(reply(b"b", address)).results, "it came back without this consumer"
    assert broker.state.consuming.consumers == 0


def test_a_reply_that_is_repeated_with_its_number_is_delivered_once(broker: Consumers) -> None:
    client, address = asking(broker)
    for _ in range(2):
        assert broker.publish(reply(b"a", address, number=1), producer="p").results == ()
    assert client.bodies() == ["a"]


def test_a_reply_of_a_transaction_goes_when_that_is_durable(broker: Consumers) -> None:
    client, address = asking(broker)
    broker.declare("out")
    token = Waiting()
    publications = [reply(b"a", address), reply(b"b", "out")]
    broker.holding = True
    broker.step(e.Transacted(HOST, publications, SessionId(""), (), token, CALLER))
    assert client.bodies() == []
    broker.flush()
    broker.holding = False
    assert client.bodies() == ["a"]
    assert broker.bodies("out") == [b"b"]


def test_only_the_default_exchange_knows_addresses(broker: Consumers) -> None:
    _, address = asking(broker)
    ((_, kind, _),) = broker.publish(reply(b"a", address, exchange="amq.direct")).results
    assert kind is ResultKind.RETURNED
