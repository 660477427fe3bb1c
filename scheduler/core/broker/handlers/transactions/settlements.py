"""What a transaction settles: checked before anything changes, then done in its commit.

    ACK       gone
    REJECT    to the dead letter exchange, gone
    NACK      back in the queue
    REQUEUE   back in the queue, counted; beyond the delivery limit as REJECT

What comes back is ready again once the transaction is durable, not before: until then another
consumer's delivery could end in nothing. Of a stream, all of them give room for more.

Dead letters need the bodies of their messages: those that are not in memory are loaded first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from quorate.runtime.errors import invalid
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.sessions import Consumer, Session
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.events import Outcome
from scheduler.core.broker.handlers.consuming import returning, settling
from scheduler.core.broker.handlers.dead_letters import Letter, letter_of
from scheduler.core.broker.handlers.transactions import bounds
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.queue import MessageQueue, Missing
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import Message
from scheduler.core.broker.storage.places import DELAYED

# Chunks that are loaded for one transaction at a time.
LOADED_AT_ONCE: Final = 16


class Dying(NamedTuple):
    """A message that is dead lettered. `field`: its body, if it becomes a task and the body is
    stored apart."""

    message: Message
    field: bytes = b""

    @property
    def size(self) -> int:
        """Bytes that are kept for it."""
        return len(self.message.payload) + len(self.field)


# By queue and delivery id.
Bodies: TypeAlias = dict[tuple[QueueUid, int], Dying]
Place: TypeAlias = tuple[MessageQueue, Missing]


class Settlement(NamedTuple):
    """Deliveries of one consumer.

    Attributes:
        done: acknowledged; `dead`: dead lettered for `reason`, or just gone; `back`: put back, and
            with `counts` as delivered in vain.
    """

    queue: MessageQueue
    consumer: Consumer
    done: Sequence[int] = ()
    dead: Sequence[int] = ()
    back: Sequence[int] = ()
    reason: Reason = Reason.REJECTED
    counts: bool = False

    @property
    def copied(self) -> bool:
        """Its dead letters go anywhere."""
        return bool(self.dead) and self.queue.row.spec.dead_letter_exchange is not None


def checked(state: BrokerState, session: Session, settles: Sequence[e.Settled]) -> list[Settlement]:
    """What is settled, one for each of `settles`.

    Raises:
        QuorateError: INVALID_ARGUMENT for an outcome that a transaction does not have;
            FAILED_PRECONDITION (UNKNOWN_DELIVERY) for a delivery that the consumer does not have,
            or that is named twice; RESOURCE_EXHAUSTED. Each names the field and its index.
    """
    found: list[Settlement] = []
    seen: dict[tuple[QueueUid, int], None] = {}
    count = 0
    for place, settle in enumerate(settles):
        field = f"settles[{place}]"
        if settle.outcome is Outcome.TOUCH:
            raise invalid(
                f"{field}.outcome",
                "is TOUCH, which settles nothing; touch outside of the transaction",
                reason="BAD_OUTCOME",
            )
        if settle.delay:
            raise invalid(
                f"{field}.delay_millis",
                "is set; a transaction puts deliveries back without a delay",
                reason="BAD_OUTCOME",
            )
        count += len(settle.ids)
        bounds.check_settled(count)
        consumer = settling.consumer_of(state, session, settle)
        queue = None if consumer is None else state.queues.get(consumer.uid)
        for number, delivery in enumerate(settle.ids):
            known = consumer is not None and queue is not None and delivery in consumer.unsettled
            if consumer is None or not known or (consumer.uid, delivery) in seen:
                raise settling.unknown_delivery(settle, delivery, f"{field}.ids[{number}]")
            seen[consumer.uid, delivery] = None
        if consumer is not None and queue is not None:
            found.append(_settlement(queue, consumer, settle))
    return found


def weigh(settlements: Sequence[Settlement], weight: bounds.Weight) -> None:
    """Add what they write."""
    for one in settlements:
        if not one.queue.is_stream:
            weight.settle(one.queue, (*one.done, *one.dead, *one.back))


def dead_letters(settlements: Sequence[Settlement]) -> int:
    """How many messages are dead lettered, with a copy."""
    return sum([len(one.dead) for one in settlements if one.copied])


def collect(
    state: BrokerState,
    settlements: Sequence[Settlement],
    bodies: Bodies,
    limits: BrokerLimits,
    now: float,
) -> list[Place]:
    """Keep the bodies of dead letters that are in memory now.

    They stay with the transaction: whatever others have loaded meanwhile, each chunk is loaded
    once. Together they have as many bytes as one commit stores.

    Args:
        bodies: those that were found before; they get the new ones.

    Returns:
        Chunks that are to be loaded for the others, a few at a time. Empty: all are there.

    Raises:
        QuorateError: RESOURCE_EXHAUSTED (TRANSACTION_TOO_LARGE), which names the limit.
    """
    missing: dict[tuple[QueueUid, Missing], MessageQueue] = {}
    size = sum([dying.size for dying in bodies.values()])
    for one in settlements:
        for delivery in one.dead if one.copied else ():
            key = one.queue.row.uid, delivery
            if key in bodies:
                continue
            message = one.queue.message_of(delivery)
            # None for one that a later version wrote: its copy cannot be made. It goes without.
            chunk = one.queue.missing(delivery) if message is None else None
            field: bytes | None = b""
            if message is not None and (body := message.body) is not None:
                letter = letter_of(state, one.queue, message.payload, one.reason, now, now, body)
                if letter.needs_body(body):
                    field = state.window.bodies.field(body)
                    chunk = Missing(DELAYED, 0, body)
            if message is not None and field is not None:
                dying = bodies[key] = Dying(message, field)
                size += dying.size
            elif chunk is not None and len(missing) < LOADED_AT_ONCE:
                missing[one.queue.row.uid, chunk] = one.queue
    bounds.check_dead(size, limits)
    return [(queue, chunk) for (_, chunk), queue in missing.items()]


def letters(
    state: BrokerState, settlements: Sequence[Settlement], bodies: Bodies, now: float
) -> list[Letter]:
    """The dead letters on their way, and which queues get them."""
    found: list[Letter] = []
    for one in settlements:
        for delivery in one.dead if one.copied else ():
            dying = bodies.get((one.queue.row.uid, delivery))
            if dying is not None:
                message, field = dying
                letter = letter_of(
                    state, one.queue, message.payload, one.reason, now, now, message.body
                )
                found.append(letter.with_body(message.body, field))
    return found


def settle(
    state: BrokerState,
    limits: BrokerLimits,
    one: Settlement,
    now: float,
    out: BrokerEffects,
) -> None:
    """Settle deliveries. The copies of dead letters are placed in the same step."""
    queue, consumer = one.queue, one.consumer
    gone = [*one.done, *one.dead]
    if gone:
        settling.remove(state, queue, consumer, gone)
        out.writes += queue.settle(gone, now)
        queue.count_acknowledged(len(one.done))
        queue.count_dead(len(one.dead), one.reason)
    back = returning.lose(state, limits, queue, consumer, one.back, now, out, counts=one.counts)
    if back:
        # They stay out until then.
        out.after.append(fx.StepOnceCommitted(ce.Returned(queue.row.uid, back)))
    returning.after_settling(state, queue)
    returning.room_again(state, consumer, len(gone) + len(one.back))


def _settlement(queue: MessageQueue, consumer: Consumer, settle: e.Settled) -> Settlement:
    ids = settle.ids
    if queue.is_stream or settle.outcome is Outcome.NACK:
        return Settlement(queue, consumer, back=ids)
    if settle.outcome is Outcome.ACK:
        return Settlement(queue, consumer, done=ids)
    if settle.outcome is Outcome.REJECT:
        return Settlement(queue, consumer, dead=ids)
    limit = queue.row.spec.delivery_limit
    dead = [one for one in ids if limit and consumer.unsettled[one].failed + 1 > limit]
    known = dict.fromkeys(dead)
    back = [one for one in ids if one not in known] if dead else ids
    return Settlement(queue, consumer, (), dead, back, Reason.DELIVERY_LIMIT, counts=True)
