"""Messages of the cluster itself, about what else is in the same commit: see
`scheduler.core.jobs.ended`.

They are published by a step of another machine, which waits for nothing: what has no way, or no
room, is dropped and counted. What one commit does not take follows in others.

    announce -> routed -> copies -> as many as `room` has     -> the commit of the step
                              '---- the rest: AnnouncingContinued -> commits of their own
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishResult
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.placing import Placing
from scheduler.core.broker.handlers.publishing.plans import Plan, place, plan_publications
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.totals import NO_EXCHANGE, NO_SPACE, REFUSED
from scheduler.core.broker.state import BrokerState

_MISSING = ("EXCHANGE_NOT_FOUND", "VIRTUAL_HOST_NOT_FOUND")


class AnnouncingContinued(NamedTuple):
    """More of the messages about one step of another machine."""

    plan: Plan


def announce(
    state: BrokerState,
    limits: BrokerLimits,
    virtual_host: str,
    publications: Sequence[e.Publication],
    now: float,
    out: BrokerEffects,
) -> None:
    """Publish messages of the cluster beside a step of another machine."""
    plan = plan_publications(state, limits, virtual_host, publications, now, inside=True)
    state.totals.announced += len(publications)
    _place(state, limits, plan, now, out)


def on_announcing_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: AnnouncingContinued,
    now: float,
    out: BrokerEffects,
) -> None:
    _place(state, limits, event.plan, now, out)


def drop(state: BrokerState, count: int, reason: str) -> None:
    """Messages that are not published, counted by reason."""
    state.totals.announced += count if reason == NO_SPACE else 0
    state.totals.unannounced[reason] += count


def _place(
    state: BrokerState, limits: BrokerLimits, plan: Plan, now: float, out: BrokerEffects
) -> None:
    placing = Placing(limits, state.bodies)
    place(state, plan, placing, now)
    placing.flush(out)
    if plan.copies:
        out.then.append(AnnouncingContinued(plan))
        return
    for result in plan.results:
        drop(state, 1, _reason(result))


def _reason(result: PublishResult) -> str:
    return NO_EXCHANGE if result.error.reason in _MISSING else REFUSED
