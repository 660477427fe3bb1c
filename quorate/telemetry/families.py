"""Short ways to make families of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from quorate.telemetry.buckets import Buckets, add_histogram

# By what the label says, or the two labels in their order.
Values = Mapping[str, float] | Mapping[tuple[str, str], float]


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """A gauge without labels."""
    return GaugeMetricFamily(name, text, value=float(value))


def counter(name: str, text: str, value: float) -> CounterMetricFamily:
    """A counter without labels; `_total` is added to its name."""
    return CounterMetricFamily(name, text, value=float(value))


def gauges(name: str, text: str, labels: Sequence[str], values: Values) -> GaugeMetricFamily:
    """A gauge of each of `values`, under one or two labels."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for said, value in values.items():
        family.add_metric((said,) if isinstance(said, str) else said, value)
    return family


def counters(name: str, text: str, labels: Sequence[str], values: Values) -> CounterMetricFamily:
    """As `gauges`, of counters; `_total` is added to their name."""
    family = CounterMetricFamily(name, text, labels=labels)
    for said, value in values.items():
        family.add_metric((said,) if isinstance(said, str) else said, value)
    return family


def histogram(name: str, text: str, buckets: Buckets) -> HistogramMetricFamily:
    """A histogram without labels."""
    family = HistogramMetricFamily(name, text)
    add_histogram(family, (), buckets.bounds, buckets.counts, buckets.total)
    return family
