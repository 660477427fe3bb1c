"""A token bucket: a rate, and a burst after a rest. Pure: instants are monotonic seconds.

What its users do with a caller that comes too fast differs, hence two ways to take from it:

    take      refuses: nothing is taken while the bucket is empty (limits of callers, of services)
    reserve   never refuses: the bucket goes into debt, and the caller waits until that is paid. Who
              comes later waits longer, so it is first come, first served (answers of watches,
              hand-backs of an agent, revocations)
"""

from __future__ import annotations


class TokenBucket:
    """Holds `burst` tokens at most, `burst` at first, and gains `rate` a second."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float = 0.0) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, now: float) -> float:
        """Take one token: 0, or the seconds until there is one; then none is taken."""
        left = self._left + (now - self._at) * self._rate
        if left > self._burst:
            left = self._burst
        self._at = now
        if left >= 1.0:
            self._left = left - 1.0
            return 0.0
        self._left = left
        return (1.0 - left) / self._rate

    def reserve(self, now: float, count: float = 1.0) -> float:
        """Take `count` tokens now: the seconds to wait until they are there; 0 for no wait."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate) - count
        self._at = now
        return max(0.0, -self._left / self._rate)
