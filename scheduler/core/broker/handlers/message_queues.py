"""Message queues: declared, deleted, gone with their session, their last consumer, or unused.

declared --> exists -- deleted, or the session of an exclusive one is gone,
                       or the last consumer of an auto-delete one,
                       or nobody used it for `expires` --> gone, with its bindings and messages
"""

from __future__ import annotations

from math import inf

from quorate.runtime.errors import exhausted, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import Count, QueueAnswer
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import topology
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues import checks
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.routing import checks as routing_checks
from scheduler.core.broker.routing.rows import Destination, DestinationKind
from scheduler.core.broker.rows import NO_SESSION, MessageQueueRow, QueueUid, SessionId
from scheduler.core.broker.state import BrokerState

# Of timers: the queue is to be looked at for being unused.
UNUSED = "unused"


def on_message_queue_declared(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.MessageQueueDeclared,
    now: float,
    out: BrokerEffects,
) -> None:
    host = state.router.host(event.virtual_host)
    queue = state.find_queue(host.name, event.name)
    if queue is not None:
        checks.owner(queue.row, event.session)
        checks.same(queue.row, event.spec)
        used(state, queue, now)
        out.after.append(fx.Reply(event.token, answer(queue)))
        return
    routing_checks.name("name", event.name)
    checks.spec(event.spec)
    if len(state.queues) >= limits.queues:
        raise exhausted(
            "TOO_MANY_MESSAGE_QUEUES",
            f"there are {len(state.queues)} message queues, the most is {limits.queues}; "
            "delete some",
            limit=limits.queues,
        )
    owner = NO_SESSION
    if event.spec.exclusive:
        if event.session not in state.sessions:
            raise precondition(
                "SESSION_NOT_FOUND",
                "an exclusive message queue belongs to an open session; open one with Consume",
                field="session",
            )
        owner = event.session
    row = MessageQueueRow(event.uid, host.name, event.name, event.spec, now, owner)
    row = state.policies.applied(row)
    queue = state.put_queue(row)
    state.consuming.own(row)
    queue.lead(now)
    used(state, queue, now)
    out.writes.append(fx.PutMessageQueue(row))
    out.after.append(fx.Reply(event.token, answer(queue)._replace(created=True)))


def on_message_queue_delete_asked(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.MessageQueueDeleteAsked,
    now: float,
    out: BrokerEffects,
) -> None:
    queue = used_by(state, event.virtual_host, event.name, event.session)
    if event.if_unused and queue.consumers:
        raise precondition(
            "MESSAGE_QUEUE_IN_USE",
            f"message queue {event.name!r} has {queue.consumers} consumers",
            message_queue=event.name,
        )
    waiting = queue.ready + queue.waiting_for_due + queue.in_flight
    if event.if_empty and waiting:
        raise precondition(
            "MESSAGE_QUEUE_NOT_EMPTY",
            f"message queue {event.name!r} has {waiting} messages that wait",
            message_queue=event.name,
        )
    dropped = e.QueueDropped(queue.row.uid, event.token, waiting + queue.unacknowledged)
    on_queue_dropped(state, limits, dropped, now, out)


def on_queue_dropped(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.QueueDropped,
    _now: float,
    out: BrokerEffects,
) -> None:
    queue = state.queues.get(event.uid)
    if queue is not None:
        row = queue.row
        host = state.router.host(row.virtual_host)
        bindings = list(host.bindings_to(Destination(DestinationKind.QUEUE, row.name)))
        if topology.unbind_some(state, limits, bindings, out):
            out.then.append(event)
            return
        topology.written(state.router.remove_queue(row.virtual_host, row.name), out)
        queue.release_bodies()
        state.drop_queue(row.uid)
        state.timers.put((UNUSED, row.uid), inf)
        state.gone.append(queue)
        out.writes.append(fx.DropMessageQueue(row.uid))
    if event.token is not None:
        out.after.append(fx.Reply(event.token, Count(event.messages)))


def consumer_left(state: BrokerState, queue: MessageQueue, now: float, out: BrokerEffects) -> None:
    """A consumer of a queue went, and is counted no more: an auto-delete queue goes with its last.

    https://www.rabbitmq.com/docs/queues#temporary-queues
    """
    if queue.row.spec.auto_delete and not queue.consumers:
        out.then.append(e.QueueDropped(queue.row.uid))
    used(state, queue, now)


def used(state: BrokerState, queue: MessageQueue, now: float) -> None:
    """A queue is used: by a declaration, a consumer, or who takes single messages.

    https://www.rabbitmq.com/docs/ttl#queue-ttl
    """
    queue.last_used = now
    if queue.row.spec.expires != inf:
        state.timers.put((UNUSED, queue.row.uid), now + queue.row.spec.expires)


def unused_due(
    state: BrokerState, _limits: BrokerLimits, uid: str, now: float, out: BrokerEffects
) -> None:
    """A queue may have been unused for so long that it goes."""
    queue = state.queues.get(QueueUid(uid))
    if queue is None:
        return
    due = queue.last_used + queue.row.spec.expires
    if queue.consumers:
        due = now + queue.row.spec.expires
    if due <= now:
        out.then.append(e.QueueDropped(queue.row.uid))
    else:
        state.timers.put((UNUSED, uid), due)


def used_by(state: BrokerState, virtual_host: str, name: str, session: SessionId) -> MessageQueue:
    """A queue that this session may use. Raises NOT_FOUND, FAILED_PRECONDITION."""
    state.router.host(virtual_host)
    queue = state.queue(virtual_host, name)
    checks.owner(queue.row, session)
    return queue


def answer(queue: MessageQueue) -> QueueAnswer:
    """A queue and its counts, as callers get them."""
    return QueueAnswer(
        queue.row, queue.ready, queue.unacknowledged, queue.waiting_for_due, queue.consumers
    )
