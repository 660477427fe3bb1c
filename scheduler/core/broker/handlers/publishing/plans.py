"""Where publications go: routed and weighed, before anything is placed.

A publication that a queue refuses is in none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from quorate.runtime.errors import QuorateError, exhausted, not_found
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishResult, ResultKind
from scheduler.core.broker.consuming.sessions import Session
from scheduler.core.broker.effects import Deliver, Delivery
from scheduler.core.broker.handlers.consuming.replying import receiver
from scheduler.core.broker.handlers.dead_letters import (
    Letter,
    LetterTasks,
    letter_of,
    put_tasks,
    tasks_of,
)
from scheduler.core.broker.handlers.placing import Copy, Placing, StoredBody
from scheduler.core.broker.handlers.publishing import rejections
from scheduler.core.broker.intake import Asked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.envelope import Parsed, apart, parse
from scheduler.core.broker.queues.queue import MessageQueue
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueSpec,
    Overflow,
    ProducerRow,
    QueueUid,
    Refused,
)
from scheduler.core.broker.state import BrokerState

# Of a publication that waits in memory, beside its bytes.
HELD: Final = 1 << 10


class Planned(NamedTuple):
    """A publication that goes somewhere.

    Attributes:
        position: in the event; `number`: of its producer.
        copies: which message queues get what; `asked`: what becomes a task.
        held: bytes in memory, rounded up.
        letter: it was refused, and this is its dead letter.
        body: it is stored apart from the copies, before them.
    """

    number: int
    position: int
    copies: list[tuple[QueueUid, Copy]]
    asked: list[Asked]
    held: int
    letter: Letter | None = None
    body: StoredBody | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is one copy for one queue, and nothing else."""
        return (
            not self.asked and self.letter is None and self.body is None and len(self.copies) == 1
        )

    @property
    def payload(self) -> bytes:
        """What is stored."""
        return self.copies[0][1].payload if self.copies else self.asked[0].payload


@dataclass(slots=True)
class Plan:
    """What publications come to.

    Attributes:
        copies: each publication that goes into queues, in their order.
        coming: messages by queue.
        replies: what goes straight to sessions, once all of it is durable.
        numbers: of the producer, those that are new; `refused`: of those, what is in no queue.
        settled: the greatest number of the producer that is settled with all of them.
        creator: who publishes.
        waiting: bytes of what is in `copies`, with `HELD` more for each.
    """

    results: list[PublishResult] = field(default_factory=list)
    copies: deque[Planned] = field(default_factory=deque)
    coming: dict[QueueUid, int] = field(default_factory=dict)
    replies: list[Deliver] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    settled: int = 0
    creator: str = ""
    waiting: int = 0

    def add(self, one: Planned) -> None:
        self.copies.append(one)
        self.waiting += one.held
        for uid, _ in one.copies:
            self.coming[uid] = self.coming.get(uid, 0) + 1

    def note(self, position: int, number: int, kind: ResultKind, error: QuorateError) -> None:
        """A publication goes into none of its queues."""
        self.results.append(PublishResult(position, kind, error))
        if number:
            self.refused.append(rejections.refused(number, kind, error))

    def done(self) -> None:
        """All is done of the first of `copies`."""
        one = self.copies.popleft()
        self.waiting -= one.held
        if one.body is not None:
            one.body.release()

    def refuse(self, one: Planned, error: QuorateError) -> None:
        """The first of `copies` is refused as its turn comes."""
        assert self.copies[0] is one
        self.done()
        self.note(one.position, one.number, ResultKind.REJECTED, error)


