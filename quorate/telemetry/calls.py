"""Calls that a server answers: how many, with what outcome, how long, and how many are under way.

Names and outcomes are few by nature (RPCs of the protos, routes of the REST API, status codes);
`MOST_NAMES` bounds them all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric

from quorate.telemetry.buckets import FAST_SECONDS, Buckets, add_histogram
from quorate.telemetry.families import counters, gauges
from quorate.telemetry.labels import OTHER

MOST_NAMES: Final = 300


class CallMetrics:
    """Counts calls by name. Owned by one event loop.

    Args:
        prefix: of the metrics' names, such as `quorate_rpc`.
        label: what a name is, such as `method`.
        what: for the texts, such as "RPCs".
        until: for the texts: the end of the time that is measured.
        follows: whether those under way are counted too; then `began` is called for each.
    """

    def __init__(
        self,
        prefix: str,
        label: str,
        what: str,
        *,
        until: str = "the answer",
        follows: bool = True,
    ) -> None:
        self._follows = follows
        self._prefix = prefix
        self._label = label
        self._what = what
        self._until = until
        self._counts: dict[tuple[str, str], int] = {}
        self._seconds: dict[str, Buckets] = {}
        self._under_way: dict[str, int] = {}

    def began(self, name: str) -> str:
        """A call began; the name under which it is counted, for `ended`."""
        under_way = self._under_way
        if name not in under_way and len(under_way) >= MOST_NAMES:
            name = OTHER
        under_way[name] = under_way.get(name, 0) + 1
        return name

    def ended(self, name: str, code: str, seconds: float | None) -> None:
        """It ended. `seconds` is None where a duration means nothing: a stream ends when its caller
        wants."""
        self._under_way[name] -= 1
        self.count(name, code, seconds)

    def count(self, name: str, code: str, seconds: float | None) -> None:
        """Count a call for which `began` was not called."""
        if name not in self._under_way:
            if len(self._under_way) >= MOST_NAMES:
                name = OTHER
            self._under_way.setdefault(name, 0)
        key = (name, code)
        self._counts[key] = self._counts.get(key, 0) + 1
        if seconds is not None:
            buckets = self._seconds.get(name)
            if buckets is None:
                buckets = self._seconds[name] = Buckets(FAST_SECONDS)
            buckets.add(seconds)

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        yield counters(
            f"{self._prefix}_requests",
            f"{self._what} that were answered, by outcome.",
            (self._label, "code"),
            self._counts,
        )
        took = HistogramMetricFamily(
            f"{self._prefix}_request_seconds",
            f"{self._what}: time until {self._until}.",
            labels=(self._label,),
        )
        for name, buckets in self._seconds.items():
            add_histogram(took, (name,), buckets.bounds, buckets.counts, buckets.total)
        yield took
        if not self._follows:
            return
        yield gauges(
            f"{self._prefix}_requests_under_way",
            f"{self._what} that are open now, streams included.",
            (self._label,),
            self._under_way,
        )
