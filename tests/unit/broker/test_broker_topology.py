"""Virtual hosts, exchanges, bindings and message queues: declared, bound, deleted."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.routing.fields import FieldType, Value, text
from scheduler.core.broker.rows import Overflow, QueueType, QueueUid, SessionId, SessionRow
from tests.support.broker import HOST, NOW, Broker


def kinds(broker: Broker) -> list[str]:
    return [type(write).__name__ for out in broker.effects for write in out.writes]


def open_session(broker: Broker, name: str) -> None:
    row = SessionRow(SessionId(name), "alice", HOST, (), NOW)
    broker.state.sessions[row.id] = row


def test_a_queue_is_declared_once() -> None:
    """https://www.rabbitmq.com/docs/queues#property-equivalence"""
    broker = Broker()
    queue = broker.declare("jobs", max_length=10)
    assert kinds(broker) == ["PutMessageQueue"]
    assert broker.declare("jobs", max_length=10) is queue
    assert kinds(broker) == ["PutMessageQueue"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("durable", False),
        ("auto_delete", True),
        ("message_ttl", 1.0),
        ("max_length", 3),
        ("overflow", Overflow.REJECT_PUBLISH),
        ("dead_letter_exchange", ""),
        ("max_priority", 4),
        ("delivery_limit", 0),
    ],
)
def test_a_declaration_that_differs_names_the_field(field: str, value: Any) -> None:
    """https://www.rabbitmq.com/docs/queues#property-equivalence: 406 PRECONDITION_FAILED."""
    broker = Broker()
    broker.declare("jobs")
    with pytest.raises(QuorateError) as caught:
        broker.declare("jobs", **{field: value})
    assert caught.value.reason == "MESSAGE_QUEUE_DIFFERS"
    assert caught.value.metadata["field"] == field


def test_arguments_are_the_same_in_any_width_of_number() -> None:
    """https://www.rabbitmq.com/docs/queues#property-equivalence: numbers are compared by value."""
    broker = Broker()
    broker.declare("jobs", arguments=(("x-a", Value(FieldType.INT32, 5)), ("x-b", text("b"))))
    broker.declare("jobs", arguments=(("x-b", text("b")), ("x-a", Value(FieldType.INT64, 5))))
    with pytest.raises(QuorateError) as caught:
        broker.declare("jobs", arguments=(("x-a", Value(FieldType.INT64, 6)), ("x-b", text("b"))))
    assert caught.value.metadata["field"] == "arguments.x-a"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"message_ttl": -1.0}, "spec.message_ttl"),
        ({"expires": 0.0}, "spec.expires"),
        ({"expires": 1e9}, "spec.expires"),
        ({"max_priority": 32}, "spec.max_priority"),
        ({"max_length": -1}, "spec.max_length"),
        ({"dead_letter_routing_key": "k"}, "spec.dead_letter_routing_key"),
        ({"dead_letter_exchange": "", "dead_letter_routing_key": "k" * 256},
         "spec.dead_letter_routing_key"),
        ({"type": QueueType.STREAM, "exclusive": True}, "spec.exclusive"),
        ({"max_age": 5.0}, "spec.max_age"),
        ({"arguments": tuple((f"x-{n}", text("")) for n in range(65))}, "spec.arguments"),
    ],
)  # fmt: skip
def test_a_bad_spec_names_the_field(spec: dict[str, Any], field: str) -> None:
    broker = Broker()
    with pytest.raises(QuorateError) as caught:
        broker.declare("jobs", **spec)
    assert caught.value.field == field
    assert not broker.state.queues


def test_an_exclusive_queue_belongs_to_its_session() -> None:
    """https://www.rabbitmq.com/docs/queues#exclusive-queues: RESOURCE_LOCKED for others."""
    broker = Broker()
    with pytest.raises(QuorateError) as unknown:
        broker.declare("mine", "one", exclusive=True)
    assert unknown.value.reason == "SESSION_NOT_FOUND"
    open_session(broker, "one")
    queue = broker.declare("mine", "one", exclusive=True)
    assert queue.row.owner == "one"
    with pytest.raises(QuorateError) as locked:
        broker.declare("mine", "two", exclusive=True)
    assert locked.value.reason == "MESSAGE_QUEUE_LOCKED"
    with pytest.raises(QuorateError) as locked:
        broker.ask(e.MessageQueueDeleteAsked, HOST, "mine", SessionId(""), False, False)
    assert locked.value.reason == "MESSAGE_QUEUE_LOCKED"