def plan_publications(
    state: BrokerState,
    limits: BrokerLimits,
    virtual_host: str,
    publications: Sequence[e.Publication],
    now: float,
    *,
    producer: ProducerRow | None = None,
    creator: str = "",
    inside: bool = False,
) -> Plan:
    """Where publications go. Changes nothing but counts.

    Args:
        producer: what is on record of it.
        creator: who publishes: the creator of tasks that they become.
        inside: the cluster itself publishes, which an internal exchange accepts.
    """
    plan = Plan(settled=0 if producer is None else producer.number, creator=creator)
    # Many of one event say the same, but for their bodies.
    known: dict[tuple[str, bytes, bytes], _Way] = {}
    for position, one in enumerate(publications):
        if one.number:
            if producer is not None and one.number <= producer.number:
                repeated = rejections.again(producer, position, one)
                if repeated is not None:
                    plan.results.append(repeated)
                continue
            plan.numbers.append(one.number)
            plan.settled = max(plan.settled, one.number)
        held = len(one.payload) + HELD
        try:
            key = one.exchange, one.routing_key, one.properties
            way = known.get(key)
            if way is None:
                parsed = parse(one.routing_key, one.properties)
                route = state.router.route(
                    virtual_host, one.exchange, parsed.message, inside=inside
                )
                way = known[key] = _Way(
                    parsed,
                    [_target(state.queue(virtual_host, name)) for name in route.queues],
                    route.task_queues,
                    receiver(state, virtual_host, one.exchange, one.routing_key),
                )
            for target in way.targets:
                _check_room(limits, plan, target)
        except _Full as full:
            plan.note(position, one.number, ResultKind.REJECTED, full.error)
            if full.queue.row.spec.overflow is Overflow.REJECT_PUBLISH_DEAD_LETTER:
                letter = letter_of(state, full.queue, one.payload, Reason.MAXLEN, now, now)
                state.totals.cycles += letter.cycles
                copies = [(queue.row.uid, copy) for queue, copy in letter.copies]
                if copies or letter.asked:
                    plan.add(
                        Planned(one.number, position, copies, list(letter.asked), held, letter)
                    )
        except QuorateError as error:
            plan.note(position, one.number, ResultKind.REJECTED, error)
        else:
            if way.asked is not None:
                session, consumer = way.asked
                reply = Delivery(state.consuming.order(), False, 0, now, one.payload)
                plan.replies.append(Deliver(session.id, consumer, (reply,)))
            elif one.mandatory and not (way.targets or way.tasks):
                none = not_found("route", one.routing_key.decode(errors="backslashreplace"))
                plan.note(position, one.number, ResultKind.RETURNED, none)
            if way.targets or way.tasks:
                copy = Copy(one.payload, way.parsed, now)
                copies = [(target.uid, copy) for target in way.targets]
                wanted = [Asked(name, one.payload, way.parsed, now) for name in way.tasks]
                plan.add(Planned(one.number, position, copies, wanted, held))
    return plan


class _Target(NamedTuple):
    """A queue as it is before the publications of an event: none of them changes it meanwhile.

    Attributes:
        refuses: whether its limits of length refuse what is too much.
        in_flight, crowded, ready, ready_bytes: see `MessageQueue`.
    """

    uid: QueueUid
    queue: MessageQueue
    refuses: bool
    in_flight: int
    crowded: bool
    ready: int
    ready_bytes: int


def _target(queue: MessageQueue) -> _Target:
    drops = queue.is_stream or queue.row.spec.overflow is Overflow.DROP_HEAD
    return _Target(
        queue.row.uid,
        queue,
        not drops,
        queue.in_flight,
        queue.is_crowded,
        queue.ready,
        queue.ready_bytes,
    )


class _Way(NamedTuple):
    """Where publications of an exchange, key and properties go; `asked`: who gets it directly."""

    parsed: Parsed
    targets: list[_Target]
    tasks: Sequence[str]
    asked: tuple[Session, ConsumerNumber] | None


class _Full(Exception):
    def __init__(self, queue: MessageQueue, error: QuorateError) -> None:
        super().__init__()
        self.queue = queue
        self.error = error


def _check_room(limits: BrokerLimits, plan: Plan, target: _Target) -> None:
    coming = target.in_flight + plan.coming.get(target.uid, 0)
    if coming >= limits.in_flight or target.crowded:
        name = target.queue.row.name
        raise exhausted(
            "MESSAGE_QUEUE_BUSY",
            f"message queue {name!r} has {coming} messages that are not committed, or too many "
            "small chunks; publish again later",
            message_queue=name,
            limit=limits.in_flight,
        )
    if not target.refuses:
        return
    name, spec = target.queue.row.name, target.queue.row.spec
    length, size = target.ready + coming, target.ready_bytes
    if (
        spec.no_backlog
        or (spec.max_length and length >= spec.max_length)
        or (spec.max_length_bytes and size >= spec.max_length_bytes)
    ):
        raise _Full(
            target.queue,
            exhausted(
                "MESSAGE_QUEUE_FULL",
                f"message queue {name!r} has {length} messages of {size} bytes; its limits are "
                f"{spec.max_length or _none(spec)} messages, "
                f"{spec.max_length_bytes or _none(spec)} bytes",
                message_queue=name,
                limit=spec.max_length or spec.max_length_bytes,
            ),
        )


