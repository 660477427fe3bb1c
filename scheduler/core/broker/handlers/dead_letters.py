"""Dead letters: rejected, expired, dropped from a full queue, or delivered in vain too often.

The copies and the removal are one commit, so nothing is lost in between and nothing is there twice:
at-least-once dead lettering, https://www.rabbitmq.com/docs/quorum-queues#dead-lettering. Copies go
into a queue even if that refuses publications because it is full; also into a task queue, where it
becomes a task of nobody's. Copies of one message that one commit does not take go in several, the
removal with the last of them: if the leader dies in between, some queues get it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

from quorate.runtime.errors import QuorateError
from scheduler.core.broker.effects import After, BrokerEffects
from scheduler.core.broker.handlers.placing import Copy, Placing
from scheduler.core.broker.intake import Asked, Prepared
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason, Split, dead_letter, is_cycle
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
            was_split = (sub_log, sequence) in queue.splits
            outcome = _copy(state, queue, (sub_log, message), reason, placing, now)
            if outcome is not _Copied.ALL:
                done = number
                if outcome is _Copied.NEEDS_BODY:
                    missing = Missing(sub_log, first, message.body)
                break
            # Copies of it may wait in commits before this one, which may have none.
            out.in_order |= was_split
        placing.flush(out)
    by_sub_log: dict[SubLogName, list[int]] = {}
    for sub_log, _, sequence in places[:done]:
        by_sub_log.setdefault(sub_log, []).append(sequence)
    for sub_log, sequences in by_sub_log.items():
        out.writes += queue.remove(sub_log, sequences, now)
    queue.count_dead(done, reason)
    return Buried(done, missing)


class Letter(NamedTuple):
    """Where a dead letter goes.

    Attributes:
        copies: to message queues; `asked`: what becomes a task.
        cycles: queues that do not get it: it was there, and nobody rejected it since.
        unread: task queues that do not get it: nobody can read its body, or no task takes so much.
    """

    copies: Sequence[tuple[MessageQueue, Copy]] = ()
    asked: Sequence[Asked] = ()
    cycles: int = 0
    unread: int = 0

    def needs_body(self, body: BodyRef | None) -> bool:
        """Whether it becomes a task, which has all of it, and its body is stored apart."""
        return body is not None and body.size <= MOST_TASK_BODY and bool(self.asked)

    def with_body(self, body: BodyRef | None, data: bytes) -> Letter:
        """The same with its body in what becomes tasks.

        Args:
            body: it is stored apart; `data`: as a field of the message. Empty if nobody can read
                it, or no task takes so much: there is no task then.
        """
        if body is None or not self.asked:
            return self
        if not data:
            return self._replace(asked=(), unread=len(self.asked))
        asked = [one._replace(payload=one.payload + data) for one in self.asked]
        return self._replace(asked=asked)


def letter_of(
    state: BrokerState,
    queue: MessageQueue,
    payload: bytes,
    reason: Reason,
    instant: float,
    now: float,
    body: BodyRef | None = None,
) -> Letter:
    """Where a message goes that dies in this queue, and as what: nowhere if it is just gone.

    `body`: it is stored apart, and `payload` has it not; it stays where it is.

    https://www.rabbitmq.com/docs/dlx: without the exchange, messages are silently dropped.
    """
    row = queue.row
    exchange = row.spec.dead_letter_exchange
    if exchange is None:
        return Letter()
    dead = dead_letter(payload, row.name, reason, exchange, row.spec.dead_letter_routing_key, now)
    try:
        route = state.router.route(row.virtual_host, exchange, dead.parsed.message, inside=True)
    except QuorateError:
        return Letter()
    copy = Copy(dead.payload, dead.parsed, instant, body=body)
    asked = [Asked(name, copy.payload, copy.parsed, instant) for name in route.task_queues]
    names = [name for name in route.queues if not is_cycle(name, dead.deaths)]
    copies = [(state.queue(row.virtual_host, name), copy) for name in names]
    return Letter(copies, asked, len(route.queues) - len(names))


class LetterTasks(NamedTuple):
    """What a dead letter becomes in task queues; `dropped`: what it does not."""

    tasks: Sequence[Prepared]
    dropped: int


def tasks_of(state: BrokerState, letter: Letter, placing: Placing, now: float) -> LetterTasks:
    """The tasks of one dead letter. Those that cannot be, and further ones than one commit takes,
    are dropped. Changes nothing."""
    if not letter.asked:
        return LetterTasks((), letter.unread)
    found = [task for task in state.tasks.prepare_dead(letter.asked, now) if task is not None]
    tasks = placing.first_taken(found)
    return LetterTasks(tasks, len(letter.asked) - len(tasks))


def put(
    state: BrokerState, letter: Letter, made: LetterTasks, placing: Placing, now: float
) -> None:
    """A dead letter goes to all of its queues."""
    for queue, copy in letter.copies:
        placing.add(queue, copy, now)
    put_tasks(state, made, placing, now)
    state.totals.cycles += letter.cycles


def put_tasks(state: BrokerState, made: LetterTasks, placing: Placing, now: float) -> None:
    """A dead letter becomes tasks; those that it cannot become are counted."""
    placing.create(state, made.tasks, "", now)
    state.totals.tasks_dropped += made.dropped


def _copy(
    state: BrokerState,
    queue: MessageQueue,
    found: tuple[SubLogName, Message],
    reason: Reason,
    placing: Placing,
    now: float,
) -> _Copied:
    """Add the copies of one message."""
    sub_log, message = found
    body = message.body
    # Ages begin anew: https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers
    letter = letter_of(state, queue, message.payload, reason, now, now, body)
    data = b""
    if body is not None and letter.needs_body(body):
        loaded = state.window.bodies.field(body)
        if loaded is None:
            return _Copied.NEEDS_BODY
        data = loaded
    letter = letter.with_body(body, data)
    made = tasks_of(state, letter, placing, now)
    count = len(letter.copies)
    payload = letter.copies[0][1].payload if count else b""
    place = sub_log, message.sequence
    split = queue.splits.find(place, now)
    if split is None:
        shares = body is None and placing.shares(payload, count)
        if not shares and placing.fits(payload, count, made.tasks):
            put(state, letter, made, placing, now)
            return _Copied.ALL
        if not placing.is_empty:
            return _Copied.NO_ROOM
        split = queue.splits.begin(place, now)
        if split is None:
            return _Copied.NO_ROOM
        if shares:
            # All of the body is in the first of its commits.
            split.head, split.body = placing.store(payload)
    elif not placing.is_empty:
        return _Copied.NO_ROOM
    if not _copy_some(letter, split, placing, now):
        return _Copied.NO_ROOM
    if made.tasks and not placing.takes(made.tasks):
        return _Copied.NO_ROOM
    put_tasks(state, made, placing, now)
    state.totals.cycles += letter.cycles
    queue.splits.end(place)
    return _Copied.ALL


def _copy_some(letter: Letter, split: Split, placing: Placing, now: float) -> bool:
    """Add as many copies as the step has room for; whether that was all."""
    for target, copy in letter.copies:
        if target.row.uid in split.copied:
            continue
        if split.body is not None:
            copy = copy._replace(payload=split.head, body=split.body.ref)
        if not placing.has_room(copy.payload):
            return False
        placing.add(target, copy, now)
        split.copied[target.row.uid] = None
    return True
