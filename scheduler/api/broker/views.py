"""Exchanges, bindings, message queues and messages as callers see them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from quorate.v1 import broker_pb2
from quorate.v1 import message_pb2 as pb
from scheduler.api.broker.arguments import spec_view, table_view
from scheduler.api.views import instant
from scheduler.core.broker.answers import QueueAnswer
from scheduler.core.broker.consuming.served import Served
from scheduler.core.broker.effects import Delivery
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.routing.rows import Binding, DestinationKind, Exchange, ExchangeType
from scheduler.core.broker.rows import MessageQueueRow

EXCHANGE_TYPES: Final = {
    pb.EXCHANGE_TYPE_DIRECT: ExchangeType.DIRECT,
    pb.EXCHANGE_TYPE_FANOUT: ExchangeType.FANOUT,
    pb.EXCHANGE_TYPE_TOPIC: ExchangeType.TOPIC,
    pb.EXCHANGE_TYPE_HEADERS: ExchangeType.HEADERS,
    pb.EXCHANGE_TYPE_CONSISTENT_HASH: ExchangeType.CONSISTENT_HASH,
}
# Of one message queue, that are listed.
MOST_CONSUMERS: Final = 100
_TYPES: Final = {kind: number for number, kind in EXCHANGE_TYPES.items()}


def exchange(row: Exchange, bindings: int = 0) -> pb.Exchange:
    """An exchange as it was declared. `bindings`: of which it is the source."""
    return pb.Exchange(
        virtual_host=row.virtual_host,
        name=row.name,
        type=_TYPES[row.type],
        auto_delete=row.auto_delete,
        internal=row.internal,
        durable=row.durable,
        arguments=table_view(row.arguments),
        create_time=instant(row.create_time) if row.create_time else None,
        bindings=bindings,
    )


def binding(row: Binding) -> pb.Binding:
    """A binding as it was declared."""
    view = pb.Binding(
        virtual_host=row.virtual_host,
        source=row.source,
        routing_key=row.key.decode(errors="backslashreplace"),
        arguments=table_view(row.arguments),
    )
    if row.destination.kind is DestinationKind.QUEUE:
        view.message_queue = row.destination.name
    elif row.destination.kind is DestinationKind.TASK_QUEUE:
        view.task_queue = row.destination.name
    else:
        view.exchange = row.destination.name
    return view


def declared(answer: QueueAnswer) -> pb.MessageQueue:
    """A message queue as the answer to its declaration has it."""
    view = _row(answer.row)
    view.ready, view.unacknowledged = answer.ready, answer.unacknowledged
    view.delayed, view.consumers = answer.delayed, answer.consumers
    return view


def message_queue(queue: MessageQueue, served: Served | None) -> pb.MessageQueue:
    """A message queue with all its counts. `served`: its consumers, if there are any."""
    view = _row(queue.row)
    if queue.oldest:
        view.oldest_time.CopyFrom(instant(queue.oldest))
    if served is not None and served.active is not None:
        spec = served.active.spec
        view.active_consumer = spec.name or str(spec.consumer)
    view.ready, view.unacknowledged = queue.ready, queue.unacknowledged
    view.delayed, view.consumers = queue.waiting_for_due, queue.consumers
    view.bytes = queue.size
    view.published_total, view.delivered_total = queue.published, queue.delivered
    view.acknowledged_total = queue.acknowledged
    view.dead_lettered_total, view.dropped_total = queue.dead_lettered, queue.dropped
    view.redelivered_total = queue.redelivered
    if queue.is_stream:
        view.first_offset, view.next_offset = queue.first_offset, queue.next_offset
    return view


def consumers(served: Served | None) -> list[broker_pb2.MessageQueueConsumer]:
    """The first `MOST_CONSUMERS` consumers of a message queue, in the order of subscription."""
    if served is None:
        return []
    return [
        broker_pb2.MessageQueueConsumer(
            consumer=one.spec.consumer,
            name=one.spec.name,
            prefetch=one.prefetch,
            automatic_ack=one.spec.automatic_ack,
            exclusive=one.spec.exclusive,
            priority=one.spec.priority,
            active=not served.single or one is served.active,
            unacknowledged=len(one.unsettled),
        )
        for one in islice(served.consumers, MOST_CONSUMERS)
    ]


def _row(row: MessageQueueRow) -> pb.MessageQueue:
    view = pb.MessageQueue(
        virtual_host=row.virtual_host,
        name=row.name,
        spec=spec_view(row.declared),
        uid=row.uid,
        create_time=instant(row.create_time),
        owner_session=row.owner,
    )
    if row.policy is not None:
        view.policy, view.operator_policy = row.policy.policy, row.policy.operator
        view.effective_spec.CopyFrom(spec_view(row.spec))
    return view


def deliveries(found: Iterable[Delivery], queue: str) -> list[pb.Delivery]:
    """Messages of a queue, with its name."""
    return [delivery(one, queue) for one in found]


def delivery(one: Delivery, queue: str = "") -> pb.Delivery:
    """A message on its way to who takes it."""
    return pb.Delivery(
        id=one.id,
        redelivered=one.redelivered,
        failed_deliveries=one.failed,
        message=pb.Message.FromString(one.payload),
        publish_time=instant(one.instant),
        queue=queue,
    )
