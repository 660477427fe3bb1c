"""Shared limits are created, changed and deleted.

A new or lowered limit counts what runs already: who names a limit is counted whether it exists or
not. Tasks that run above a lowered limit go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from scheduler.core.handlers import audit
from scheduler.core.handlers.requests import LIMITS_SCOPE, Answer, Call
from scheduler.core.model.answers import (
    Done,
    ErrorKind,
    LimitSeen,
    Rejection,
    no_limit,
    see_limit,
)
from scheduler.core.model.effects import DropLimit, Effects, PutLimit
from scheduler.core.model.events import LimitDeleteAsked, LimitSubmitted, LimitUpdateAsked
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import DedupRow, LimitRow
from scheduler.core.model.state import State
from scheduler.core.values import Change, Rate, TaskLimits, TaskSpec

# Shared limits that may exist.
MOST_LIMITS: Final = 1_000


def refuse_unknown(
    state: State, limits: TaskLimits | None, field: str = "spec.limits"
) -> Rejection | None:
    """Whether a new task names a shared limit that does not exist; `field` has its limits."""
    return None if limits is None else refuse_unknown_names(state, limits.shared, field)


def refuse_unknown_names(state: State, names: Sequence[str], field: str) -> Rejection | None:
    """The same of names; `field`: the path in the request that has them."""
    for name in names:
        if name not in state.permits.shared:
            return Rejection(
                ErrorKind.PRECONDITION,
                "LIMIT_NOT_FOUND",
                f'limit {name!r} does not exist; create it with "quorate limit create {name}"',
                "limit",
                name,
                field,
            )
    return None


def refuse_unknown_of(state: State, specs: Sequence[TaskSpec]) -> Rejection | None:
    """The same of many tasks, each kind of limits once."""
    # By hand: most tasks have none, and each is looked at.
    kinds: dict[TaskLimits, None] = {}
    for spec in specs:
        if spec.limits is not None:
            kinds[spec.limits] = None
    rejections = (refuse_unknown(state, limits) for limits in kinds)
    return next(filter(None, rejections), None) if kinds else None


def _refuse_new(state: State, limits: Limits, event: LimitSubmitted) -> Rejection | None:
    if event.name in state.permits.shared:
        return Rejection(
            ErrorKind.EXISTS,
            "LIMIT_ALREADY_EXISTS",
            f"limit {event.name!r} already exists",
            "limit",
            event.name,
        )
    if len(state.permits.shared) >= MOST_LIMITS:
        return Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_LIMITS",
            f"{MOST_LIMITS} shared limits exist, which is the limit; delete some first",
            "limit",
            str(MOST_LIMITS),
        )
    return None


def _create(
    state: State, limits: Limits, event: LimitSubmitted, now: float, out: Effects
) -> Answer:
    row = LimitRow(event.name, now, event.max_running, event.rate)
    state.permits.shared[row.name] = row
    out.writes.append(PutLimit(row))
    changes = [change for change in _changes(LimitRow("", 0.0), row) if change.after]
    audit.note(state, limits, out, event.request, now, "limit", row.name, *changes)
    return Answer(see_limit(state.permits, row))


def _refuse_missing(
    state: State, limits: Limits, event: LimitUpdateAsked | LimitDeleteAsked
) -> Rejection | None:
    return None if event.name in state.permits.shared else no_limit(event.name)


def _update(
    state: State, limits: Limits, event: LimitUpdateAsked, now: float, out: Effects
) -> Answer:
    old = state.permits.shared[event.name]
    row = LimitRow(
        old.name, old.create_time, event.max_running, event.rate, unknown_fields=old.unknown_fields
    )
    if changes := _changes(old, row):
        state.permits.shared[row.name] = row
        out.writes.append(PutLimit(row))
        audit.note(state, limits, out, event.request, now, "limit", row.name, *changes)
    return Answer(see_limit(state.permits, row))


def _refuse_delete(state: State, limits: Limits, event: LimitDeleteAsked) -> Rejection | None:
    if (missing := _refuse_missing(state, limits, event)) is not None:
        return missing
    live = state.permits.live.get(event.name, 0)
    if not live:
        return None
    return Rejection(
        ErrorKind.PRECONDITION,
        "LIMIT_IN_USE",
        f"limit {event.name!r} is named by {live} unfinished tasks and jobs; wait until they are "
        "finished, or cancel them",
        "limit",
        event.name,
    )


def _delete(
    state: State, limits: Limits, event: LimitDeleteAsked, now: float, out: Effects
) -> Answer:
    del state.permits.shared[event.name]
    out.writes.append(DropLimit(event.name))
    audit.note(state, limits, out, event.request, now, "limit", event.name)
    return Answer(Done())


def _limit_now(
    state: State, event: LimitSubmitted | LimitUpdateAsked, known: DedupRow
) -> LimitSeen | Rejection:
    row = state.permits.shared.get(event.name)
    return see_limit(state.permits, row) if row is not None else no_limit(event.name)


def _done(state: State, event: LimitDeleteAsked, known: DedupRow) -> Done:
    return Done()


on_limit_submitted = Call(LIMITS_SCOPE, _refuse_new, _create, _limit_now)
on_limit_update_asked = Call(LIMITS_SCOPE, _refuse_missing, _update, _limit_now)
on_limit_delete_asked = Call(LIMITS_SCOPE, _refuse_delete, _delete, _done)


def _changes(old: LimitRow, new: LimitRow) -> list[Change]:
    """What differs, for the audit log."""
    fields = (
        ("max_running", number_text(old.max_running), number_text(new.max_running)),
        ("rate", rate_text(old.rate), rate_text(new.rate)),
    )
    return [Change(*field) for field in fields if field[1] != field[2]]


def number_text(value: int) -> str:
    """A limit for the audit log; empty for none."""
    return str(value) if value else ""


def rate_text(rate: Rate | None) -> str:
    """A rate for the audit log; empty for none."""
    if rate is None:
        return ""
    return f"{rate.starts} in {rate.period:g}s, burst {rate.burst}"
