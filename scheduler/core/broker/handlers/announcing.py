"""Messages of the cluster itself, about what else is in the same commit: see
`scheduler.core.jobs.ended`.

They are published by a step of another machine, which waits for nothing: what has no way, or no
room, is dropped and counted. What one commit does not take follows in others, in their turn.

    announce -> routed -> copies -> as many as one commit has room for -> the commit of the step
                              '---- the rest: AnnouncingContinued      -> commits of their own
                              '---- `BrokerLimits.announcing` wait already: dropped

Whoever makes many of them waits before: `is_busy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from scheduler.core.broker import events as e
from scheduler.core.broker.answers import PublishResult
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers.placing import Placing
from scheduler.core.broker.handlers.publishing.plans import Plan, place, plan_publications
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.totals import NO_EXCHANGE, NO_SPACE, REFUSED, TOO_MANY
from scheduler.core.broker.state import BrokerState

# Bytes of messages that wait.
BUSY: Final = 1 << 20
_MISSING = ("EXCHANGE_NOT_FOUND", "VIRTUAL_HOST_NOT_FOUND")


class AnnouncingContinued(NamedTuple):
    """More of the messages about one step of another machine."""

    plan: Plan


def announce(
    state: BrokerState,
    limits: BrokerLimits,
    announced: Iterable[tuple[str, Sequence[e.Publication]]],
    now: float,
    out: BrokerEffects,
) -> None:
    """Publish messages of the cluster beside a step of another machine.

    Args:
        announced: virtual hosts, and what is published in each.
    """
    # One for all: they go into one Txn.
    placing = Placing(limits, state.bodies)
    is_full = state.announcing >= limits.announcing
    for virtual_host, publications in announced:
        plan = plan_publications(state, limits, virtual_host, publications, now, inside=True)
        state.totals.announced += len(publications)
        place(state, plan, placing, now)
        if is_full and plan.copies:
            drop(state, len(plan.copies), TOO_MANY)
            while plan.copies:
                plan.done()
        _follow(state, plan, out)
    placing.flush(out)


def is_busy(state: BrokerState) -> bool:
    """Whether enough messages wait for their commits, so that what makes many more should wait."""
    return state.announcing >= BUSY


def on_announcing_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: AnnouncingContinued,
    now: float,
    out: BrokerEffects,
) -> None:
    plan, placing = event.plan, Placing(limits, state.bodies)
    state.announcing -= plan.waiting
    place(state, plan, placing, now)
    placing.flush(out)
    _follow(state, plan, out)


def drop(state: BrokerState, count: int, reason: str) -> None:
    """Messages that are not published, counted by reason."""
    state.totals.announced += count if reason == NO_SPACE else 0
    state.totals.unannounced[reason] += count


def _follow(state: BrokerState, plan: Plan, out: BrokerEffects) -> None:
    """What has no room follows; the results of what has none left are counted."""
    if plan.copies:
        state.announcing += plan.waiting
        out.then.append(AnnouncingContinued(plan))
        return
    for result in plan.results:
        drop(state, 1, _reason(result))


def _reason(result: PublishResult) -> str:
    return NO_EXCHANGE if result.error.reason in _MISSING else REFUSED