def test_a_deleted_queue_takes_its_bindings_and_exchanges_that_only_it_kept() -> None:
    """https://www.rabbitmq.com/docs/exchanges: auto-delete exchanges go with their last binding."""
    broker = Broker()
    broker.declare("jobs")
    broker.exchange("events", auto_delete=True)
    broker.bind("events", "jobs", "a")
    broker.effects.clear()
    answer = broker.ask(e.MessageQueueDeleteAsked, HOST, "jobs", SessionId(""), True, True)
    assert answer.messages == 0
    assert kinds(broker) == ["DropBinding", "DropExchange", "DropMessageQueue"]
    assert broker.state.find_queue(HOST, "jobs") is None
    assert not broker.state.router.host(HOST).queues


def test_a_queue_in_use_is_kept_if_unused_is_asked() -> None:
    """https://www.rabbitmq.com/amqp-0-9-1-reference#queue.delete.if-unused"""
    broker = Broker()
    broker.declare("jobs").consumers = 1
    with pytest.raises(QuorateError) as caught:
        broker.ask(e.MessageQueueDeleteAsked, HOST, "jobs", SessionId(""), True, False)
    assert caught.value.reason == "MESSAGE_QUEUE_IN_USE"


def test_many_bindings_go_in_parts() -> None:
    broker = Broker(BrokerLimits(step_writes=20))
    broker.declare("jobs")
    broker.exchange("events")
    for n in range(35):
        broker.bind("events", "jobs", f"{n}")
    broker.effects.clear()
    broker.ask(e.ExchangeDeleteAsked, HOST, "events", False)
    assert kinds(broker).count("DropBinding") == 35
    assert [len(out.writes) for out in broker.effects] == [10, 10, 10, 6]


def test_many_bindings_of_an_auto_delete_exchange_go_in_parts_with_their_queue() -> None:
    broker = Broker(BrokerLimits(step_writes=20))
    broker.declare("jobs")
    broker.exchange("events", auto_delete=True)
    for n in range(35):
        broker.bind("events", "jobs", f"{n}")
    broker.effects.clear()
    broker.ask(e.MessageQueueDeleteAsked, HOST, "jobs", SessionId(""), False, False)
    assert kinds(broker)[-2:] == ["DropExchange", "DropMessageQueue"]
    assert kinds(broker).count("DropBinding") == 35


def test_an_unused_queue_expires() -> None:
    """https://www.rabbitmq.com/docs/ttl#queue-ttl: unused means no consumers, no declaration."""
    broker = Broker()
    queue = broker.declare("jobs", expires=10.0)
    broker.pass_time(6)
    broker.declare("jobs", expires=10.0)
    broker.pass_time(6)
    assert broker.state.find_queue(HOST, "jobs") is queue
    queue.consumers = 1
    broker.pass_time(60)
    assert broker.state.find_queue(HOST, "jobs") is queue
    queue.consumers = 0
    broker.pass_time(20)
    assert broker.state.find_queue(HOST, "jobs") is None
    assert broker.next_due == inf


def test_a_virtual_host_with_queues_is_kept() -> None:
    broker = Broker()
    broker.ask(e.VirtualHostAsked, "other")
    broker.declare("jobs", host="other")
    with pytest.raises(QuorateError) as caught:
        broker.ask(e.VirtualHostDeleteAsked, "other")
    assert caught.value.reason == "VIRTUAL_HOST_NOT_EMPTY"
    broker.ask(e.MessageQueueDeleteAsked, "other", "jobs", SessionId(""), False, False)
    broker.ask(e.VirtualHostDeleteAsked, "other")
    assert fx.DropVirtualHost("other") in broker.effects[-1].writes
    with pytest.raises(QuorateError) as caught:
        broker.declare("jobs", host="other")
    assert caught.value.reason == "VIRTUAL_HOST_NOT_FOUND"


def test_too_many_queues_names_the_limit() -> None:
    broker = Broker(BrokerLimits(queues=1))
    broker.declare("one")
    with pytest.raises(QuorateError) as caught:
        broker.declare("two")
    assert caught.value.reason == "TOO_MANY_MESSAGE_QUEUES"
    assert caught.value.metadata["limit"] == "1"


def test_a_queue_that_is_created_again_has_its_own_uid() -> None:
    broker = Broker()
    before = broker.declare("jobs")
    broker.ask(e.MessageQueueDeleteAsked, HOST, "jobs", SessionId(""), False, False)
    after = broker.declare("jobs")
    assert after.row.uid != before.row.uid == QueueUid(f"{1:016x}")
