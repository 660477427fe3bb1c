"""What happens to messages at an instant: they expire, or they are due.

An expired message is gone when its removal is committed, and is not delivered from its instant on.
Due messages move from the delayed sub-log to that of their priority, in the order of the instants
at which they are due: copy and removal are one commit.

The index knows the earliest instant of each chunk; a chunk whose instant has come is loaded and
looked at. Messages that are out do not expire; they do when they come back. While a new leader does
not know what consumers have, nothing of their queue expires.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.dead_letters import bury
from scheduler.core.broker.handlers.placing import Copy, Placing
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.queues.envelope import of_payload
from scheduler.core.broker.queues.lane import Lane
from scheduler.core.broker.queues.queue import MessageQueue, Missing
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.state import BrokerState
from scheduler.core.broker.storage.format import Message
from scheduler.core.broker.storage.places import DELAYED, SubLogName

# Of timers: a message of the queue may expire or be due.
INSTANTS = "instants"
# Chunks that one step looks at: 4 MiB.
_CHUNKS = 16


class InstantsDue(NamedTuple):
    """An instant of a message has come, or more of them are to be looked at."""

    uid: QueueUid


def instants_due(
    state: BrokerState, limits: BrokerLimits, uid: str, now: float, out: BrokerEffects
) -> None:
    """By the timer."""
    on_instants_due(state, limits, InstantsDue(QueueUid(uid)), now, out)


def watch(state: BrokerState, queue: MessageQueue) -> None:
    """Have a queue looked at when its next instant comes."""
    instant = min(lane.next_instant for _, lane in queue.sub_logs())
    state.timers.sooner((INSTANTS, queue.row.uid), instant)


def on_instants_due(
    state: BrokerState, limits: BrokerLimits, event: InstantsDue, now: float, out: BrokerEffects
) -> None:
    queue = state.queues.get(event.uid)
    if queue is None:
        return
    if state.consuming.waits(event.uid, now):
        # Sooner if all sessions are heard of before: see `inventory.heard_of`.
        state.timers.put((INSTANTS, event.uid), now + limits.reattach_within)
        return
    state.timers.put((INSTANTS, event.uid), inf)
    for sub_log, lane in list(queue.sub_logs()):
        if lane.next_instant > now:
            continue
        look = _due if sub_log == DELAYED else _expire
        if not look(state, limits, queue, sub_log, lane, now, out):
            # Loading, or the step is full: the same event follows, and the timer is set then.
            return
    watch(state, queue)


def _expire(
    state: BrokerState,
    limits: BrokerLimits,
    queue: MessageQueue,
    sub_log: SubLogName,
    lane: Lane,
    now: float,
    out: BrokerEffects,
) -> bool:
    """Remove what has expired; False: the event follows."""
    loaded, missing = _loaded(queue, sub_log, lane, now)
    places: list[tuple[SubLogName, int, int]] = []
    for first, messages in loaded:
        expired = [m for m in messages if m.expiry <= now and m.sequence not in lane.out]
        places += [(sub_log, first, message.sequence) for message in expired]
        lane.watch(first, min((m.expiry for m in messages if m.expiry > now), default=inf))
    buried = bury(state, limits, queue, places, Reason.EXPIRED, now, out)
    lane.sweep()
    for _, first, _ in places[buried.done :]:
        lane.watch(first, now)
    if buried.missing is not None:
        missing = [buried.missing]
    return _follow(state, queue, missing, lane, now, out)


def _due(
    state: BrokerState,
    limits: BrokerLimits,
    queue: MessageQueue,
    sub_log: SubLogName,
    lane: Lane,
    now: float,
    out: BrokerEffects,
) -> bool:
    """Move what is due to the sub-logs of its priority; False: the event follows."""
    loaded, missing = _loaded(queue, sub_log, lane, now)
    # What is in the chunks behind these is not due before.
    until = min(now, lane.next_instant)
    alive = [(first, message) for first, messages in loaded for message in messages]
    expired = [(first, message) for first, message in alive if message.expiry <= now]
    gone: dict[int, None] = {}
    if expired:
        # First, and in a step of its own.
        places = [(sub_log, first, message.sequence) for first, message in expired]
        buried = bury(state, limits, queue, places, Reason.EXPIRED, now, out)
        gone = {sequence: None for _, _, sequence in places[: buried.done]}
        if buried.missing is not None:
            missing = [buried.missing]
    else:
        due = sorted(
            [message for _, message in alive if message.due <= until],
            key=lambda message: (message.due, message.sequence),
        )
        placing = Placing(limits, state.bodies)
        for message in due[: limits.step_messages]:
            if not placing.has_room(message.payload):
                break
            _, parsed = of_payload(message.payload)
            # A nack with a delay: it is due now, whatever the producer said.
            parsed = parsed._replace(deliver_after=0.0)
            copy = Copy(message.payload, parsed, message.instant, message.flags, message.body)
            placing.add(queue, copy, now, is_new=False)
            gone[message.sequence] = None
        placing.flush(out)
        out.writes += queue.remove(sub_log, gone, now)
    for first, message in alive:
        if message.sequence not in gone:
            lane.watch(first, min(message.due, message.expiry))
    return _follow(state, queue, missing, lane, now, out)


def _loaded(
    queue: MessageQueue, sub_log: SubLogName, lane: Lane, now: float
) -> tuple[list[tuple[int, list[Message]]], list[Missing]]:
    """The chunks to look at, the earliest first, with their messages that are alive: those before
    the first one that is not in memory; and which are not."""
    loaded: list[tuple[int, list[Message]]] = []
    missing: list[Missing] = []
    for instant, first in lane.instants_until(now, _CHUNKS):
        messages = queue.chunk(sub_log, first)
        if messages is None:
            missing.append(Missing(sub_log, first))
        if missing or messages is None:
            lane.watch(first, instant)
        else:
            alive = [one for sequence, one in messages.items() if lane.log.find(sequence) >= 0]
            loaded.append((first, alive))
    return loaded, missing


def _follow(
    state: BrokerState,
    queue: MessageQueue,
    missing: list[Missing],
    lane: Lane,
    now: float,
    out: BrokerEffects,
) -> bool:
    again = InstantsDue(queue.row.uid)
    for place in missing:
        state.load(queue, place, out, again)
    if missing:
        return False
    if lane.next_instant <= now:
        out.then.append(again)
        return False
    return True
