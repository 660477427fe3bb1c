"""Methods of consumers: qos, consume, cancel, get, ack, nack, reject, recover.

| method | outcome | counts as delivered in vain |
|---|---|---|
| ack | ACK | |
| nack with requeue, recover | NACK | no |
| reject with requeue | REQUEUE | yes |
| nack and reject without requeue | REJECT: to the dead letter exchange | |

https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
"""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.amqp.protocol.effects import (
    Cancel,
    Consumer,
    Effect,
    Fetch,
    Limit,
    Subscribe,
    say,
)
from gateway.amqp.protocol.limits import MOST_CONSUMERS
from gateway.amqp.protocol.state import State
from gateway.amqp.protocol.unsettled import settles
from gateway.amqp.wire import frames, properties
from gateway.amqp.wire.methods import Method
from gateway.amqp.wire.replies import AmqpError, Reply
from quorate.internal.v1 import broker_wire_pb2 as wire
from quorate.v1 import broker_pb2 as pb
from quorate.v1 import message_pb2

# https://www.rabbitmq.com/docs/direct-reply-to
REPLY_TO: Final = "amq.rabbitmq.reply-to"
_MOST_PRIORITY: Final = 127
_AGO: Final = re.compile(r"([0-9]{1,9})([YMDhms])")
_SECONDS: Final = {"Y": 31_536_000, "M": 2_592_000, "D": 86_400, "h": 3_600, "m": 60, "s": 1}


def qos(state: State, method: Method) -> list[Effect]:
    if method["prefetch_size"]:
        text = f"prefetch_size!=0 ({method['prefetch_size']})"
        raise AmqpError(Reply.NOT_IMPLEMENTED, text, method.id)
    count = method["prefetch_count"]
    found: list[Effect] = []
    if method["global"] or state.shared_prefetch:
        state.limit = count
        found.append(Limit(count))
    else:
        # As in RabbitMQ: of consumers that begin from now on, each for itself.
        state.prefetch = count
    return [*found, say("basic.qos-ok")]


def consume(state: State, method: Method) -> list[Effect]:
    tag = method["consumer_tag"]
    if not tag:
        tag = next(
            name
            for name in (f"amq.ctag-{state.number}.{one}" for one in state.tags)
            if name not in state.consumers
        )
    elif tag in state.consumers:
        text = f"attempt to reuse consumer tag '{tag}'"
        raise AmqpError(Reply.NOT_ALLOWED, text, method.id)
    if len(state.consumers) >= MOST_CONSUMERS:
        text = f"a channel has at most {MOST_CONSUMERS} consumers"
        raise AmqpError(Reply.NOT_ALLOWED, text, method.id)
    if method["queue"] == REPLY_TO:
        return _consume_replies(state, method, tag)
    return _subscribe(state, method, tag, state.queue_named(method["queue"]))


def _subscribe(state: State, method: Method, tag: str, queue: str) -> list[Effect]:
    arguments = method["arguments"]
    consumer = Consumer(
        tag=tag,
        number=next(state.numbers),
        queue=queue,
        automatic_ack=method["no_ack"],
        exclusive=method["exclusive"],
        priority=_priority(arguments, method),
        prefetch=0 if method["no_ack"] else state.prefetch,
        arguments=arguments,
        owned=queue in state.owned,
        no_wait=method["no_wait"],
    )
    state.consumers[tag] = consumer
    return [Subscribe(consumer)]


def _consume_replies(state: State, method: Method, tag: str) -> list[Effect]:
    """Answers come directly: they are in no queue."""
    if not method["no_ack"]:
        text = "reply consumer cannot acknowledge"
        raise AmqpError(Reply.PRECONDITION_FAILED, text, method.id)
    if state.replies_to:
        text = "reply consumer already set"
        raise AmqpError(Reply.PRECONDITION_FAILED, text, method.id)
    return _subscribe(state, method, tag, REPLY_TO)


def look_at(consumer: Consumer, spec: message_pb2.MessageQueueSpec, now: float) -> None:
    """What the queue of a consumer is. `now`: seconds since 1970. Raises AmqpError 406."""
    consumer.stream = spec.type == message_pb2.MESSAGE_QUEUE_TYPE_STREAM
    consumer.single_active = spec.single_active_consumer
    if consumer.stream:
        # Here, not in the stream of the session: it is this channel's mistake.
        position(consumer.arguments, now)


def subscribed(state: State, consumer: Consumer) -> list[Effect]:
    """The cluster has a consumer."""
    if consumer.queue == REPLY_TO:
        state.replies_to = consumer.address
    return [] if consumer.no_wait else [say("basic.consume-ok", consumer_tag=consumer.tag)]


def _priority(arguments: Any, method: Method) -> int:
    """https://www.rabbitmq.com/docs/consumer-priority"""
    if "x-priority" not in arguments:
        return 0
    value = arguments["x-priority"]
    if value.WhichOneof("value") != "integer":
        text = "invalid arg 'x-priority': it is no integer"
        raise AmqpError(Reply.PRECONDITION_FAILED, text, method.id)
    return max(-_MOST_PRIORITY - 1, min(int(value.integer), _MOST_PRIORITY))


