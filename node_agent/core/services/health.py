"""When a replica is healthy: the results of checks in, its state out.

```
            healthy_after successes in a row
 STARTING -------------------------------------> HEALTHY
    |                                               |
    | unhealthy_after failures in a row,            | unhealthy_after failures in a row
    | those within start_grace not counted          |
    +------------------> UNHEALTHY <----------------+      (final: the replica is replaced)
```

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from zlib import crc32

from quorate.runtime.timing.backoff import either_way, exponential

# A replica that starts is looked at sooner than it will be later: first after this long, then after
# twice as long each time.
_FIRST_PAUSE = 0.1
# Pauses are longer or shorter by up to this share, so that the replicas of a node do not get their
# checks in step.
_JITTER = 0.1


class HealthState(Enum):
    """What the checks say."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class HealthTerms:
    """The numbers of a `quorate.v1.HealthCheck`, defaults filled in; seconds and counts."""

    interval: float = 1.0
    timeout: float = 1.0
    healthy_after: int = 1
    unhealthy_after: int = 3
    start_grace: float = 30.0


class Health:
    """The health of one run of a replica.

    Args:
        started: when its program was handed over; see `began`.
        seed: what its jitter is drawn from.
    """

    def __init__(self, terms: HealthTerms, started: float, seed: str) -> None:
        self.state = HealthState.STARTING
        self._terms = terms
        self._started = started
        self._seed = seed
        self._checks = 0
        self._passed_in_a_row = 0
        self._failed_in_a_row = 0

    def began(self, when: float) -> None:
        """Its program began at `when`: from then on `start_grace` counts."""
        self._started = when

    def on_checked(self, passed: bool, now: float) -> bool:
        """Take the result of one check (a timeout is a failure); whether the state changed."""
        self._checks += 1
        if self.state is HealthState.UNHEALTHY:
            return False
        if passed:
            return self._on_passed()
        return self._on_failed(now)

    def pause(self) -> float:
        """Seconds until the next check."""
        pause = self._terms.interval
        if self.state is HealthState.STARTING:
            pause = exponential(self._checks + 1, _FIRST_PAUSE, pause)
        draw = crc32(f"{self._seed}:{self._checks}".encode()) / 2**32
        return either_way(pause, _JITTER, draw)

    def _on_passed(self) -> bool:
        self._failed_in_a_row = 0
        self._passed_in_a_row += 1
        if self.state is HealthState.HEALTHY:
            return False
        if self._passed_in_a_row < self._terms.healthy_after:
            return False
        self.state = HealthState.HEALTHY
        return True

    def _on_failed(self, now: float) -> bool:
        self._passed_in_a_row = 0
        forgiven = now - self._started < self._terms.start_grace
        if self.state is HealthState.STARTING and forgiven:
            return False
        self._failed_in_a_row += 1
        if self._failed_in_a_row < self._terms.unhealthy_after:
            return False
        self.state = HealthState.UNHEALTHY
        return True
