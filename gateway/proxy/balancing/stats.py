"""What happened, in numbers of fixed size. Pure.

Counters only grow, as Prometheus wants them; rates are for who reads them twice.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

# Upper bounds of the latency buckets in seconds; one more bucket is above the last.
BOUNDS: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip


class Latencies:
    """A histogram: time from a request's head to its answer's head, in seconds."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def snapshot(self) -> dict[str, Any]:
        """As JSON: count, sum, percentiles in seconds, and the buckets with their bounds."""
        return {
            "count": sum(self.buckets),
            "sum_seconds": round(self.total, 6),
            "p50": quantile(self.buckets, 0.5),
            "p90": quantile(self.buckets, 0.9),
            "p99": quantile(self.buckets, 0.99),
            "bounds": list(BOUNDS),
            "buckets": list(self.buckets),
        }


def quantile(buckets: Sequence[int], share: float) -> float:
    """The value that `share` of all are not above, interpolated within its bucket; 0 if none."""
    count = sum(buckets)
    if not count:
        return 0.0
    rank = share * count
    below = 0
    for at, size in enumerate(buckets):
        if size and below + size >= rank:
            low = BOUNDS[at - 1] if at else 0.0
            high = BOUNDS[at] if at < len(BOUNDS) else BOUNDS[-1]
            return round(low + (high - low) * (rank - below) / size, 6)
        below += size
    return BOUNDS[-1]


class InstanceStats:
    """Of one instance."""

    __slots__ = ("failures", "latencies", "requests")

    def __init__(self) -> None:
        self.requests = 0
        """Tries sent or about to be sent to it."""
        self.failures = 0
        """Tries without an answer, or with one of 502, 503, 504."""
        self.latencies = Latencies()


class ServiceStats:
    """Of one service."""

    __slots__ = (
        "aborted",
        "ejections",
        "latencies",
        "no_instance",
        "over_concurrency",
        "over_rate",
        "requests",
        "retries",
        "statuses",
    )

    def __init__(self) -> None:
        self.requests = 0
        """Requests of clients."""
        self.retries = 0
        """Tries beside the first."""
        self.over_rate = 0
        self.over_concurrency = 0
        self.no_instance = 0
        self.aborted = 0
        """Answers cut short, by the instance or by the client."""
        self.ejections = 0
        self.latencies = Latencies()
        """Of all instances, also those that are gone."""
        # Answers by class, 1xx to 5xx, the proxy's own included.
        self.statuses = [0] * 6

    def snapshot(self) -> dict[str, int]:
        """As JSON."""
        return {
            "requests": self.requests,
            "retries": self.retries,
            "over_rate": self.over_rate,
            "over_concurrency": self.over_concurrency,
            "no_instance": self.no_instance,
            "aborted": self.aborted,
            **{f"status_{kind}xx": self.statuses[kind] for kind in range(1, 6)},
        }