def position(arguments: Any, now: float) -> pb.StreamPosition:
    """Where a consumer of a stream begins. `now`: seconds since 1970.

    https://www.rabbitmq.com/docs/streams#consuming. Raises AmqpError 406.
    """
    found = pb.StreamPosition()
    if "x-stream-offset" not in arguments:
        found.next = True
        return found
    value = arguments["x-stream-offset"]
    match value.WhichOneof("value"):
        case "integer" if value.integer >= 0:
            found.offset = value.integer
        case "timestamp":
            found.time.seconds = value.timestamp.seconds
        case "text" if value.text in ("first", "last", "next"):
            setattr(found, value.text, True)
        case "text" if ago := _AGO.fullmatch(value.text):
            found.time.seconds = max(0, int(now) - int(ago[1]) * _SECONDS[ago[2]])
        case _:
            text = "invalid arg 'x-stream-offset': use first, last, next, an offset or a time"
            raise AmqpError(Reply.PRECONDITION_FAILED, text, (60, 20))
    return found


def cancel(state: State, method: Method) -> list[Effect]:
    consumer = state.consumers.get(method["consumer_tag"])
    if consumer is not None:
        return [Cancel(consumer, method["no_wait"])]
    if method["no_wait"]:
        return []
    return [say("basic.cancel-ok", consumer_tag=method["consumer_tag"])]


def forget(state: State, consumer: Consumer) -> None:
    """A consumer is gone."""
    if state.consumers.get(consumer.tag) is consumer:
        del state.consumers[consumer.tag]
    if consumer.queue == REPLY_TO:
        state.replies_to = ""


def get(state: State, method: Method) -> list[Effect]:
    queue = state.queue_named(method["queue"])
    return [Fetch(queue, queue in state.owned, method["no_ack"])]


# -- settling


def ack(state: State, tag: int, *, multiple: bool) -> list[Effect]:
    return _settle(state, tag, multiple=multiple, outcome=pb.OUTCOME_ACK)


def nack(state: State, method: Method) -> list[Effect]:
    outcome = pb.OUTCOME_NACK if method["requeue"] else pb.OUTCOME_REJECT
    return _settle(state, method["delivery_tag"], multiple=method["multiple"], outcome=outcome)


def reject(state: State, method: Method) -> list[Effect]:
    outcome = pb.OUTCOME_REQUEUE if method["requeue"] else pb.OUTCOME_REJECT
    return _settle(state, method["delivery_tag"], multiple=False, outcome=outcome)


def _settle(state: State, tag: int, *, multiple: bool, outcome: int) -> list[Effect]:
    if state.transacts:
        state.claims.add(state.unsettled, tag, multiple=multiple, outcome=outcome)
        return []
    return [*settles(state.unsettled.take(tag, multiple=multiple), outcome)]


def recover(state: State, method: Method) -> list[Effect]:
    if not method["requeue"]:
        raise AmqpError(Reply.NOT_IMPLEMENTED, "requeue=false", method.id)
    found: list[Effect] = [*settles(state.claims.recover(state.unsettled), pb.OUTCOME_NACK)]
    return found if method.name == "basic.recover-async" else [*found, say("basic.recover-ok")]


# -- out


def deliver(state: State, consumer: Consumer, found: wire.DeliveriesEnvelope) -> bytes:
    """Deliveries of a consumer as frames."""
    writer = frames.Consumer(state.number, consumer.tag, state.frame_max)
    consumer.active = True
    parts = []
    for one in found.deliveries:
        message = wire.MessageEnvelope.FromString(one.message)
        offset = None
        if consumer.stream:
            offset, consumer.offset = one.id, one.id + 1
        unsettled = state.unsettled
        tag = (
            unsettled.next_tag()
            if consumer.automatic_ack
            else unsettled.put(consumer.source, one.id)
        )
        parts.append(
            writer.deliver(
                tag,
                redelivered=one.redelivered,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=properties.written(message.properties, one.failed_deliveries, offset),
                body=message.body,
            )
        )
    return b"".join(parts)


def fetched(state: State, fetch: Fetch, found: pb.Fetched) -> bytes:
    """The answer to basic.get."""
    if not found.HasField("delivery"):
        return frames.method(state.number, "basic.get-empty")
    one = found.delivery
    message = wire.MessageEnvelope.FromString(one.message.SerializeToString())
    unsettled = state.unsettled
    tag = unsettled.next_tag() if fetch.automatic_ack else unsettled.put(fetch.source, one.id)
    answer = frames.method(
        state.number,
        "basic.get-ok",
        delivery_tag=tag,
        redelivered=one.redelivered,
        exchange=message.exchange,
        routing_key=message.routing_key,
        message_count=min(max(found.ready, 0), (1 << 32) - 1),
    )
    written = properties.written(message.properties, one.failed_deliveries)
    return answer + frames.content(state.number, written, message.body, state.frame_max)
