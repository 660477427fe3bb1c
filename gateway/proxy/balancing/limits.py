"""Token buckets: a service's rate limit, and the budget of its retries. Pure.

The budget keeps retries from multiplying a load that the instances already cannot carry (Finagle's
`RetryBudget`): each request pays a share of one retry in, each retry takes a whole one out.
"""

from __future__ import annotations

import math
from typing import Final

from quorate.runtime.timing.token_bucket import TokenBucket

# Retries that a quiet service may have saved up, and those that it gets each second for nothing: a
# service with few requests could otherwise never retry.
MAX_SAVED: Final = 500.0
FREE_PER_SECOND: Final = 10.0
FREE_AT_START: Final = 100.0


def rate_limit(rate: float, now: float) -> TokenBucket:
    """So many requests a second; a second's worth may come at once."""
    return TokenBucket(rate, max(1.0, rate), now)


class RetryBudget:
    """How many retries a service has."""

    __slots__ = ("_at", "share", "tokens")

    def __init__(self, share: float, now: float) -> None:
        self.share = share
        self.tokens = FREE_AT_START
        self._at = now

    def request(self) -> None:
        """A request came."""
        tokens = self.tokens + self.share
        self.tokens = tokens if tokens < MAX_SAVED else MAX_SAVED

    def take(self, now: float) -> bool:
        """Whether one may be tried again now; if so, that is paid."""
        if self.share <= 0.0:
            return False
        free = (now - self._at) * FREE_PER_SECOND
        self._at = now
        self.tokens = min(MAX_SAVED, self.tokens + free)
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


def retry_after(seconds: float) -> str:
    """The value of a Retry-After header."""
    return str(max(1, min(3_600, math.ceil(seconds))))
