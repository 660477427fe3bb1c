"""Dead letters: rejected, expired, dropped from a full queue, or delivered in vain too often.

The copies and the removal are one commit, so nothing is lost in between and nothing is there twice:
at-least-once dead lettering, https://www.rabbitmq.com/docs/quorum-queues#dead-lettering. Copies go
into a queue even if that refuses publications because it is full; also into a task queue, where it
becomes a task of nobody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

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
from scheduler.core.broker.storage.bodies import BodyRef
from scheduler.core.broker.storage.format import Message
from scheduler.core.broker.storage.places import SubLogName, of_priority

# A larger body becomes no task: `--max-payload-kib` is at most so much.
MOST_TASK_BODY: Final = 1 << 20


class Buried(NamedTuple):
    """What `bury` came to.

    Attributes:
        done: how many of the messages are removed, from the first on.
        missing: the chunk that is needed to go on; None: the step is full, or all are done.
    """

    done: int
    missing: Missing | None = None


class _Copied(Enum):
    """What became of the copies of one message."""

    ALL = auto()
    NO_ROOM = auto()
    # It becomes a task, which has all of it.
    NEEDS_BODY = auto()


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
        placing = Placing(limits, state.bodies)
        for number, (sub_log, first, sequence) in enumerate(places):
            messages = queue.chunk(sub_log, first)
            if messages is None:
                done, missing = number, Missing(sub_log, first)
                break
            message = messages.get(sequence)
            if message is None:
                # A later version wrote it: its copy cannot be made. It goes without.
                continue
            outcome = _copy(state, queue, message, reason, placing, now)
            if outcome is not _Copied.ALL:
                done = number
                if outcome is _Copied.NEEDS_BODY:
                    missing = Missing(sub_log, first, message.body)
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
    body: BodyRef | None = None,
) -> list[tuple[Target, Copy]]:
    """Where a message goes that dies in this queue, and as what. Empty: it is just gone.

    `body`: it is stored apart, and `payload` has it not; it stays where it is.

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
    copy = Copy(dead.payload, dead.parsed, instant, body=body)
    found: list[tuple[Target, Copy]] = [(TaskQueue(name), copy) for name in route.task_queues]
    for name in route.queues:
        if is_cycle(name, dead.deaths):
            state.cycles_dropped += 1
        else:
            found.append((state.queue(row.virtual_host, name), copy))
    return found


def needs_body(found: Sequence[tuple[Target, Copy]], body: BodyRef | None) -> bool:
    """Whether a message becomes a task, which has all of it, and its body is stored apart."""
    return (
        body is not None
        and body.size <= MOST_TASK_BODY
        and any(isinstance(target, TaskQueue) for target, _ in found)
    )


def with_tasks(
    state: BrokerState, found: Sequence[tuple[Target, Copy]], body: BodyRef | None, field: bytes
) -> list[tuple[Target, Copy]]:
    """The copies of a message, with its body in those that become tasks.

    Args:
        body: it is stored apart; `field`: as a field of the message. Empty if nobody can read it,
            or no task takes so much: there is no task, which is counted.
    """
    if body is None:
        return list(found)
    made: list[tuple[Target, Copy]] = []
    for target, copy in found:
        if not isinstance(target, TaskQueue):
            made.append((target, copy))
        elif field:
            made.append((target, copy._replace(payload=copy.payload + field, body=None)))
        else:
            state.totals.tasks_dropped += 1
    return made


def _copy(
    state: BrokerState,
    queue: MessageQueue,
    message: Message,
    reason: Reason,
    placing: Placing,
    now: float,
) -> _Copied:
    """Add the copies of one message."""
    body = message.body
    # Ages begin anew: https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers
    found = to_dead_letter_exchange(state, queue, message.payload, reason, now, now, body)
    if not found:
        return _Copied.ALL
    field = b""
    if body is not None and needs_body(found, body):
        loaded = state.window.bodies.field(body)
        if loaded is None:
            return _Copied.NEEDS_BODY
        field = loaded
    made = [
        _task_of(state, target, copy, now)
        for target, copy in found
        if isinstance(target, TaskQueue)
    ]
    tasks = [task for task in made if task is not None]
    queues = [one for one in found if not isinstance(one[0], TaskQueue)]
    stored = None
    if queues and body is None and placing.shares(queues[0][1].payload, len(queues)):
        # With a commit of its own: all of the body is in it.
        if not placing.is_empty:
            return _Copied.NO_ROOM
        head, stored = placing.store(queues[0][1].payload)
        found = [
            one
            if isinstance(one[0], TaskQueue)
            else (one[0], one[1]._replace(payload=head, body=stored.ref))
            for one in found
        ]
    elif not (placing.has_room(found[0][1].payload, len(found)) and placing.takes(tasks)):
        return _Copied.NO_ROOM
    for target, copy in with_tasks(state, found, body, field):
        put(state, target, copy, placing, now)
    if stored is not None:
        stored.release()
    return _Copied.ALL


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
