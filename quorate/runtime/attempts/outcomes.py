"""How a Python task can end itself beside returning and failing: it raises one of these.

They are known to users as `quorate.Snooze` and `quorate.Cancel`.
"""

from __future__ import annotations

import math
from typing import Final

DAY: Final = 86_400.0
# Seconds: a snooze takes as long at least, and at most.
LEAST_SNOOZE: Final = 1.0
LONGEST_SNOOZE: Final = 30 * DAY
SNOOZED: Final = "SNOOZED"
CANCELLED: Final = "CANCELLED"


class Snooze(Exception):
    """Raise it to have the task run again in `seconds`; this attempt is no failure.

    At least 1 s, and at most 30 days, pass until then. It may be raised any number of times. What
    was retried and failed before is not forgotten. A subtask of an array that raises it has failed.

    Raises ValueError: `seconds` is negative, no number, or more than 30 days.
    """

    def __init__(self, seconds: float, reason: str = "") -> None:
        value = float(seconds)
        if math.isnan(value) or not 0.0 <= value <= LONGEST_SNOOZE:
            raise ValueError(f"a snooze takes 0 to {LONGEST_SNOOZE:.0f} seconds, not {seconds!r}")
        super().__init__(seconds, reason)
        self.seconds = value
        self.reason = str(reason)

    def __str__(self) -> str:
        return self.reason or f"it is to run again in {self.seconds:g} s"


class Cancel(Exception):
    """Raise it to end the task as CANCELLED, without another attempt, whatever retries are left.

    A subtask of an array that raises it has failed.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = str(reason)

    def __str__(self) -> str:
        return self.reason or "the task cancelled itself"


# As users name them, in tracebacks and error types too.
Snooze.__module__ = Cancel.__module__ = "quorate"


def clean_snooze(seconds: float) -> float:
    """Seconds within the bounds, whoever says so; 0.0 for what is no number."""
    if not seconds > 0.0:
        return LEAST_SNOOZE if seconds == 0.0 else 0.0
    return min(max(seconds, LEAST_SNOOZE), LONGEST_SNOOZE)
