"""What consumers need before they get anything: to be allowed, and that their session's record
names the queue, so that the next leader waits for them."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from quorate.runtime.errors import QuorateError, exhausted, invalid, not_found, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker.consuming.bounds import (
    CONSUMERS,
    MOST_NAME_BYTES,
    MOST_PREFETCH,
    MOST_PRIORITY,
    SESSION_CONSUMERS,
    SESSION_QUEUES,
)
from scheduler.core.broker.consuming.served import Served
from scheduler.core.broker.consuming.sessions import Consumer, Session
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.routing.fields import lookup
from scheduler.core.broker.rows import SessionId, SubscribeSpec
from scheduler.core.broker.state import BrokerState

# Of a consumer, milliseconds; overrules that of its queue.
TIMEOUT_ARGUMENT = "x-consumer-timeout"


def session_of(state: BrokerState, id: SessionId) -> Session:
    """An open session. Raises NOT_FOUND."""
    session: Session | None = state.consuming.sessions.get(id)
    if session is None or not session.present:
        raise not_found("session", id)
    return session


def check_spec(session: Session, spec: SubscribeSpec, total: int) -> None:
    """What a client asks for, whatever the queue. Raises INVALID_ARGUMENT, RESOURCE_EXHAUSTED."""
    if spec.consumer < 1:
        raise invalid("consumer", f"is {spec.consumer}; numbers begin with 1")
    if spec.consumer in session.consumers or spec.consumer in session.replies:
        raise invalid(
            "consumer",
            f"{spec.consumer} is used already; each number may be used once in a session",
            reason="CONSUMER_EXISTS",
        )
    if len(spec.name.encode(errors="surrogatepass")) > MOST_NAME_BYTES:
        raise invalid("name", f"is longer than {MOST_NAME_BYTES} bytes", limit=MOST_NAME_BYTES)
    check_prefetch(spec.prefetch)
    if not -MOST_PRIORITY - 1 <= spec.priority <= MOST_PRIORITY:
        raise invalid(
            "priority",
            f"is {spec.priority}; it is from {-MOST_PRIORITY - 1} to {MOST_PRIORITY}",
            limit=MOST_PRIORITY,
        )
    _argument_timeout(spec)
    if len(session.consumers) + len(session.replies) >= SESSION_CONSUMERS:
        raise exhausted(
            "TOO_MANY_CONSUMERS",
            f"the session has {SESSION_CONSUMERS} consumers, the most there may be",
            limit=SESSION_CONSUMERS,
        )
    if total >= CONSUMERS:
        raise exhausted(
            "TOO_MANY_CONSUMERS",
            f"the cluster has {CONSUMERS} consumers, the most there may be",
            limit=CONSUMERS,
        )


def check_prefetch(prefetch: int) -> None:
    """A limit of unsettled deliveries. Raises INVALID_ARGUMENT."""
    if not 0 <= prefetch <= MOST_PREFETCH:
        raise invalid(
            "prefetch", f"is {prefetch}; it is from 0 to {MOST_PREFETCH}", limit=MOST_PREFETCH
        )


def check_queue(queue: MessageQueue, served: Served | None, spec: SubscribeSpec) -> None:
    """Whether a queue takes the consumer. Raises FAILED_PRECONDITION.

    https://www.rabbitmq.com/docs/consumers#exclusivity
    """
    name = queue.row.name
    if spec.exclusive and queue.row.spec.single_active_consumer:
        raise precondition(
            "EXCLUSIVE_WITH_SINGLE_ACTIVE",
            f"message queue {name!r} has a single active consumer; none can be exclusive",
            message_queue=name,
        )
    if served is None:
        return
    if served.exclusive is not None:
        raise in_exclusive_use(name)
    if spec.exclusive and served.consumers:
        raise precondition(
            "MESSAGE_QUEUE_HAS_CONSUMERS",
            f"message queue {name!r} has {len(served.consumers)} consumers; "
            "an exclusive one has to be the only one",
            message_queue=name,
        )


def in_exclusive_use(name: str) -> QuorateError:
    """Another consumer has the queue for itself."""
    return precondition(
        "MESSAGE_QUEUE_IN_EXCLUSIVE_USE",
        f"message queue {name!r} has an exclusive consumer",
        message_queue=name,
    )


def deleted(name: str) -> QuorateError:
    """The queue went while somebody waited."""
    return not_found("message_queue", name)


def name_queue(
    state: BrokerState, session: Session, queue: MessageQueue, out: BrokerEffects
) -> None:
    """Have the session's record name a queue. Raises RESOURCE_EXHAUSTED."""
    uid, row = queue.row.uid, session.row
    if uid in row.queues:
        return
    queues = [*row.queues, uid]
    if len(queues) > SESSION_QUEUES:
        # Those that it had to do with earlier.
        used = {consumer.uid for consumer in session.all_consumers()}
        queues = [one for one in queues if one in used or one == uid]
    if len(queues) > SESSION_QUEUES:
        raise exhausted(
            "TOO_MANY_SESSION_QUEUES",
            f"the session consumes from {SESSION_QUEUES} message queues, the most there may be",
            limit=SESSION_QUEUES,
        )
    session.recorded = {one: None for one in session.recorded if one in queues}
    session.row = state.sessions[session.id] = replace(row, queues=tuple(sorted(queues)))
    for place, write in enumerate(out.writes):
        if type(write) is fx.PutSession and write.row.id == session.id:
            # One write of a key in a step.
            out.writes[place] = fx.PutSession(session.row)
            return
    out.writes.append(fx.PutSession(session.row))


def new_consumer(
    state: BrokerState, session: Session, queue: MessageQueue, served: Served, spec: SubscribeSpec
) -> Consumer:
    """A consumer, which nobody knows yet. Deliveries of streams do not time out."""
    timeout = _argument_timeout(spec)
    if timeout is None:
        timeout = queue.row.spec.consumer_timeout or inf
    if queue.is_stream:
        timeout = inf
    order = state.consuming.order()
    return Consumer(session, spec, queue.row.uid, served.tally, order, timeout)


def _argument_timeout(spec: SubscribeSpec) -> float | None:
    """Seconds; None: it has no such argument. Raises INVALID_ARGUMENT.

    https://www.rabbitmq.com/docs/quorum-queues#consumer-timeout
    """
    value = lookup(spec.arguments, TIMEOUT_ARGUMENT)
    if value is None:
        return None
    number = value.scalar
    if isinstance(number, bool) or not isinstance(number, int) or number <= 0:
        raise invalid("arguments", f"{TIMEOUT_ARGUMENT!r} is a number of milliseconds above 0")
    return number / 1_000
