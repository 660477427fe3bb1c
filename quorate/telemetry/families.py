"""Short ways to make the families that have no labels."""

from __future__ import annotations

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from quorate.telemetry.buckets import Buckets, add_histogram


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """A gauge without labels."""
    return GaugeMetricFamily(name, text, value=float(value))


def counter(name: str, text: str, value: float) -> CounterMetricFamily:
    """A counter without labels; `_total` is added to its name."""
    return CounterMetricFamily(name, text, value=float(value))


def histogram(name: str, text: str, buckets: Buckets) -> HistogramMetricFamily:
    """A histogram without labels."""
    family = HistogramMetricFamily(name, text)
    add_histogram(family, (), buckets.bounds, buckets.counts, buckets.total)
    return family
