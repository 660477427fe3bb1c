"""An admin sets a quota."""

from __future__ import annotations

from scheduler.core.handlers import audit, requests
from scheduler.core.model.answers import Done, ErrorKind, Rejection
from scheduler.core.model.effects import DropQuota, Effects, PutQuota, Reply
from scheduler.core.model.events import QuotaSubmitted
from scheduler.core.model.limits import Limits
from scheduler.core.model.quotas import MOST_QUOTAS, NAMES, NO_QUOTA
from scheduler.core.model.state import State
from scheduler.core.values import Change

# The scope of request ids for calls about quotas.
QUOTAS_SCOPE = "_quotas"


def on_quota_submitted(
    state: State, limits: Limits, event: QuotaSubmitted, now: float, out: Effects
) -> None:
    known = requests.recall(state, QUOTAS_SCOPE, event.request)
    if known is not None:
        answer = known if isinstance(known, Rejection) else Done()
        out.after.append(Reply(event.token, answer))
        return
    key = (event.kind, event.name)
    before = state.quotas.get(key)
    rejection = requests.refuse_beyond(state, limits, QUOTAS_SCOPE, event.request)
    if rejection is None and before is None and len(state.quotas) >= MOST_QUOTAS:
        rejection = Rejection(
            ErrorKind.EXHAUSTED,
            "TOO_MANY_QUOTAS",
            f"{MOST_QUOTAS} quotas are set; set one back to the defaults first",
            "limit",
            str(MOST_QUOTAS),
        )
    if rejection is not None:
        out.after.append(Reply(event.token, rejection))
        return
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
    requests.remember(state, out, QUOTAS_SCOPE, event.request, now)
    out.after.append(Reply(event.token, Done()))


def _text(value: int | None) -> str:
    return "" if value is None else str(value)
