"""Dead letters: rejected, expired, dropped from a full queue, or delivered in vain too often.

The copies and the removal are one commit, so nothing is lost in between and nothing is there twice:
at-least-once dead lettering, https://www.rabbitmq.com/docs/quorum-queues#dead-lettering. Copies go
into a queue even if that refuses publications because it is full; also into a task queue, where it
becomes a task of nobody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.effects import After, BrokerEffects
from scheduler.core.broker.handlers.placing import Copy, Placing, Target, TaskQueue
from scheduler.core.broker.intake import Asked, Prepared
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason, dead_letter, is_cycle
from scheduler.core.broker.queues.ids import split_id
from scheduler.core.broker.queues.queue import MessageQueue, Missing
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import Message
from scheduler.core.broker.storage.places import SubLogName, of_priority


class Buried(NamedTuple):
    """What `bury` came to.

    Attributes:
        done: how many of the messages are removed, from the first on.
        missing: the chunk that is needed to go on; None: the step is full, or all are done.
    """

    done: int
    missing: Missing | None = None


class DeadLetterAsked(NamedTuple):
    """Dead letter messages that are out, by delivery id, then do `after`. In parts."""

    uid: QueueUid
    deliveries: tuple[int, ...]
    reason: Reason
    after: tuple[After, ...] = ()


def on_dead_letter_asked(
    state: BrokerState,
    limits: BrokerLimits,
    event: DeadLetterAsked,
    now: float,
    out: BrokerEffects,
) -> None:
    """Reject deliveries, or give them up. `after` is done when the last of them is durable.

    Nobody else may settle them meanwhile: they stay out.
    """
    queue = state.queues.get(event.uid)
    places: list[tuple[SubLogName, int, int]] = []
    if queue is not None:
        for delivery in event.deliveries:
            priority, sequence = split_id(delivery)
            first = queue.lanes[priority].log.find(sequence) if priority in queue.lanes else -1
            if first >= 0:
                places.append((of_priority(priority), first, sequence))
        # In one step each sub-log is changed once: parts are in the order of sub-logs.
        places.sort()
        buried = bury(state, limits, queue, places, event.reason, now, out)
        if buried.done < len(places):
            following = {(sub_log, sequence) for sub_log, _, sequence in places[buried.done :]}
            left: list[int] = []
            for delivery in event.deliveries:
                priority, sequence = split_id(delivery)
                if (of_priority(priority), sequence) in following:
                    left.append(delivery)
            event = event._replace(deliveries=tuple(left))
            if buried.missing is None:
                out.then.append(event)
            else:
                state.load(queue, buried.missing, out, event)
            return
    out.after += event.after


def bury(
    state: BrokerState,
    limits: BrokerLimits,
    queue: MessageQueue,
    places: Sequence[tuple[SubLogName, int, int]],
    reason: Reason,
    now: float,
    out: BrokerEffects,
) -> Buried:
    """Remove messages, with copies to the dead letter exchange if the queue has one.

    Args:
        places: (sub-log, first sequence of the chunk, sequence), at most `limits.step_messages`
            of them are done. No other change of these sub-logs may be in the same step.
    """
    places = places[: limits.step_messages]
    missing = None
    done = len(places)
    copied = queue.row.spec.dead_letter_exchange is not None
    if copied:
        placing = Placing(limits)
        for number, (sub_log, first, sequence) in enumerate(places):
            messages = queue.chunk(sub_log, first)
            if messages is None:
                done, missing = number, Missing(sub_log, first)
                break
            message = messages.get(sequence)
            if message is None:
                # A later version wrote it: its copy cannot be made. It goes without.
                continue
            if not _copy(state, queue, message, reason, placing, now):
                done = number
                break
        placing.flush(out)
    by_sub_log: dict[SubLogName, list[int]] = {}
    for sub_log, _, sequence in places[:done]:
        by_sub_log.setdefault(sub_log, []).append(sequence)
    for sub_log, sequences in by_sub_log.items():
        out.writes += queue.remove(sub_log, sequences, now)
    queue.count_dead(done, reason)
    return Buried(done, missing)


def to_dead_letter_exchange(
    state: BrokerState,
    queue: MessageQueue,
    payload: bytes,
    reason: Reason,
    instant: float,
    now: float,
) -> list[tuple[Target, Copy]]:
    """Where a message goes that dies in this queue, and as what. Empty: it is just gone.

    https://www.rabbitmq.com/docs/dlx: without the exchange, messages are silently dropped.
    """
    row = queue.row
    exchange = row.spec.dead_letter_exchange
    if exchange is None:
        return []
    dead = dead_letter(payload, row.name, reason, exchange, row.spec.dead_letter_routing_key, now)
    try:
        route = state.router.route(row.virtual_host, exchange, dead.parsed.message, inside=True)
    except QuorateError:
        return []
    copy = Copy(dead.payload, dead.parsed, instant)
    found: list[tuple[Target, Copy]] = [(TaskQueue(name), copy) for name in route.task_queues]
    for name in route.queues:
        if is_cycle(name, dead.deaths):
            state.cycles_dropped += 1
        else:
            found.append((state.queue(row.virtual_host, name), copy))
    return found


def _copy(
    state: BrokerState,
    queue: MessageQueue,
    message: Message,
    reason: Reason,
    placing: Placing,
    now: float,
) -> bool:
    """Add the copies of one message; False: the step has no room for them."""
    # Ages begin anew: https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers
    found = to_dead_letter_exchange(state, queue, message.payload, reason, now, now)
    if not found:
        return True
    made = [
        _task_of(state, target, copy, now)
        for target, copy in found
        if isinstance(target, TaskQueue)
    ]
    tasks = [task for task in made if task is not None]
    if not (placing.has_room(found[0][1].payload, len(found)) and placing.takes(tasks)):
        return False
    for target, copy in found:
        put(state, target, copy, placing, now)
    return True


def put(state: BrokerState, target: Target, copy: Copy, placing: Placing, now: float) -> None:
    """A dead letter goes into a queue. One that cannot become a task is dropped, and counted; so
    are further tasks of one that reaches more task queues than one commit takes."""
    if not isinstance(target, TaskQueue):
        placing.add(target, copy, now)
        return
    prepared = _task_of(state, target, copy, now)
    if prepared is None or not placing.takes_dead(prepared):
        state.totals.tasks_dropped += 1
    else:
        placing.create(state, (prepared,), "", now)


def _task_of(state: BrokerState, target: TaskQueue, copy: Copy, now: float) -> Prepared | None:
    asked = Asked(target.name, copy.payload, copy.parsed, copy.instant)
    return state.tasks.prepare_dead(asked, now)
