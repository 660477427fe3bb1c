"""Instances that keep failing are left out for a while (outlier ejection). Pure.

    ok --`eject_after` failures in a row--> ejected --its time is over--> ok (on probation)
                                               ^                            |
                                               +------- one failure --------+  twice as long

The first ejection lasts `eject_for`; each that follows soon after lasts twice as long as the one
before, at most `MAX_EJECTION`. An answer ends the row of failures; `FORGIVEN` times the ejection's
length without a failure forgives all. At most half of a service's instances are ejected at a time:
when more than that fail, it is not the instances (Envoy calls this the panic threshold).
"""

from __future__ import annotations

from typing import Final

MAX_EJECTION: Final = 300.0
FORGIVEN: Final = 2.0


class Ejection:
    """The record of one instance. Instants and lengths are monotonic seconds."""

    __slots__ = ("count", "failures", "length", "until")

    def __init__(self) -> None:
        self.failures = 0
        """In a row."""
        self.until = 0.0
        """End of the last ejection."""
        self.length = 0.0
        """Of the last ejection; 0 when all is forgiven."""
        self.count = 0
        """Ejections so far."""

    def active(self, now: float) -> bool:
        """Whether the instance is left out."""
        return now < self.until

    def succeeded(self, now: float) -> None:
        """It answered."""
        self.failures = 0
        if self.length and now >= self.until + self.length * FORGIVEN:
            self.length = 0.0

    def failed(self, now: float, *, eject_after: int) -> bool:
        """It failed; whether it should be ejected for that."""
        if now < self.until:
            # Requests that were under way when it was ejected say nothing new.
            return False
        if self.length and now >= self.until + self.length * FORGIVEN:
            self.length = 0.0
        self.failures += 1
        on_probation = self.length > 0.0
        return on_probation or self.failures >= eject_after

    def eject(self, now: float, *, eject_for: float) -> float:
        """Leave it out from `now` on; when that ends."""
        self.length = min(MAX_EJECTION, self.length * 2 if self.length else eject_for)
        self.until = now + self.length
        self.failures = 0
        self.count += 1
        return self.until


def may_eject(ejected: int, instances: int) -> bool:
    """Whether one more may be ejected when `ejected` of `instances` are."""
    return (ejected + 1) * 2 <= instances
