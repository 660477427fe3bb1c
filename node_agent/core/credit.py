"""How much work to ask for beyond the slots.

Between a result and the next assignment lies a round trip to the leader. For short tasks the node
asks for about 30 ms of work ahead, as learned from how long attempts took lately; for long ones it
asks for none, since a task that waits here behind a long one could run elsewhere.

While it has enough of that left, reports wait for each other, two ticks at most: a report that
comes alone costs the leader, etcd and the standby a transaction of its own, more than running a
small program does (measured: 1.8 ms of CPU a task against 0.9 ms).
"""

from __future__ import annotations

# Seconds of work to hold ahead of each slot.
AHEAD_SECONDS = 0.030
# Tasks longer than this are not asked for ahead.
LONG_SECONDS = 0.010
# Reports are sent at once when less than this is left: a round trip to the leader on a busy node.
LOW_SECONDS = 0.008
# Most attempts ahead of one slot, and of the node.
MAX_AHEAD_PER_SLOT = 256
MAX_AHEAD = 1024
# Weight of the newest duration in the moving averages. It is lighter upwards, as one slow task
# says less than one fast one: the first call of a function imports its module.
WEIGHT_UP = 0.1
WEIGHT_DOWN = 0.25
# Profiles remembered; the oldest is forgotten first.
MAX_PROFILES = 1000


class Durations:
    """Moving averages of how long attempts ran, in seconds: overall and of each profile."""

    def __init__(self) -> None:
        self.overall: float | None = None
        # Attempts to hold ahead of each slot.
        self.ahead = 0
        self._profiles: dict[str, float] = {}

    def observe(self, profile: str, seconds: float) -> None:
        """Learn from one attempt."""
        average = self.overall
        overall = self.overall = seconds if average is None else _moved(average, seconds)
        self.ahead = ahead_per_slot(overall, self.ahead)
        known = self._profiles.get(profile)
        if known is not None:
            self._profiles[profile] = _moved(known, seconds)
            return
        if len(self._profiles) >= MAX_PROFILES:
            del self._profiles[next(iter(self._profiles))]
        self._profiles[profile] = seconds

    def expected(self, profile: str) -> float | None:
        """How long an attempt of this profile should take; None when it was never seen."""
        return self._profiles.get(profile)


def _moved(average: float, seconds: float) -> float:
    weight = WEIGHT_UP if seconds > average else WEIGHT_DOWN
    return average + weight * (seconds - average)


def ahead_per_slot(overall: float, current: int = 0) -> int:
    """Attempts to hold ahead of each slot.

    It stays at `current` as long as that is about right: each change is a message to the leader,
    and may be a transaction.
    """
    if overall > LONG_SECONDS:
        return 0
    if overall * MAX_AHEAD_PER_SLOT <= AHEAD_SECONDS:
        return MAX_AHEAD_PER_SLOT
    wanted = int(AHEAD_SECONDS / overall)
    return current if 0.6 * current <= wanted <= 1.7 * current else wanted


def credit(slots: int, flowing_slots: int, ahead: int) -> int:
    """Attempts the node will hold at once, `ahead` of each slot beside those that run.

    `flowing_slots` are those not occupied by a long attempt right now: only they will get to what
    is held ahead.
    """
    return slots + min(MAX_AHEAD, flowing_slots * ahead)


def ample(slots: int, held: int, overall: float | None) -> bool:
    """Whether the `held` attempts keep all slots busy for longer than a round trip."""
    return overall is not None and (held - slots) * overall >= slots * LOW_SECONDS
