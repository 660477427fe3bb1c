"""An admin sets a quota."""

from __future__ import annotations

from scheduler.core.handlers import audit
from scheduler.core.handlers.requests import QUOTAS_SCOPE, Answer, Call
from scheduler.core.model.answers import Done, ErrorKind, Rejection
from scheduler.core.model.effects import DropQuota, Effects, PutQuota
from scheduler.core.model.events import QuotaSubmitted
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import MOST_QUOTAS, NAMES, NO_QUOTA
from scheduler.core.model.rows import DedupRow
from scheduler.core.model.state import State
from scheduler.core.values import Change


def _refuse(state: State, limits: Limits, event: QuotaSubmitted) -> Rejection | None:
    if (event.kind, event.name) in state.quotas or len(state.quotas) < MOST_QUOTAS:
        return None
    return Rejection(
        ErrorKind.EXHAUSTED,
        "TOO_MANY_QUOTAS",
        f"{MOST_QUOTAS} quotas are set, which is the limit; reset one to the defaults first",
        "limit",
        str(MOST_QUOTAS),
    )


def _set(state: State, limits: Limits, event: QuotaSubmitted, now: float, out: Effects) -> Answer:
    key = (event.kind, event.name)
    before = state.quotas.get(key)
    old = before or NO_QUOTA
    if event.quota.empty:
        if before is not None:
            state.set_quota(*key, None)
            out.writes.append(DropQuota(*key))
    else:
        state.set_quota(*key, event.quota)
        out.writes.append(PutQuota(*key, event.quota))
    changes = [
        Change(name, _text(getattr(old, name)), _text(getattr(event.quota, name)))
        for name in NAMES
        if getattr(old, name) != getattr(event.quota, name)
    ]
    if changes:
        name = f"{event.kind}/{event.name}"
        audit.note(state, limits, out, event.request, now, "quota", name, *changes)
    return Answer(Done())


def _done(state: State, event: QuotaSubmitted, known: DedupRow) -> Done:
    return Done()


on_quota_submitted = Call(QUOTAS_SCOPE, _refuse, _set, _done)


def _text(value: int | None) -> str:
    return "" if value is None else str(value)
