"""The audit log: who changed what, among the writes of the change itself.

`note` is called by the handlers of what callers ask for, right behind the writes of the effect: one
Txn holds both or neither. What changed nothing, was refused or repeats an earlier call comes to no
`note`. Creating tasks does not either: that is the hot path, and each task says who created it.

Entries go by count and by age (`Limits.audit_entries`, `audit_age`), once they are durable.
"""

from __future__ import annotations

from scheduler.core.model.effects import Effects, IndexAudit, PurgeAudit, PutAudit, Reply
from scheduler.core.model.events import ChangeRecorded, Request
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State
from scheduler.core.values import Change


def note(
    state: State,
    limits: Limits,
    out: Effects,
    request: Request,
    now: float,
    kind: str,
    name: str,
    *changes: Change,
    queue: str = "",
) -> None:
    """Write down that a caller changed the `kind` ("queue") of this name.

    Nothing for what no caller asked for, and where the log is off.
    """
    if request.origin is None or not limits.audit_entries:
        return
    entry = state.audit.new_id(now)
    out.writes.append(PutAudit(entry, request.origin, request.id, kind, name, queue, changes))
    # Before the reply: who is answered finds the entry.
    out.after.append(IndexAudit(entry))


def on_change_recorded(
    state: State, limits: Limits, event: ChangeRecorded, now: float, out: Effects
) -> None:
    """Who changed what is not in this state: written behind the change, in a commit of its own."""
    note(state, limits, out, event.request, now, event.kind, event.name)
    out.after.append(Reply(event.token, None))


def expire(state: State, limits: Limits, now: float, limit: int, out: Effects) -> None:
    """Delete up to `limit` entries that are too many or too old."""
    count = state.audit.expired(limits.audit_entries, now - limits.audit_age, limit)
    if count:
        out.purged_audit = PurgeAudit(*state.audit.drop(count))


def index(state: State, effect: IndexAudit) -> None:
    """The entry is durable: it may be read, and retention may see it."""
    state.audit.add(effect.entry)
