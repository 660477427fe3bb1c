"""Direct replies: `amq.rabbitmq.reply-to`."""

from __future__ import annotations

import pytest

from gateway.amqp.protocol import consuming
from gateway.amqp.protocol import effects as fx
from quorate.v1 import message_pb2
from tests.unit.amqp.test_amqp_channel import Channel, refused


@pytest.fixture
def one() -> Channel:
    return Channel()


def test_direct_replies_go_to_the_address_of_their_consumer(one):
    properties = b"\x02\0" + b"\x15amq.rabbitmq.reply-to"
    with refused(406):
        one.publish(properties=properties)
    (subscribe,) = one.do("basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True)
    consumer = subscribe.consumer
    assert (consumer.queue, consumer.owned) == ("amq.rabbitmq.reply-to", False)
    consumer.address = "amq.rabbitmq.reply-to.7"
    answer = fx.say("basic.consume-ok", consumer_tag=consumer.tag)
    assert consuming.subscribed(one.state, consumer) == [answer]
    (effect,) = one.publish(properties=properties)
    message = message_pb2.Message.FromString(effect.publication.message)
    assert message.properties.reply_to == "amq.rabbitmq.reply-to.7"
    with refused(406):
        one.do("basic.consume", queue="amq.rabbitmq.reply-to", no_ack=True)
    consuming.forget(one.state, consumer)
    with refused(406):
        one.publish(properties=properties)


@pytest.mark.parametrize("passive", [True, False])
def test_declaring_direct_reply_to_asks_whether_somebody_is_there(one, passive):
    (answer,) = one.do("queue.declare", queue="amq.rabbitmq.reply-to", passive=passive)
    assert (answer.arguments["message_count"], answer.arguments["consumer_count"]) == (0, 1)
    (call,) = one.do("queue.declare", queue="amq.rabbitmq.reply-to.7", passive=passive)
    assert (call.rpc, call.request.name) == ("GetMessageQueue", "amq.rabbitmq.reply-to.7")