def _none(spec: MessageQueueSpec) -> str:
    return "0" if spec.no_backlog else "no"


def place(
    state: BrokerState, plan: Plan, placing: Placing, now: float, *, whole: bool = False
) -> int:
    """Put copies into their queues until the step is full; the rest stays in the plan.

    A body that is stored apart goes first, part by part: one step each if they are large. Its
    copies refer to it.

    Tasks come last of a publication, in the step that settles its number: repeated, it makes no
    second one. What a task queue refuses is in no queue, unless the publication was split by queue.

    Args:
        whole: all of it; the caller creates the tasks.

    Returns:
        The greatest number of the publications that are placed.
    """
    number = 0
    while plan.copies:
        one = plan.copies[0]
        if one.is_plain and _place_plain(state, one, placing, now):
            plan.done()
            number = max(number, one.number)
            continue
        if one.body is None and not whole and placing.is_apart(one.payload, len(one.copies)):
            one = plan.copies[0] = _apart(state, one)
        if one.body is not None:
            while not one.body.is_written:
                if not placing.takes_part(one.body):
                    return number
        try:
            made = LetterTasks((), 0) if whole else _tasks(state, plan, one, placing, now)
        except QuorateError as error:
            plan.refuse(one, error)
            continue
        fits = whole or placing.fits(one.payload, len(one.copies), made.tasks)
        if not (fits or placing.is_empty):
            break
        for place, (uid, copy) in enumerate(one.copies):
            if not (fits or placing.has_room(copy.payload)):
                plan.copies[0] = one._replace(copies=one.copies[place:])
                return number
            queue = state.queues.get(uid)
            # It may be deleted between two parts: as if the message had come earlier.
            if queue is not None:
                placing.add(queue, copy, now)
        if made.tasks and not (fits or placing.takes(made.tasks)):
            plan.copies[0] = one._replace(copies=[])
            return number
        if one.letter is None:
            placing.create(state, made.tasks, plan.creator, now)
        else:
            put_tasks(state, made, placing, now)
        if one.body is not None:
            # For consumers that have room.
            state.window.put_body(one.body.ref, one.body.data, wanted=False)
        plan.done()
        number = max(number, one.number)
    return number


def _place_plain(state: BrokerState, one: Planned, placing: Placing, now: float) -> bool:
    """The same as `place`, for what most publications are, if the step has room; whether it had."""
    ((uid, copy),) = one.copies
    if not placing.has_room(copy.payload) or placing.is_apart(copy.payload, 1):
        return False
    queue = state.queues.get(uid)
    # It may be deleted between two parts: as if the message had come earlier.
    if queue is not None:
        placing.add(queue, copy, now)
    return True


def _tasks(
    state: BrokerState, plan: Plan, one: Planned, placing: Placing, now: float
) -> LetterTasks:
    """The tasks that a publication becomes. Raises what forbids one of them."""
    if one.letter is not None:
        return tasks_of(state, one.letter, placing, now)
    if not one.asked:
        return LetterTasks((), 0)
    tasks = state.tasks.prepare(one.asked, plan.creator, now)
    if placing.never_takes(tasks):
        raise exhausted(
            "TOO_MANY_TASK_QUEUES",
            f"the message reaches {len(tasks)} task queues; the tasks that it would become are "
            "more, or larger together, than one commit takes",
        )
    return LetterTasks(tasks, 0)


def _apart(state: BrokerState, one: Planned) -> Planned:
    """The same, with its body apart from what the queues get. What becomes a task keeps it."""
    head, data = apart(one.payload)
    body = StoredBody(state.bodies, data)
    copies = [(uid, copy._replace(payload=head, body=body.ref)) for uid, copy in one.copies]
    return one._replace(copies=copies, body=body)
