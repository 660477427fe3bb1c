"""Sessions: opened, lost, closed, and what becomes of what they had.

A session that came back says what it has (`inventory`). One that ended is off record first, with
its exclusive queues; then its deliveries come back, in parts.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf

from quorate.runtime.errors import exhausted, invalid, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.consuming import events as ce
from scheduler.core.broker.consuming.bounds import (
    LEAST_SESSION_CHARACTERS,
    MOST_SESSION_CHARACTERS,
    SESSION_CONSUMERS,
    SESSIONS,
)
from scheduler.core.broker.consuming.sessions import Presence, Session
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import message_queues
from scheduler.core.broker.handlers.consuming import inventory, replying, returning
from scheduler.core.broker.handlers.consuming.deliveries.sending import REATTACH
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import QueueUid, SessionId, SessionRow
from scheduler.core.broker.state import BrokerState

# Of timers: a session is not waited for any longer.
GRACE = "session grace"


def lead(state: BrokerState, limits: BrokerLimits, now: float) -> None:
    """A term begins: wait for the sessions on record."""
    state.sessions = {row.id: row for row in state.sessions.values() if row.queues}
    rows = [queue.row for queue in state.queues.values()]
    reattach_at = now + limits.reattach_within
    awaited = state.consuming.lead(list(state.sessions.values()), rows, reattach_at, now)
    for session in awaited:
        state.timers.put((GRACE, session.id), now + limits.session_grace)
    for uid in state.consuming.served:
        state.timers.put((REATTACH, uid), reattach_at)


def on_session_opened(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.SessionOpened,
    now: float,
    out: BrokerEffects,
) -> None:
    """A session is new, or goes on: with another stream, or under another leader."""
    id, consuming = event.session, state.consuming
    if not LEAST_SESSION_CHARACTERS <= len(id) <= MOST_SESSION_CHARACTERS or not id.isprintable():
        raise invalid(
            "session",
            f"has {len(id)} characters; it has {LEAST_SESSION_CHARACTERS} to "
            f"{MOST_SESSION_CHARACTERS} printable ones that nobody can guess",
            limit=MOST_SESSION_CHARACTERS,
        )
    if len(event.consumers) > SESSION_CONSUMERS:
        raise exhausted(
            "TOO_MANY_CONSUMERS",
            f"{len(event.consumers)} consumers; a session has at most {SESSION_CONSUMERS}",
            limit=SESSION_CONSUMERS,
        )
    host = state.router.host(event.virtual_host)
    session = consuming.sessions.get(id)
    if session is None:
        if len(consuming.sessions) >= SESSIONS:
            raise exhausted(
                "TOO_MANY_SESSIONS",
                f"there are {SESSIONS} sessions, the most there may be; close some",
                limit=SESSIONS,
            )
        session = Session(SessionRow(id, event.caller, host.name, (), now))
        session.resumed = bool(event.consumers or event.unsettled)
        consuming.sessions[id] = session
        state.sessions[id] = session.row
    else:
        _check_same(session, event)
        session.resumed = True
        if not session.row.caller:
            session.row = replace(session.row, caller=event.caller)
            state.sessions[id] = session.row
    state.timers.put((GRACE, id), inf)
    inventory.begin(state, session, event, now, out)
    inventory.go_on(state, limits, session, now, out)


def on_session_lost(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.SessionLost,
    now: float,
    _out: BrokerEffects,
) -> None:
    """Its deliveries stay its own until the grace is over. The caller makes sure that it is the
    session's latest stream that broke."""
    session = state.consuming.sessions.get(event.session)
    if session is not None and session.presence is not Presence.LOST:
        session.become(Presence.LOST)
        # What it had not said yet, it says again.
        session.inventory.clear()
        session.token = None
        state.timers.put((GRACE, session.id), now + limits.session_grace)


