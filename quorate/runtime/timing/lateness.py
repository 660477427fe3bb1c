"""Who was late when a time limit passed: the other side, or this process.

A process without CPU hears of an answer and of the passed limit at the same moment, long after
both. It then knows nothing of the other side, and has to ask again.
"""

from __future__ import annotations

from typing import Final

# How much longer than its limit a call may last before it was this process that had no time.
_SLACK: Final = 0.5


def own_delay(began: float, now: float, limit: float) -> bool:
    """Whether a call that failed by its limit says nothing of the other side.

    Args:
        began, now: instants of one clock, in seconds: before the call and behind it.
        limit: of the call, in seconds.
    """
    return now - began > (1 + _SLACK) * limit
