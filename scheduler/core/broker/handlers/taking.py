"""What callers take, read, move and delete of a queue without a session.

Each is done in bounded parts. What needs bodies that are not in memory waits for them, and is
stepped again when they are there.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.runtime.errors import exhausted, not_found, precondition
from scheduler.core.broker import events as e
from scheduler.core.broker.answers import Count, Moved, Received
from scheduler.core.broker.effects import BrokerEffects, Reply
from scheduler.core.broker.handlers.instants import InstantsDue
from scheduler.core.broker.handlers.message_queues import used, used_by
from scheduler.core.broker.handlers.placing import Copy, Placing
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.envelope import of_payload
from scheduler.core.broker.queues.ids import make_id
from scheduler.core.broker.queues.queue import MessageQueue, Missing
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState

# An answer holds about so many bytes of messages: it has to fit into one of gRPC's (4 MiB) with
# one message more, of the largest size.
MOST_ANSWERED = 1 << 20


class PurgeContinued(NamedTuple):
    """More messages to be purged: (priority, sequence to begin at, sequence to end before)."""

    uid: QueueUid
    ranges: tuple[tuple[int, int, int], ...]
    purged: int
    token: e.Token


class MoveContinued(NamedTuple):
    """More messages to be moved."""

    uid: QueueUid
    destination: QueueUid
    left: int
    moved: int
    token: e.Token


def on_receive_asked(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.ReceiveAsked,
    now: float,
    out: BrokerEffects,
) -> None:
    """They are acknowledged before they are answered: at most once.

    https://www.rabbitmq.com/docs/confirms#acknowledgement-modes: automatic acknowledgement.
    """
    queue = used_by(state, event.virtual_host, event.name, event.session)
    _no_stream(queue, "receive from")
    used(state, queue, now)
    taken = queue.next_ready(event.most, now, MOST_ANSWERED)
    if taken.expired:
        out.then.append(InstantsDue(queue.row.uid))
    if taken.missing is not None and not taken.deliveries:
        _wait(state, queue, taken.missing, out, event)
        return
    out.writes += queue.settle([one.id for one in taken.deliveries], now)
    queue.count_delivered(len(taken.deliveries), sum([one.redelivered for one in taken.deliveries]))
    queue.count_acknowledged(len(taken.deliveries))
    out.after.append(Reply(event.token, Received(tuple(taken.deliveries), queue.ready)))


def on_peek_asked(
    state: BrokerState, _limits: BrokerLimits, event: e.PeekAsked, now: float, out: BrokerEffects
) -> None:
    """Messages stay where they are; those that have expired are passed over.

    Bodies that are not in memory are waited for, as long as each wait brings more: where they are
    pushed out by others meanwhile, the answer is what there is.
    """
    queue = used_by(state, event.virtual_host, event.name, event.session)
    if queue.is_stream:
        taken = queue.read(event.offset, event.most, MOST_ANSWERED)
        found, missing = taken.deliveries, taken.missing
    else:
        found, missing = queue.peek(event.most, now, MOST_ANSWERED)
    if missing is not None and (not found or len(found) > event.found):
        again = event._replace(found=max(event.found, len(found)))
        _wait(state, queue, missing, out, again)
        return
    out.after.append(Reply(event.token, Received(tuple(found), queue.ready)))


def on_purge_asked(
    state: BrokerState, limits: BrokerLimits, event: e.PurgeAsked, now: float, out: BrokerEffects
) -> None:
    """https://www.rabbitmq.com/amqp-0-9-1-reference#queue.purge: "removes all messages from a queue
    which are not awaiting acknowledgment"."""
    queue = used_by(state, event.virtual_host, event.name, event.session)
    _no_stream(queue, "purge")
    ranges = tuple(
        (priority, lane.log.cursor, lane.log.tail) for priority, lane in queue.lanes.items()
    )
    continued = PurgeContinued(queue.row.uid, ranges, 0, event.token)
    on_purge_continued(state, limits, continued, now, out)


def on_purge_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: PurgeContinued,
    now: float,
    out: BrokerEffects,
) -> None:
    queue = state.queues.get(event.uid)
    count = event.purged
    left: list[tuple[int, int, int]] = []
    for priority, start, tail in event.ranges:
        if queue is None:
            break
        if left:
            left.append((priority, start, tail))
            continue
        purged = queue.purge(priority, start, tail, limits.step_chunks, now)
        count += purged.messages
        out.writes += purged.changes
        if purged.following >= 0:
            left.append((priority, purged.following, tail))
    if left:
        out.then.append(event._replace(ranges=tuple(left), purged=count))
        return
    out.after.append(Reply(event.token, Count(count)))


def on_move_asked(
    state: BrokerState, limits: BrokerLimits, event: e.MoveAsked, now: float, out: BrokerEffects
) -> None:
    queue = used_by(state, event.virtual_host, event.name, event.session)
    _no_stream(queue, "move messages of")
    destination = used_by(state, event.virtual_host, event.destination, event.session)
    if destination is queue:
        raise precondition(
            "SAME_MESSAGE_QUEUE",
            f"messages of {event.name!r} cannot be moved to the same queue; name another one",
            message_queue=event.name,
        )
    continued = MoveContinued(queue.row.uid, destination.row.uid, event.most, 0, event.token)
    on_move_continued(state, limits, continued, now, out)


def on_move_continued(
    state: BrokerState, limits: BrokerLimits, event: MoveContinued, now: float, out: BrokerEffects
) -> None:
    """Copies and removals of a part are one commit, so each message is in one queue at any time."""
    queue = state.queues.get(event.uid)
    destination = state.queues.get(event.destination)
    if queue is None or destination is None:
        error = not_found("message_queue", "of the move")
        out.after.append(Reply(event.token, error))
        return
    most = min(event.left, limits.step_messages)
    heads, missing = queue.heads(most, now, limits.step_bytes)
    placing = Placing(limits, state.bodies)
    moved: list[int] = []
    for priority, _, message in heads:
        if not placing.has_room(message.payload):
            break
        _, parsed = of_payload(message.payload)
        parsed = parsed._replace(deliver_after=0.0)
        copy = Copy(message.payload, parsed, message.instant, body=message.body)
        placing.add(destination, copy, now)
        moved.append(make_id(priority, message.sequence))
    placing.flush(out)
    out.writes += queue.settle(moved, now)
    queue.sweep()
    event = event._replace(left=event.left - len(moved), moved=event.moved + len(moved))
    if not event.left or not (moved or missing):
        out.after.append(Reply(event.token, Moved(event.moved, queue.ready)))
    elif missing is not None and not moved:
        state.load(queue, missing, out, event)
    else:
        out.then.append(event)


def _no_stream(queue: MessageQueue, verb: str) -> None:
    if queue.is_stream:
        raise precondition(
            "STREAM",
            f"{queue.row.name!r} is a stream; nobody can {verb} a stream: it keeps its messages",
            message_queue=queue.row.name,
        )


def _wait(
    state: BrokerState, queue: MessageQueue, missing: Missing, out: BrokerEffects, event: object
) -> None:
    if not state.load(queue, missing, out, event, bounded=True):
        raise exhausted(
            "TOO_MANY_READERS",
            f"too many calls wait for the same messages of {queue.row.name!r}; try again",
            message_queue=queue.row.name,
        )
