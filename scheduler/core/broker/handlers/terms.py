"""A term begins."""

from __future__ import annotations

from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import instants, message_queues, policies
from scheduler.core.broker.handlers.consuming import sessions
from scheduler.core.broker.handlers.publishing.producers import PRODUCERS
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.state import BrokerState


def on_elected(
    state: BrokerState, limits: BrokerLimits, _event: e.Elected, now: float, out: BrokerEffects
) -> None:
    """What only a leader has is made anew. `expires` counts from now: nobody knows when a queue was
    used last."""
    state.lead(now)
    sessions.lead(state, limits, state.instant)
    for queue in state.queues.values():
        message_queues.used(state, queue, state.instant)
        instants.watch(state, queue)
        # What the leader before left too long, or too old.
        state.touched[queue.row.uid] = None
    if state.policies.rows or any(queue.row.policy for queue in state.queues.values()):
        out.then.append(policies.due(state, None, None, None))
    if state.producers:
        state.timers.put((PRODUCERS, ""), state.instant)
