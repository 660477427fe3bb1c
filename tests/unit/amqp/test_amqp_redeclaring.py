"""A queue that is declared again, otherwise than before."""

from __future__ import annotations

import itertools

import pytest

from gateway.amqp.protocol import effects as fx
from gateway.amqp.protocol import topology
from gateway.amqp.protocol.state import State
from gateway.amqp.wire import methods
from gateway.amqp.wire.replies import from_cluster
from quorate.runtime.errors import precondition
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2


def declaration() -> fx.Call:
    state = State(1, "/", 4_096, False, True, itertools.count(1), set())
    method = methods.decode(methods.encode("queue.declare", queue="q"))
    (call,) = topology.queue_declare(state, method)
    assert isinstance(call, fx.Call)
    return call


def test_arguments_without_a_meaning_may_differ() -> None:
    # https://www.rabbitmq.com/docs/queues#property-equivalence
    error = precondition("MESSAGE_QUEUE_DIFFERS", "", field="arguments.x-mine")
    found = declaration().failed(error)
    assert found is not None
    (look,) = found
    assert isinstance(look, fx.Call)
    assert (look.rpc, getattr(look.request, "name", "")) == ("GetMessageQueue", "q")
    queue = message_pb2.MessageQueue(name="q", ready=3)
    (said,) = look.answered(pb.GetMessageQueueResponse(message_queue=queue))
    assert isinstance(said, fx.Say)
    assert (said.name, said.arguments["message_count"]) == ("queue.declare-ok", 3)


@pytest.mark.parametrize("field", ["arguments.x-queue-type", "durable", "max_length"])
def test_others_may_not(field: str) -> None:
    error = precondition("MESSAGE_QUEUE_DIFFERS", "", field=field)
    assert declaration().failed(error) is None
    assert from_cluster(error, "/").reply == 406


def test_an_exclusive_queue_is_locked() -> None:
    error = precondition("MESSAGE_QUEUE_DIFFERS", "", field="exclusive", message_queue="q")
    assert from_cluster(error, "/").reply == 405
