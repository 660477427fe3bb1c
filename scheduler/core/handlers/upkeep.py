"""What the passing of time does: tasks come due, finished ones and old answers go."""

from __future__ import annotations

from scheduler.core.handlers import audit, requests, retention, start_limits, unique_windows
from scheduler.core.handlers.jobs import upkeep as jobs
from scheduler.core.handlers.queues import matching_pauses, pauses
from scheduler.core.model import transitions
from scheduler.core.model.effects import Effects, NotifyFinished, PurgeRun
from scheduler.core.model.events import RetentionDue, TimersDue
from scheduler.core.model.jobs import moves
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State
from scheduler.core.values import is_due, of_limit_key

# Tasks made PENDING in one step: bounds how long it holds the loop.
_DUE_AT_ONCE = 2_000


def on_timers_due(state: State, event: TimersDue, now: float, out: Effects) -> None:
    """SCHEDULED tasks and subtasks whose time has come are PENDING, and keys whose rate limits let
    something through are tried again. Queues whose pauses are over are resumed."""
    if state.pause_ends:
        pauses.resume_due(state, now, out)
    if state.pauses.rows:
        matching_pauses.end_due(state, now, out)
    if state.permits.wake_at <= now:
        # Placement, which follows, says anew when it is to be woken.
        state.permits.wake_at = 0.0
    for _ in range(_DUE_AT_ONCE):
        woken = state.permits.pop_wake(now)
        if woken is None:
            break
        queue, key = woken
        if queue in state.queues:
            state.queues[queue].pending.unpark(of_limit_key(key))
    moves.come_due(state, now, jobs.DUE_AT_ONCE)
    for _ in range(_DUE_AT_ONCE):
        due = state.next_due()
        if due is None or not is_due(due, now):
            return
        # The entry stays: once the task has moved on it counts as dead.
        transitions.come_due(state, state.tasks[state.timers[0][1]])


def on_retention_due(
    state: State, limits: Limits, event: RetentionDue, now: float, out: Effects
) -> None:
    """Delete up to `event.limit` finished tasks that are too old or too many, and as many answers
    and audit entries."""
    if event.by is not None:
        now = min(now, event.by)
    left = event.limit
    for queue in list(state.queues.values()):
        if queue.retained_jobs:
            left -= jobs.expire(state, queue, now, left, out)
        rows = retention.expired(state, queue, now, left)
        if not rows:
            continue
        left -= len(rows)
        out.purges.extend(
            PurgeRun(queue.name, first, last) for first, last in retention.runs(queue, rows)
        )
        for row in rows:
            state.forget(row)
        queue.index.removed(len(rows), state.on_record)
    requests.forget_old(state, limits, now, event.limit, out)
    audit.expire(state, limits, now, event.limit, out)
    start_limits.drop_idle(state, now, event.limit, out)
    unique_windows.drop_over(state, now, event.limit, out)


def retain(effect: NotifyFinished) -> None:
    """The finishing is committed: retention may see it. What belongs to a job goes with it."""
    if effect.done.member is None:
        effect.done.queue.retained.append(effect.done)
