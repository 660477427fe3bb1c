"""A channel: what each method asks for, delivery tags, confirms, transactions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gateway.amqp.protocol import channel, consuming, publishing
from gateway.amqp.protocol import effects as fx
from gateway.amqp.protocol import events as e
from gateway.amqp.protocol.state import State, Transactions
from gateway.amqp.wire import frames, methods
from gateway.amqp.wire.frames import FrameReader
from gateway.amqp.wire.replies import AmqpError
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.runtime.errors import not_found
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2


class Channel:
    """Methods in, effects out."""

    def __init__(self, **more: Any) -> None:
        known: dict[str, Any] = {
            "number": 1,
            "virtual_host": "/",
            "frame_max": 4_096,
            "shared_prefetch": False,
            "cancels": True,
            "numbers": itertools.count(1),
            "owned": set(),
        }
        self.state = State(**(known | more))

    def do(self, name: str, **arguments: Any) -> Any:
        payload = methods.encode(name, **arguments)
        if name == "basic.ack":
            return channel.handle(self.state, e.Acked(1, *frames.read_ack(payload)))
        return channel.handle(self.state, e.MethodCame(1, methods.decode(payload)))

    def publish(self, body: bytes = b"", properties: bytes = b"\0\0", **more: Any) -> Any:
        publish = frames.Publish("x", "k", more.get("mandatory", False), False)
        return channel.handle(self.state, e.Published(1, publish, properties, body))

    def consumer(self, **more: Any) -> fx.Consumer:
        found = self.do("basic.consume", queue="q", **more)[-1]
        assert isinstance(found, fx.Subscribe)
        return found.consumer

    def deliver(self, consumer: fx.Consumer, *ids: int) -> list[methods.Method]:
        one = wire.DeliveryEnvelope(message=wire.MessageEnvelope(body=b"x").SerializeToString())
        found = wire.DeliveriesEnvelope()
        for id in ids:
            one.id = id
            found.deliveries.append(one)
        return read(consuming.deliver(self.state, consumer, found))


def read(data: bytes) -> list[methods.Method]:
    """The methods among frames."""
    return [
        methods.decode(frame.payload)
        for frame in FrameReader(4_096).feed(data)
        if frame.type == frames.METHOD
    ]


def refused(code: int) -> Any:
    """An error with this code."""
    return pytest.raises(AmqpError, check=lambda error: error.reply == code)


@pytest.fixture
def one():
    return Channel()


def test_a_queue_is_declared_with_what_the_client_says(one):
    arguments = {"x-message-ttl": message_pb2.HeaderValue(integer=5)}
    (call,) = one.do("queue.declare", queue="q", durable=True, arguments=arguments)
    queue = call.request.message_queue
    assert (call.rpc, queue.name, queue.spec.durable) == ("CreateMessageQueue", "q", True)
    assert queue.spec.arguments["x-message-ttl"].integer == 5
    assert not call.owner
    answer = pb.CreateMessageQueueResponse(message_queue={"name": "q", "ready": 3, "consumers": 2})
    (said,) = call.answered(answer)
    assert said.arguments == {"queue": "q", "message_count": 3, "consumer_count": 2}
    # An empty name means this one from now on.
    (call,) = one.do("queue.purge")
    assert call.request.name == "q"
    (call,) = one.do("queue.bind", exchange="x")
    assert (call.request.binding.message_queue, call.request.binding.routing_key) == ("q", "q")
    (call,) = one.do("queue.declare", passive=True)
    assert (call.rpc, call.request.name) == ("GetMessageQueue", "q")


def test_an_exclusive_queue_belongs_to_the_connection(one):
    (call,) = one.do("queue.declare", exclusive=True)
    assert call.owner
    queue = {"name": "amq.gen-1", "owner_session": "s"}
    call.answered(pb.CreateMessageQueueResponse(message_queue=queue))
    assert one.consumer().owned is False
    (subscribe,) = one.do("basic.consume")
    assert subscribe.consumer.owned
    (fetch,) = one.do("basic.get")
    assert fetch.owned


def test_no_wait_has_no_answer(one):
    (call,) = one.do("queue.declare", queue="q", no_wait=True)
    assert call.answered(pb.CreateMessageQueueResponse()) == []
    (call,) = one.do("exchange.declare", exchange="x", type="topic", no_wait=True)
    assert call.answered(None) == []
    assert one.do("confirm.select", no_wait=True) == []


def test_what_is_gone_may_be_deleted_again(one):
    for method, argument, reason in (
        ("queue.delete", "queue", "message_queue"),
        ("exchange.delete", "exchange", "exchange"),
    ):
        (call,) = one.do(method, **{argument: "q"})
        (said,) = call.failed(not_found(reason, "q"))
        assert said.name == f"{method}-ok"
        assert call.failed(not_found("virtual_host", "v")) is None


def test_a_message_names_the_user_who_logged_in():
    # https://www.rabbitmq.com/docs/validated-user-id
    one = Channel(user="guest")
    assert one.publish(properties=b"\0\x10\x05guest")
    with refused(406):
        one.publish(properties=b"\0\x10\x05other")
    assert Channel().publish(properties=b"\0\x10\x05other")


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("queue.purge", {}, 404),
        ("exchange.declare", {"exchange": "x", "type": "odd"}, 406),
        ("exchange.declare", {"exchange": "", "type": "direct"}, 403),
        ("exchange.declare", {"exchange": "", "type": "direct", "passive": True}, 403),
        ("exchange.delete", {"exchange": ""}, 403),
        ("basic.qos", {"prefetch_size": 1}, 540),
        ("basic.recover", {"requeue": False}, 540),
        ("channel.flow", {"active": False}, 540),
        ("basic.ack", {"delivery_tag": 1}, 406),
        ("basic.nack", {"delivery_tag": 1, "multiple": True}, 406),
        ("basic.reject", {"delivery_tag": 0}, 406),
        ("tx.commit", {}, 406),
        ("basic.deliver", {}, 503),
        ("basic.consume", {"queue": "amq.rabbitmq.reply-to"}, 406),
    ],
)
def test_what_is_refused_at_once(one, name, arguments, code):
    with refused(code) as error:
        one.do(name, **arguments)
    assert error.value.method == methods.SHAPES[name].id


def test_a_consumer_tag_is_used_once(one):
    assert one.consumer().tag == "amq.ctag-1.1"
    assert one.consumer(consumer_tag="mine").tag == "mine"
    with refused(530):
        one.consumer(consumer_tag="mine")


def test_delivery_tags_name_deliveries_of_all_consumers(one):
    first, second = one.consumer(), one.consumer()
    tags = [
        method["delivery_tag"]
        for consumer, ids in ((first, (10, 11)), (second, (10,)), (first, (12,)))
        for method in one.deliver(consumer, *ids)
    ]
    assert tags == [1, 2, 3, 4]
    assert one.do("basic.ack", delivery_tag=3) == [
        fx.Settle(second.source, [10], pb.OUTCOME_ACK),
    ]
    assert one.do("basic.nack", delivery_tag=2, multiple=True, requeue=True) == [
        fx.Settle(first.source, [10, 11], pb.OUTCOME_NACK),
    ]
    with refused(406):
        one.do("basic.ack", delivery_tag=3)
    assert one.do("basic.reject", delivery_tag=4) == [
        fx.Settle(first.source, [12], pb.OUTCOME_REJECT),
    ]
    assert one.do("basic.ack", multiple=True) == []


def test_automatic_acknowledgement_leaves_nothing_to_settle(one):
    consumer = one.consumer(no_ack=True)
    one.deliver(consumer, 1, 2)
    with refused(406):
        one.do("basic.ack", delivery_tag=1)


def test_recover_requeues_all(one):
    consumer = one.consumer()
    one.deliver(consumer, 1, 2)
    found = one.do("basic.recover", requeue=True)
    assert found == [
        fx.Settle(consumer.source, [1, 2], pb.OUTCOME_NACK),
        fx.Say("basic.recover-ok", {}),
    ]


def test_prefetch_is_of_consumers_to_come_as_in_rabbitmq(one):
    before = one.consumer()
    assert one.do("basic.qos", prefetch_count=5) == [fx.Say("basic.qos-ok", {})]
    assert (before.prefetch, one.consumer().prefetch) == (0, 5)
    assert one.do("basic.qos", prefetch_count=9, **{"global": True})[0] == fx.Limit(9)


def test_prefetch_of_kombu_is_of_the_channel_and_holds_at_once():
    one = Channel(shared_prefetch=True)
    assert one.do("basic.qos", prefetch_count=5)[0] == fx.Limit(5)
    assert one.state.limit == 5


def test_an_answer_to_get(one):
    (fetch,) = one.do("basic.get", queue="q")
    (empty,) = read(consuming.fetched(one.state, fetch, pb.Fetched()))
    assert empty.name == "basic.get-empty"
    found = pb.Fetched(ready=4)
    found.delivery.id = 77
    found.delivery.message.exchange = "x"
    (got,) = read(consuming.fetched(one.state, fetch, found))
    assert (got.name, got["message_count"], got["exchange"]) == ("basic.get-ok", 4, "x")
    assert one.do("basic.ack", delivery_tag=1)[0].ids == [77]


def test_streams_remember_what_comes_next(one):
    consumer = one.consumer()
    consumer.stream = True
    one.deliver(consumer, 41)
    assert consumer.offset == 42


@pytest.mark.parametrize(
    ("value", "field", "expected"),
    [
        ({"text": "first"}, "first", True),
        ({"integer": 7}, "offset", 7),
        ({"timestamp": {"seconds": 9}}, "time", None),
        ({"text": "1h"}, "time", None),
    ],
)
def test_where_a_stream_begins(value, field, expected):
    arguments = {"x-stream-offset": message_pb2.HeaderValue(**value)}
    found = consuming.position(arguments, 10_000.0)
    assert found.WhichOneof("from") == field
    if expected is not None:
        assert getattr(found, field) == expected
    with refused(406):
        consuming.position({"x-stream-offset": message_pb2.HeaderValue(text="soon")}, 0.0)


# -- publishing


def test_a_message_is_published_with_its_properties(one):
    (effect,) = one.publish(b"body", mandatory=True)
    message = message_pb2.Message.FromString(effect.publication.message)
    assert (message.exchange, message.routing_key, message.body) == ("x", "k", b"body")
    assert effect.publication.returned == ("x", "k", b"\0\0", b"body")


def confirms(one: Channel, since: int, *outcomes: str) -> list[tuple[str, int, bool | None]]:
    """What the client gets for publications that end so."""
    found = publishing.Confirmed(one.state, since)
    publication = fx.Publication(b"", ("x", "k", b"\0\0", b""))
    for number, outcome in enumerate(outcomes, since + 1):
        if outcome == "returned":
            found.returned(number, publication)
        else:
            getattr(found, outcome)(number)
    return [
        (method.name, method.arguments.get("delivery_tag", 0), method.arguments.get("multiple"))
        for method in read(found.frames())
    ]


def test_confirms_are_batched_and_in_order(one):
    one.do("confirm.select")
    assert confirms(one, 0, "durable", "durable", "durable") == [("basic.ack", 3, True)]
    assert confirms(one, 3, "durable") == [("basic.ack", 4, False)]
    assert confirms(one, 4, "durable", "refused", "durable", "durable") == [
        ("basic.ack", 5, False),
        ("basic.nack", 6, False),
        ("basic.ack", 8, True),
    ]
    assert confirms(one, 8, "returned") == [("basic.return", 0, None), ("basic.ack", 9, False)]


def test_confirms_count_from_confirm_select(one):
    one.publish()
    one.publish()
    assert confirms(one, 0, "durable", "refused") == []
    one.do("confirm.select")
    one.publish()
    assert confirms(one, 1, "durable", "durable") == [("basic.ack", 1, False)]


def test_confirms_and_transactions_exclude_each_other():
    one = Channel()
    one.do("confirm.select")
    with refused(406):
        one.do("tx.select")
    one = Channel()
    one.do("tx.select")
    with refused(406):
        one.do("confirm.select")


def test_a_transaction_holds_messages_and_settlements():
    one = Channel()
    one.do("tx.select")
    consumer = one.consumer()
    one.deliver(consumer, 1, 2, 3)
    assert one.publish(b"a") == []
    assert one.do("basic.ack", delivery_tag=1) == []
    assert one.do("basic.reject", delivery_tag=2) == []
    (commit,) = one.do("tx.commit")
    assert len(commit.publications) == 1
    assert commit.settles == [
        fx.Settle(consumer.source, [1], pb.OUTCOME_ACK),
        fx.Settle(consumer.source, [2], pb.OUTCOME_REJECT),
    ]
    assert (commit.others, commit.owned) == ([], False)
    # Rolled back: it is not acknowledged, and has its tag.
    one.publish(b"b")
    one.do("basic.ack", delivery_tag=3)
    one.do("tx.rollback")
    one.do("basic.ack", delivery_tag=3)
    (commit,) = one.do("tx.commit")
    assert commit.publications == []
    assert commit.settles == [fx.Settle(consumer.source, [3], pb.OUTCOME_ACK)]


def test_a_transaction_is_of_one_session():
    """Deliveries of exclusive queues belong to another one than those of the channel."""
    one = Channel(owned={"mine"})
    one.do("tx.select")
    (subscribe,) = one.do("basic.consume", queue="mine")
    mine, other = subscribe.consumer, one.consumer()
    one.deliver(mine, 1)
    one.deliver(other, 2)
    one.deliver(mine, 3)
    one.do("basic.ack", delivery_tag=2, multiple=True)
    (commit,) = one.do("tx.commit")
    assert commit.settles == [fx.Settle(other.source, [2], pb.OUTCOME_ACK)]
    assert commit.others == [fx.Settle(mine.source, [1], pb.OUTCOME_ACK)]
    one.do("basic.ack", delivery_tag=3)
    (commit,) = one.do("tx.commit")
    assert (len(commit.settles), commit.others, commit.owned) == (1, [], True)


def test_a_transaction_is_bounded():
    one = Channel()
    one.do("tx.select")
    one.publish(b"x" * 300_000)
    with refused(406):
        one.publish(b"x" * 300_000)


def test_transactions_of_a_connection_are_bounded_but_one_has_room():
    shared = Transactions(most=1 << 20)
    a, b, c = (Channel(transactions=shared) for _ in range(3))
    for one in (c, a, b):
        one.do("tx.select")
        one.publish(b"x" * (500_000 if one is not c else 0))
    a.do("tx.rollback")
    c.publish(b"x" * 100_000)
    b.do("tx.commit")
    with refused(406):
        a.publish(b"x" * 500_000)
    publishing.committed(b.state, ())
    shared.most = 0
    c.do("tx.rollback")
    a.publish(b"x" * 500_000)
