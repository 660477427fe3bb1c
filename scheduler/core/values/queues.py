"""Queues: their settings, limits and pauses."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from scheduler.core.place_rules import USUAL_PLACE, PlaceSettings


class Placement(IntEnum):
    """A queue's placement strategy (`quorate.v1.PlacementStrategy`)."""

    LEAST_LOADED = 1
    ROUND_ROBIN = 2
    CONSISTENT_HASH = 3
    BIN_PACK = 4
    SPREAD = 5
    RANDOM_OF_TWO = 6


class PauseScope(IntEnum):
    """What a paused queue does not do (`quorate.v1.PauseScope`)."""

    DISPATCH = 1
    ADMISSION = 2
    BOTH = 3

    @property
    def dispatch(self) -> bool:
        """Whether it starts no tasks."""
        return self is not PauseScope.ADMISSION

    @property
    def admission(self) -> bool:
        """Whether it accepts no new tasks."""
        return self is not PauseScope.DISPATCH


class QueuePause(NamedTuple):
    """Who paused a queue, why, since when and until when (0.0: until somebody resumes it)."""

    scope: PauseScope = PauseScope.DISPATCH
    by: str = ""
    reason: str = ""
    since: float = 0.0
    until: float = 0.0


class Disconnect(IntEnum):
    """A queue's policy for disconnected nodes (`quorate.v1.DisconnectPolicy`)."""

    KEEP = 1
    STOP = 2


class LengthPolicy(IntEnum):
    """What happens to a new task of a full queue (`quorate.v1.LengthPolicy`)."""

    REJECT = 1
    DROP_OLDEST = 2


class Rate(NamedTuple):
    """`starts` starts in `period` seconds, and `burst` of them at once after a time
    without starts."""

    starts: int
    period: float
    burst: int

    @property
    def interval(self) -> float:
        """Seconds from one start to the next."""
        return self.period / self.starts


class QueueLimits(NamedTuple):
    """The limits of one queue; 0 and None: no limit."""

    max_running: int = 0
    rate: Rate | None = None
    max_running_per_key: int = 0
    rate_per_key: Rate | None = None
    max_length: int = 0
    length_policy: LengthPolicy = LengthPolicy.REJECT


class QueueOrder(NamedTuple):
    """In what order the tasks of a queue go, beside priority and age.

    `aging`: seconds of waiting that are worth one step of priority; 0.0: none are. `weights`: of
    fairness keys, those that are not 1; sorted. `share`: of the queue, among those that wait.
    """

    aging: float = 0.0
    weights: tuple[tuple[str, float], ...] = ()
    share: float = 1.0


USUAL_ORDER: Final = QueueOrder()


class EventsTo(NamedTuple):
    """The exchange that gets messages about the ends of a queue's tasks and jobs."""

    exchange: str
    virtual_host: str


class QueueSettings(NamedTuple):
    """What callers set of a queue."""

    placement: Placement
    disconnect: Disconnect
    # Seconds; tasks.
    retention_age: float
    retention_count: int
    limits: QueueLimits
    order: QueueOrder = USUAL_ORDER
    place: PlaceSettings = USUAL_PLACE
    events: EventsTo | None = None


# The very object of every queue without limits: the hot path compares identities.
NO_LIMITS: Final = QueueLimits()