def grace_due(
    state: BrokerState, limits: BrokerLimits, whose: str, now: float, out: BrokerEffects
) -> None:
    """A session stayed away for too long."""
    session = state.consuming.sessions.get(SessionId(whose))
    if session is not None and not session.present:
        _end(state, limits, session, now, out)


def on_session_closed(
    state: BrokerState, limits: BrokerLimits, event: e.SessionClosed, now: float, out: BrokerEffects
) -> None:
    """What it has not settled comes back, and counts as delivered in vain: as with a channel."""
    session = state.consuming.sessions.get(event.session)
    if session is not None:
        _end(state, limits, session, now, out)


def on_session_ending(
    state: BrokerState,
    limits: BrokerLimits,
    event: ce.SessionEnding,
    now: float,
    out: BrokerEffects,
) -> None:
    session = event.session
    if _drop_owned(state, limits, session, now, out):
        out.then.append(event)
        return
    chunks = limits.step_writes // 2
    for consumer in session.all_consumers():
        queue = state.queues.get(consumer.uid)
        if queue is None:
            continue
        if chunks <= 0:
            out.then.append(event)
            return
        some = returning.part(queue, consumer.unsettled, chunks)
        chunks -= returning.chunks_of(queue, some) + 1
        back = returning.lose(state, limits, queue, consumer, some, now, out, counts=True)
        if back:
            out.after.append(fx.StepOnceCommitted(ce.Returned(consumer.uid, back)))
        if consumer.unsettled:
            out.then.append(event)
            return
        returning.forget(state, consumer)
        state.touched[consumer.uid] = None


def reattach_due(
    state: BrokerState, limits: BrokerLimits, whose: str, _now: float, _out: BrokerEffects
) -> None:
    """A queue waits no longer for sessions, unless it is strict."""
    uid = QueueUid(whose)
    served, queue = state.consuming.served.get(uid), state.queues.get(uid)
    if served is not None and queue is not None and served.awaited:
        # Whatever they have may be delivered again.
        queue.doubt()
        state.touched[uid] = None


def _end(
    state: BrokerState, limits: BrokerLimits, session: Session, now: float, out: BrokerEffects
) -> None:
    """A session is gone: off record, with its exclusive queues, in one commit."""
    consuming = state.consuming
    session.become(Presence.ENDING)
    state.timers.put((GRACE, session.id), inf)
    del consuming.sessions[session.id]
    state.sessions.pop(session.id, None)
    if session.row.queues:
        out.writes.append(fx.DropSession(session.id))
    for consumer in list(session.consumers.values()):
        served, queue = consuming.served.get(consumer.uid), state.queues.get(consumer.uid)
        if served is not None and queue is not None and not consumer.ended:
            served.remove(consumer)
            queue.consumers = len(served.consumers)
            if queue.row.uid not in session.owned:
                message_queues.consumer_left(state, queue, now, out)
    replying.unsubscribe_all(state, session)
    inventory.heard_of(state, session, doubt=True)
    on_session_ending(state, limits, ce.SessionEnding(session), now, out)


def _drop_owned(
    state: BrokerState, limits: BrokerLimits, session: Session, now: float, out: BrokerEffects
) -> bool:
    """Delete the session's exclusive queues, as many as one commit takes; True: there are more."""
    while session.owned:
        if len(out.writes) > limits.step_writes // 2:
            return True
        uid = next(iter(session.owned))
        del session.owned[uid]
        message_queues.on_queue_dropped(state, limits, e.QueueDropped(uid), now, out)
    return False


def _check_same(session: Session, event: e.SessionOpened) -> None:
    row = session.row
    if row.caller and row.caller != event.caller:
        raise precondition(
            "SESSION_OF_ANOTHER",
            f"session {event.session!r} belongs to another caller; open one of your own",
        )
    if row.virtual_host != event.virtual_host:
        raise precondition(
            "SESSION_DIFFERS",
            f"session {event.session!r} is of virtual host {row.virtual_host!r}, "
            f"not of {event.virtual_host!r}",
            field="virtual_host",
        )
