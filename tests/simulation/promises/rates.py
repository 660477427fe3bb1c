"""Rate limits in the log: in no window of it began more than `rate x window + burst`.

What counts is what agents began, at the instant at which the log says that it was assigned. What
was assigned and never began may be given back, and so does not count.
"""

from __future__ import annotations

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId

# (kind, name, key), as in the keys of what was taken.
RateName = tuple[str, str, str]

# Of starts: instants are floats of 1.7e9 seconds.
_ROUNDING = 1e-3


class Rates:
    """The starts of one history."""

    def __init__(self) -> None:
        # Starts a second and at once, of the loosest limit that each ever was; None: without one.
        self._limits: dict[RateName, tuple[float, int] | None] = {}
        self._assigned: dict[tuple[TaskId, int], tuple[float, list[RateName]]] = {}
        self._starts: dict[RateName, list[float]] = {}

    def limit(self, name: RateName, rate: r.RateRecord | None) -> None:
        """A limit is so from now on."""
        known = self._limits.get(name, (0.0, 0))
        if rate is None or known is None:
            self._limits[name] = None
        else:
            self._limits[name] = (
                max(known[0], rate.count / rate.period),
                max(known[1], rate.burst),
            )

    def assigned(self, task: TaskId, attempt: int, instant: float, names: list[RateName]) -> None:
        """An attempt was assigned to a node."""
        if names:
            self._assigned[task, attempt] = (instant, names)

    def began(self, task: TaskId, attempt: int) -> None:
        """A process began an attempt; again, where it was sent again."""
        instant, names = self._assigned.pop((task, attempt), (0.0, []))
        for name in names:
            self._starts.setdefault(name, []).append(instant)

    @property
    def counted(self) -> int:
        """Starts of all limits."""
        return sum(map(len, self._starts.values()))

    def check(self) -> None:
        """Look at every window that begins and ends with a start."""
        for name, instants in self._starts.items():
            limit = self._limits.get(name) or self._limits.get((name[0], name[1], ""))
            if limit is None:
                continue
            rate, burst = limit
            # n starts in t seconds are too many when n > rate x t + burst: of all first starts the
            # one that leaves the last one least is remembered.
            least = 0.0
            for place, instant in enumerate(sorted(instants)):
                since = place - rate * (instant - instants[0])
                least = since if place == 0 else min(least, since)
                within = since - least + 1
                assert within <= burst + _ROUNDING, (
                    f"{name}: {within:.3f} starts beside {rate:g} a second until {instant}, "
                    f"of {burst} at once"
                )
