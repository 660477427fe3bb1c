"""A lease's health, as schedulers and agents report it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from prometheus_client.core import Metric

from quorate.telemetry.families import gauge


class Lease(Protocol):
    """`quorate.etcd.lease.LeaseSession`."""

    trusted_until: float
    ttl: int


def lease_metrics(lease: Lease | None, now: float) -> Iterator[Metric]:
    """Its metrics at `now` (monotonic seconds); none when there is no lease."""
    if lease is None:
        return
    age = now - (lease.trusted_until - lease.ttl)
    yield gauge(
        "quorate_lease_keepalive_age_seconds",
        "Seconds since the lease was last renewed.",
        max(0.0, age),
    )
    yield gauge(
        "quorate_lease_ttl_seconds",
        "Length of the lease: it ends this many seconds after the last renewal.",
        lease.ttl,
    )
