"""When a task that was put off is due, whatever clock put it off. Pure."""

from __future__ import annotations

from typing import Final

from quorate.runtime.attempts.outcomes import LONGEST_SNOOZE
from scheduler.core.model.rows import TaskRow

# Seconds. Of instants, which are floats of 1.7e9 seconds.
_ROUNDING: Final = 1e-3


def put_off_until(row: TaskRow, now: float) -> float:
    """When a task that waits is due, also where its last attempt ended under a leader whose clock
    was ahead: a backoff is no longer than its policy has it, a snooze as long as was asked for.

    An instant that a caller gave (`not_before`) is left as it is.
    """
    instant = row.not_before
    if not row.past or not (row.failures or row.snoozed):
        return instant
    ended = row.past[-1].finish_time
    wait = instant - ended
    if row.snoozed:
        ahead = ended > now and 0.0 < wait <= LONGEST_SNOOZE + _ROUNDING
        return min(instant, now + wait) if ahead else instant
    longest = row.retry.max_backoff * (1.0 + row.retry.jitter)
    return instant if wait > longest + _ROUNDING else min(instant, now + longest)
