"""What of their quotas callers and queues use, as gauges; of the leader alone."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from quorate.telemetry.labels import Bounded
from scheduler.api.quotas.servicer import QuotaCalls
from scheduler.core.model.limits.quotas import CALLER, EVERYBODY, QUEUE

_LABELS = ("kind", "name", "quota")
# Callers and queues with series of their own; seven series each.
_MOST = 100


def quota_metrics(quotas: QuotaCalls) -> Iterator[Metric]:
    """Usage, and limits where there are any; those beyond `_MOST` of a kind are added up."""
    usage = GaugeMetricFamily(
        "quorate_quota_usage", "What a caller or queue uses of a quota.", labels=_LABELS
    )
    limit = GaugeMetricFamily(
        "quorate_quota_limit",
        "The limit of a quota, of each caller or queue that uses something.",
        labels=_LABELS,
    )
    used = quotas.used()
    shown = {
        kind: Bounded((name for of, name in used if of == kind), _MOST)
        for kind in ("caller", "queue")
    }
    sums: dict[tuple[str, str, str], int] = {}
    for (kind, name), values in used.items():
        label = shown[kind](name)
        for quota, value in values.items():
            sums[kind, label, quota] = sums.get((kind, label, quota), 0) + value
        if label == name:
            for quota, value in quotas.limits(kind, name).items():
                if value >= 0:
                    limit.add_metric((kind, name, quota), value)
    # What holds for those that have none of their own.
    for kind in (CALLER, QUEUE):
        for quota, value in quotas.limits(kind, EVERYBODY).items():
            if value >= 0 and (kind, EVERYBODY) not in used:
                limit.add_metric((kind, EVERYBODY, quota), value)
    for labels, total in sums.items():
        usage.add_metric(labels, total)
    yield usage
    yield limit
