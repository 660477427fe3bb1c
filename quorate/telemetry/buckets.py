"""Histograms that cost a fifth of a microsecond an observation.

`prometheus_client`'s own take a lock and walk their buckets, about 1.5 us each: too much for what
happens with every task. These are lists, owned by one event loop, and turned into families when
somebody scrapes; the format is `prometheus_client`'s business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client.core import HistogramMetricFamily

# Upper bounds in seconds, for what should take milliseconds; one more bucket is above the last.
FAST_SECONDS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
# For what may take anything from a millisecond to a day.
LONG_SECONDS: Final = (
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0,
)  # fmt: skip
# The same, finer: a quantile that is read between two bounds is at most about a fifth off.
FINE_SECONDS: Final = tuple(
    sorted({*LONG_SECONDS, *(round(0.001 * 2 ** (half / 2), 6) for half in range(53))})
)
# Of things in one transaction: etcd's --max-txn-ops is 128 by default.
RECORDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


class Buckets:
    """One histogram. Not thread-safe: its event loop owns it.

    Args:
        bounds: upper bounds, ascending; each includes its value, as Prometheus has it.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = FAST_SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """One more. What is below zero (clocks that were set) counts as zero."""
        if value < 0.0:
            value = 0.0
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """Observations so far."""
        return sum(self.counts)

    def merge(self, other: Buckets) -> None:
        """Add the observations of another one with the same bounds."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def at(self, bounds: Sequence[float]) -> Buckets:
        """The same observations in fewer buckets: `bounds` are some of its own."""
        coarse = Buckets(bounds)
        coarse.total = self.total
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            coarse.counts[bisect_left(bounds, bound)] += count
        return coarse

    def quantile(self, share: float) -> float:
        """The value that `share` (0 to 1) of the observations do not exceed, as far as buckets say.

        Between two bounds it is read off a straight line. Above the last bound: that bound. 0.0
        without observations.
        """
        wanted = share * self.count
        below, lower = 0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= wanted:
                return lower + (bound - lower) * max(wanted - below, 0.0) / count
            below, lower = below + count, bound
        return self.bounds[-1] if below < self.count else 0.0


def add_histogram(
    family: HistogramMetricFamily,
    labels: Sequence[str],
    bounds: Sequence[float],
    counts: Iterable[int],
    total: float,
) -> None:
    """Add one labelled histogram to a family; `counts` are per bucket, not cumulative."""
    cumulative, below = [], 0
    for bound, count in zip((*map(_text, bounds), "+Inf"), counts, strict=True):
        below += count
        cumulative.append((bound, float(below)))
    family.add_metric(labels, buckets=cumulative, sum_value=total)


def _text(bound: float) -> str:
    return repr(float(bound))
