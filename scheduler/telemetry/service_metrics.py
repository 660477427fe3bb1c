"""Replicas of services: how many are wanted, run and are ready, also where that is none."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from quorate.telemetry.families import gauges
from quorate.telemetry.labels import Bounded
from scheduler.core.handlers.services.services import replicas_seen
from scheduler.core.model.state import State


def service_metrics(state: State) -> Iterator[Metric]:
    """A look at each service; those beyond `labels.MOST` are added up under `other`."""
    shown = Bounded(state.services)
    replicas: dict[tuple[str, str], int] = {}
    ended: dict[str, int] = {}
    for name, row in state.services.items():
        label = shown(name)
        seen = replicas_seen(state, row)
        found = {
            "wanted": 0 if row.deleting else row.spec.replicas,
            "running": sum(not one.waiting for one in seen),
            "ready": sum(one.ready for one in seen),
        }
        for kind, count in found.items():
            key = (label, kind)
            replicas[key] = replicas.get(key, 0) + count
        ended[label] = ended.get(label, 0) + sum(
            max(0, replica.attempt - 1) for replica in state.replicas.get(name, {}).values()
        )
    yield gauges(
        "quorate_service_replicas",
        "Replicas of services: wanted, running (with a process), and ready (healthy).",
        ("service", "state"),
        replicas,
    )
    yield gauges(
        "quorate_service_restarts",
        "How often the replicas that a service has now were started again.",
        ("service",),
        ended,
    )
