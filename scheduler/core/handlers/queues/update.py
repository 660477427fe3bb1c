"""The settings of a queue are changed. They hold at once, also for tasks that wait."""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.limits.shared import number_text, rate_text
from scheduler.core.handlers.requests import QUEUES_SCOPE, Answer, Call
from scheduler.core.model.answers import (
    ErrorKind,
    QueueSeen,
    Rejection,
    no_queue,
    see_queue,
)
from scheduler.core.model.effects import Effects, PutQueue
from scheduler.core.model.events import QueueUpdateAsked
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, QueueRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.place_rules import USUAL_PLACE
from scheduler.core.values import (
    NO_LIMITS,
    USUAL_ORDER,
    Change,
    EventsTo,
    QueueLimits,
    QueueSettings,
)


def refuse_limits(name: str, limits: QueueLimits) -> Rejection | None:
    """Whether a queue cannot have limits: replicas are held back by nothing but resources."""
    if name != SERVICES_QUEUE or limits == NO_LIMITS:
        return None
    return Rejection(
        ErrorKind.INVALID,
        "QUEUE_HOLDS_REPLICAS",
        f"queue {name!r} holds the replicas of services and can have no limits; set the number of "
        "replicas of each service",
        "queue.name",
        name,
    )


def settings_of(row: QueueRow) -> QueueSettings:
    """The settings of a queue as they are."""
    return QueueSettings(
        row.placement,
        row.disconnect,
        row.retention_age,
        row.retention_count,
        row.limits,
        row.order,
        row.place,
        row.events,
    )


def settle(row: QueueRow, new: QueueSettings) -> None:
    """Give a queue other settings."""
    row.placement, row.disconnect, row.retention_age, row.retention_count = new[:4]
    limits, order, place = new.limits, new.order, new.place
    row.events = new.events
    # One object for all queues without limits: placement compares identities.
    row.limits = limits if limits != NO_LIMITS else NO_LIMITS
    row.order = order if order != USUAL_ORDER else USUAL_ORDER
    row.place = place if place != USUAL_PLACE else USUAL_PLACE
    # Bounded by the keys of tasks that wait; a matter of 50 ms for 100,000 of them.
    row.pending.unpark_all()


def changes(old: QueueSettings, new: QueueSettings) -> list[Change]:
    """What differs, for the audit log."""
    before, after = texts(old), texts(new)
    found = (Change(name, before[name], after[name]) for name in after)
    return [change for change in found if change.before != change.after]


def texts(settings: QueueSettings) -> dict[str, str]:
    """Settings for the audit log, by name; empty: no limit."""
    limits = settings.limits
    return {
        "placement": settings.placement.name,
        "disconnect": settings.disconnect.name,
        "retention.age": f"{settings.retention_age:g}s",
        "retention.count": str(settings.retention_count),
        "max_running": number_text(limits.max_running),
        "rate": rate_text(limits.rate),
        "max_running_per_key": number_text(limits.max_running_per_key),
        "rate_per_key": rate_text(limits.rate_per_key),
        "max_length": number_text(limits.max_length),
        "length_policy": limits.length_policy.name if limits.max_length else "",
        "aging": f"{settings.order.aging:g}s" if settings.order.aging else "",
        "weights": ", ".join(f"{key}={weight:g}" for key, weight in settings.order.weights)[:200],
        "share": f"{settings.order.share:g}" if settings.order.share != 1.0 else "",
        "spread_label": settings.place.spread_label,
        "filters": ", ".join(settings.place.filters),
        "score": settings.place.score,
        "events": "" if settings.events is None else _exchange(settings.events),
    }


def _exchange(to: EventsTo) -> str:
    return to.exchange if to.virtual_host == "/" else f"{to.virtual_host}/{to.exchange}"


def _refuse(state: State, limits: Limits, event: QueueUpdateAsked) -> Rejection | None:
    if event.queue not in state.queues:
        return no_queue(event.queue)
    return refuse_limits(event.queue, event.settings.limits)


def _update(
    state: State, limits: Limits, event: QueueUpdateAsked, now: float, out: Effects
) -> Answer:
    row = state.queues[event.queue]
    if changed := changes(settings_of(row), event.settings):
        settle(row, event.settings)
        out.writes.append(PutQueue(row))
        audit.note(state, limits, out, event.request, now, "queue", row.name, *changed)
    return Answer(see_queue(row), row.name)


def _queue_now(state: State, event: QueueUpdateAsked, known: DedupRow) -> QueueSeen | Rejection:
    row = state.queues.get(event.queue)
    return see_queue(row) if row is not None else no_queue(event.queue)


on_queue_update_asked = Call(QUEUES_SCOPE, _refuse, _update, _queue_now)
