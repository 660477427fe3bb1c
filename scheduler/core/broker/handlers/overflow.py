"""Queues that are too long lose their oldest ready messages: https://www.rabbitmq.com/docs/maxlength

Messages that consumers have do not count, nor those that they take at once: what became ready is
delivered first, as in RabbitMQ. Lower priorities go first. Streams lose what is old or
too much, chunk by chunk: https://www.rabbitmq.com/docs/streams#retention
"""

from __future__ import annotations

from itertools import islice
from math import inf
from typing import NamedTuple

from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.dead_letters import bury
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import Overflow, QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.places import SubLogName, of_priority

# Of timers: the oldest chunk of a stream becomes too old.
AGE = "age"


class OverflowDue(NamedTuple):
    """More messages of a queue that is too long."""

    uid: QueueUid


def on_overflow_due(
    state: BrokerState, limits: BrokerLimits, event: OverflowDue, now: float, out: BrokerEffects
) -> None:
    queue = state.queues.get(event.uid)
    if queue is not None:
        queue.is_overflowing = False
        shorten(state, limits, queue, now, out)


def shorten(
    state: BrokerState, limits: BrokerLimits, queue: MessageQueue, now: float, out: BrokerEffects
) -> None:
    """Drop what is beyond the limits of a queue; what one step does not take follows."""
    spec = queue.row.spec
    if queue.is_stream:
        _trim(state, queue, now, out)
        return
    if not (spec.max_length or spec.max_length_bytes or spec.no_backlog):
        return
    if queue.is_overflowing or spec.overflow is not Overflow.DROP_HEAD:
        return
    if state.consuming.waits(queue.row.uid, now):
        # Under a new leader consumers have some of what looks ready: those do not count.
        return
    surplus = _surplus(queue)
    if not surplus or _taken_soon(state, queue, now):
        return
    places: list[tuple[SubLogName, int, int]] = []
    most = min(surplus, limits.step_messages)
    for priority in sorted(queue.lanes):
        ready = islice(queue.lanes[priority].ready_sequences(), most - len(places))
        places += [(of_priority(priority), first, sequence) for first, sequence in ready]
    buried = bury(state, limits, queue, places, Reason.MAXLEN, now, out)
    for sub_log, _, _ in places[: buried.done]:
        queue.lane(sub_log).sweep()
    if buried.done < surplus:
        queue.is_overflowing = True
        if buried.missing is None:
            out.then.append(OverflowDue(queue.row.uid))
        else:
            state.load(queue, buried.missing, out, OverflowDue(queue.row.uid))


def age_due(
    state: BrokerState, _limits: BrokerLimits, uid: str, now: float, out: BrokerEffects
) -> None:
    """A chunk of a stream may be too old."""
    queue = state.queues.get(QueueUid(uid))
    if queue is not None:
        _trim(state, queue, now, out)


def _taken_soon(state: BrokerState, queue: MessageQueue, now: float) -> bool:
    """Consumers will take messages: one acknowledges automatically and waits for its commit. Where
    no message may wait for them: or one begins, or is on its way to a new leader."""
    served = state.consuming.served.get(queue.row.uid)
    if served is None:
        return False
    if served.committing or not queue.row.spec.no_backlog:
        return bool(served.committing)
    if served.awaited and now < served.reattach_at:
        return True
    return any(not consumer.ready for consumer in served.consumers)


def _surplus(queue: MessageQueue) -> int:
    """How many messages are to go."""
    spec, ready = queue.row.spec, queue.ready
    if spec.no_backlog:
        return ready
    surplus = max(0, ready - spec.max_length) if spec.max_length else 0
    size = queue.ready_bytes
    if spec.max_length_bytes and size > spec.max_length_bytes:
        # Their usual size decides how many: at least one.
        beyond = size - spec.max_length_bytes
        surplus = max(surplus, min(ready, -(-beyond * ready // size)))
    return surplus


def _trim(state: BrokerState, queue: MessageQueue, now: float, out: BrokerEffects) -> None:
    spec = queue.row.spec
    if spec.max_age == inf and not spec.max_length_bytes:
        return
    before = now - spec.max_age if spec.max_age != inf else -inf
    out.writes += queue.trim(before, spec.max_length_bytes or 1 << 62, now)
    chunks = queue.of_priority(0).log.chunks
    due = inf
    if len(chunks) > 1 and spec.max_age != inf:
        # Not more often than each second.
        due = max(chunks.at(0).latest + spec.max_age, now + 1.0)
    state.timers.put((AGE, queue.row.uid), due)
