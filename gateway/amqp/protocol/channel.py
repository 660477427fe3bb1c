"""One channel: methods in, effects out. See `effects`.

Whoever runs it does the effects of one method before the next one is looked at; deliveries and
confirms come at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.amqp.protocol import consuming, publishing, topology
from gateway.amqp.protocol import events as e
from gateway.amqp.protocol.effects import Effect, say
from gateway.amqp.protocol.state import State
from gateway.amqp.wire.buffers import Malformed
from gateway.amqp.wire.methods import Method
from gateway.amqp.wire.replies import AmqpError, Reply


def _flow(state: State, method: Method) -> list[Effect]:
    """https://www.rabbitmq.com/docs/specification#rules: what a client does not want to have, it
    does not read."""
    if not method["active"]:
        raise AmqpError(Reply.NOT_IMPLEMENTED, "active=false", method.id)
    return [say("channel.flow-ok", active=True)]


_METHODS: Final[dict[str, Callable[[State, Method], list[Effect]]]] = {
    "channel.flow": _flow,
    "exchange.declare": topology.exchange_declare,
    "exchange.delete": topology.exchange_delete,
    "exchange.bind": topology.exchange_bind,
    "exchange.unbind": topology.exchange_unbind,
    "queue.declare": topology.queue_declare,
    "queue.bind": topology.queue_bind,
    "queue.unbind": topology.queue_unbind,
    "queue.purge": topology.queue_purge,
    "queue.delete": topology.queue_delete,
    "basic.qos": consuming.qos,
    "basic.consume": consuming.consume,
    "basic.cancel": consuming.cancel,
    "basic.get": consuming.get,
    "basic.nack": consuming.nack,
    "basic.reject": consuming.reject,
    "basic.recover": consuming.recover,
    "basic.recover-async": consuming.recover,
    "confirm.select": publishing.confirm_select,
    "tx.select": publishing.tx_select,
    "tx.commit": publishing.tx_commit,
    "tx.rollback": publishing.tx_rollback,
}
# Answers to what the broker sends.
_ANSWERS: Final = frozenset(("basic.cancel-ok", "channel.flow-ok"))


def handle(state: State, event: e.MethodCame | e.Acked | e.Published) -> list[Effect]:
    """What follows from what the client sent. Raises AmqpError that names the method."""
    try:
        return _handle(state, event)
    except Malformed as error:
        raise AmqpError(Reply.SYNTAX_ERROR, str(error), method_of(event)) from None
    except AmqpError as error:
        if error.method == (0, 0):
            error.method = method_of(event)
        raise


def method_of(event: e.MethodCame | e.Acked | e.Published) -> tuple[int, int]:
    """Class and method id of what the client sent."""
    match event:
        case e.Published():
            return 60, 40
        case e.Acked():
            return 60, 80
        case _:
            return event.method.id


def _handle(state: State, event: e.MethodCame | e.Acked | e.Published) -> list[Effect]:
    match event:
        case e.Published():
            return publishing.publish(state, event)
        case e.Acked():
            return consuming.ack(state, event.tag, multiple=event.multiple)
    method = event.method
    handler = _METHODS.get(method.name)
    if handler is not None:
        return handler(state, method)
    if method.name in _ANSWERS:
        return []
    text = f"a client does not send {method.name}"
    raise AmqpError(Reply.COMMAND_INVALID, text, method.id)
