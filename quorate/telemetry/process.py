"""What each process reports of itself: version, memory, CPU, files, and how its event loop does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import InfoMetricFamily, Metric

import quorate
from quorate.telemetry.buckets import Buckets
from quorate.telemetry.families import histogram

# Seconds between two looks at how late the loop is.
LOOK: Final = 0.25


class Collector(Protocol):
    """Reads what there is to report, at the moment of a scrape."""

    def collect(self) -> Iterable[Metric]:
        """The families; called on the event loop, so that state may be read as it is."""


class LoopLag:
    """How late the event loop gets to what is due: what holds it, holds everything."""

    def __init__(self) -> None:
        self._late = Buckets()

    async def run(self) -> None:
        """Measure until cancelled."""
        # Not the loop's own clock: uvloop's counts milliseconds.
        clock = time.monotonic
        while True:
            before = clock()
            await asyncio.sleep(LOOK)
            self._late.add(clock() - before - LOOK)

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield histogram(
            "quorate_event_loop_lag_seconds",
            f"How late the event loop ran a timer that fires every {LOOK:g} s.",
            self._late,
        )


class _Build:
    def __init__(self, component: str) -> None:
        self._component = component

    def collect(self) -> Iterator[Metric]:
        info = InfoMetricFamily("quorate_build", "Version and component of this process; always 1.")
        info.add_metric((), {"version": quorate.__version__, "component": self._component})
        yield info


def registry_of(component: str, *collectors: Collector) -> CollectorRegistry:
    """A registry with what every process has, and `collectors` of its own.

    Args:
        component: `scheduler`, `node_agent` or `gateway`.
    """
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    for collector in (_Build(component), *collectors):
        registry.register(collector)
    return registry
