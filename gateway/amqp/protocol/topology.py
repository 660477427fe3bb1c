"""Methods of exchanges and queues as calls of the cluster.

As in RabbitMQ, deleting or unbinding what is not there is no error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.amqp.protocol.consuming import REPLY_TO
from gateway.amqp.protocol.effects import Call, Effect, say
from gateway.amqp.protocol.state import State
from gateway.amqp.wire.methods import Method
from gateway.amqp.wire.replies import AmqpError, Reply
from quorate.runtime.errors import QuorateError
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

_TYPES: Final = {
    "direct": message_pb2.EXCHANGE_TYPE_DIRECT,
    "fanout": message_pb2.EXCHANGE_TYPE_FANOUT,
    "topic": message_pb2.EXCHANGE_TYPE_TOPIC,
    "headers": message_pb2.EXCHANGE_TYPE_HEADERS,
    "x-consistent-hash": message_pb2.EXCHANGE_TYPE_CONSISTENT_HASH,
}
# Of the arguments that the cluster keeps without a meaning. See
# https://www.rabbitmq.com/docs/queues#property-equivalence
_COMPARED_ARGUMENTS: Final = frozenset(("x-queue-type", "x-queue-mode"))
_MOST_COUNT: Final = (1 << 32) - 1


def _answer(method: Method, name: str, **arguments: Any) -> list[Effect]:
    no_wait = "no_wait" in method.arguments and method["no_wait"]
    return [] if no_wait else [say(name, **arguments)]


def _unless_gone(
    answer: list[Effect], *reasons: str
) -> Callable[[QuorateError], list[Effect] | None]:
    return lambda error: answer if error.reason in reasons else None


# -- exchanges


def exchange_declare(state: State, method: Method) -> list[Effect]:
    host, name = state.virtual_host, _not_default(method)
    answer = _answer(method, "exchange.declare-ok")
    if method["passive"]:
        asked = pb.GetExchangeRequest(virtual_host=host, name=name)
        return [Call("GetExchange", asked, lambda _: answer)]
    type_ = _TYPES.get(method["type"])
    if type_ is None:
        text = f"unknown exchange type '{method['type'][:40]}'"
        # RabbitMQ before 4 closes the connection with 503.
        raise AmqpError(Reply.PRECONDITION_FAILED, text, method.id)
    exchange = message_pb2.Exchange(
        virtual_host=host,
        name=name,
        type=type_,
        auto_delete=method["auto_delete"],
        internal=method["internal"],
        durable=method["durable"],
    )
    exchange.arguments.MergeFrom(method["arguments"])
    return [Call("CreateExchange", pb.CreateExchangeRequest(exchange=exchange), lambda _: answer)]


def exchange_delete(state: State, method: Method) -> list[Effect]:
    answer = _answer(method, "exchange.delete-ok")
    asked = pb.DeleteExchangeRequest(
        virtual_host=state.virtual_host, name=_not_default(method), if_unused=method["if_unused"]
    )
    return [
        Call("DeleteExchange", asked, lambda _: answer, _unless_gone(answer, "EXCHANGE_NOT_FOUND"))
    ]


def _not_default(method: Method) -> str:
    name: str = method["exchange"]
    if not name:
        text = "operation not permitted on the default exchange"
        raise AmqpError(Reply.ACCESS_REFUSED, text, method.id)
    return name


def exchange_bind(state: State, method: Method) -> list[Effect]:
    binding = _binding(state, method["source"], method)
    binding.exchange = method["destination"]
    return _bind(binding, _answer(method, "exchange.bind-ok"))


def exchange_unbind(state: State, method: Method) -> list[Effect]:
    binding = _binding(state, method["source"], method)
    binding.exchange = method["destination"]
    return _unbind(binding, _answer(method, "exchange.unbind-ok"))


# -- queues


def queue_declare(state: State, method: Method) -> list[Effect]:
    host, name = state.virtual_host, method["queue"]
    if name == REPLY_TO:
        # As RabbitMQ: it is always there.
        answer = {"queue": name, "message_count": 0, "consumer_count": 1}
        return _answer(method, "queue.declare-ok", **answer)
    if method["passive"] or name.startswith(f"{REPLY_TO}."):
        return _look(state, method, state.queue_named(name))
    queue = message_pb2.MessageQueue(
        virtual_host=host,
        name=name,
        spec=message_pb2.MessageQueueSpec(
            exclusive=method["exclusive"],
            auto_delete=method["auto_delete"],
            durable=method["durable"],
        ),
    )
    queue.spec.arguments.MergeFrom(method["arguments"])
    return [
        Call(
            "CreateMessageQueue",
            pb.CreateMessageQueueRequest(message_queue=queue),
            lambda answer: _declared(state, method, answer),
            lambda error: _look(state, method, name) if _is_equivalent(error) else None,
            owner=method["exclusive"],
        )
    ]


def _look(state: State, method: Method, name: str) -> list[Effect]:
    asked = pb.GetMessageQueueRequest(virtual_host=state.virtual_host, name=name)
    return [Call("GetMessageQueue", asked, lambda answer: _declared(state, method, answer))]


def _is_equivalent(error: QuorateError) -> bool:
    """Whether a queue differs in arguments alone that RabbitMQ does not compare: those that it does
    not know. The cluster names any other difference before those."""
    kind, _, argument = error.metadata.get("field", "").partition(".")
    return (
        error.reason == "MESSAGE_QUEUE_DIFFERS"
        and kind == "arguments"
        and argument not in _COMPARED_ARGUMENTS
    )


def _declared(state: State, method: Method, answer: Any) -> list[Effect]:
    queue = answer.message_queue
    state.last_queue = queue.name
    if queue.owner_session:
        state.owned.add(queue.name)
    return _answer(
        method,
        "queue.declare-ok",
        queue=queue.name,
        message_count=_count(queue.ready),
        consumer_count=_count(queue.consumers),
    )


def queue_bind(state: State, method: Method) -> list[Effect]:
    binding = _queue_binding(state, method)
    return _bind(binding, _answer(method, "queue.bind-ok"))


def queue_unbind(state: State, method: Method) -> list[Effect]:
    return _unbind(_queue_binding(state, method), [say("queue.unbind-ok")])


def queue_purge(state: State, method: Method) -> list[Effect]:
    name = state.queue_named(method["queue"])
    asked = pb.PurgeMessageQueueRequest(virtual_host=state.virtual_host, name=name)

    def purged(answer: Any) -> list[Effect]:
        return _answer(method, "queue.purge-ok", message_count=_count(answer.messages))

    return [Call("PurgeMessageQueue", asked, purged)]


def queue_delete(state: State, method: Method) -> list[Effect]:
    name = state.queue_named(method["queue"])
    asked = pb.DeleteMessageQueueRequest(
        virtual_host=state.virtual_host,
        name=name,
        if_unused=method["if_unused"],
        if_empty=method["if_empty"],
    )

    def deleted(answer: Any) -> list[Effect]:
        state.owned.discard(name)
        return _answer(method, "queue.delete-ok", message_count=_count(answer.messages))

    gone = _unless_gone(_answer(method, "queue.delete-ok"), "MESSAGE_QUEUE_NOT_FOUND")
    return [Call("DeleteMessageQueue", asked, deleted, gone)]


# -- bindings


def _queue_binding(state: State, method: Method) -> message_pb2.Binding:
    binding = _binding(state, method["exchange"], method)
    binding.message_queue = state.queue_named(method["queue"])
    if not method["queue"] and not method["routing_key"]:
        # Both are left out: the key is the name, too.
        binding.routing_key = binding.message_queue
    return binding


def _binding(state: State, source: str, method: Method) -> message_pb2.Binding:
    binding = message_pb2.Binding(
        virtual_host=state.virtual_host, source=source, routing_key=method["routing_key"]
    )
    binding.arguments.MergeFrom(method["arguments"])
    return binding


def _bind(binding: message_pb2.Binding, answer: list[Effect]) -> list[Effect]:
    asked = pb.CreateBindingRequest(binding=binding)
    return [Call("CreateBinding", asked, lambda _: answer)]


def _unbind(binding: message_pb2.Binding, answer: list[Effect]) -> list[Effect]:
    gone = _unless_gone(answer, "MESSAGE_QUEUE_NOT_FOUND", "EXCHANGE_NOT_FOUND")
    asked = pb.DeleteBindingRequest(binding=binding)
    return [Call("DeleteBinding", asked, lambda _: answer, gone)]


def _count(messages: int) -> int:
    return min(max(messages, 0), _MOST_COUNT)
