"""How much the cluster does, and how long it takes, from the events of its tasks. Pure.

Counts are kept for each of the last seconds; latencies in histograms of log-spaced buckets (as
DDSketch has them, Masson et al., VLDB 2019: each within 2.5 % of the true value), one for each
second of the last minute. Time is an argument: monotonic seconds.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from quorate.v1 import scheduler_pb2, task_pb2

# Seconds over which rates are averaged, and over which latencies are.
RATE_WINDOW: Final = 5
LATENCY_WINDOW: Final = 60
_GAMMA: Final = 1.05
_LOG: Final = math.log(_GAMMA)
# Bucket 0 is up to 0.01 ms; the last one begins at about 30 days.
_LEAST: Final = 0.01
_BUCKETS: Final = 540
# Attempts that began, to be counted once each.
_RUNNING: Final = 50_000

_COUNTS: Final = ("submitted", "started", "finished", "failed")
_QUANTILES: Final = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
_Event = scheduler_pb2.TaskEvent


class Sketch:
    """Quantiles of the last `window` seconds."""

    def __init__(self, window: int = LATENCY_WINDOW) -> None:
        self._window = window
        # (second, bucket -> count), at most `window` of them.
        self._seconds: OrderedDict[int, dict[int, int]] = OrderedDict()

    def add(self, value: float, now: float) -> None:
        """Count a value (milliseconds)."""
        bucket = 0 if value <= _LEAST else math.ceil(math.log(value / _LEAST) / _LOG)
        counts = self._seconds.setdefault(int(now), {})
        bucket = min(bucket, _BUCKETS)
        counts[bucket] = counts.get(bucket, 0) + 1
        self._trim(now)

    def quantiles(self, now: float) -> dict[str, float]:
        """p50, p90 and p99 in milliseconds; empty without values."""
        self._trim(now)
        merged: dict[int, int] = {}
        for counts in self._seconds.values():
            for bucket, count in counts.items():
                merged[bucket] = merged.get(bucket, 0) + count
        total = sum(merged.values())
        found: dict[str, float] = {}
        seen = 0
        wanted = iter(_QUANTILES)
        name, share = next(wanted)
        for bucket in sorted(merged):
            seen += merged[bucket]
            while seen >= share * total:
                # The middle of the bucket.
                found[name] = round(_LEAST * _GAMMA**bucket * 2 / (1 + _GAMMA), 3)
                following = next(wanted, None)
                if following is None:
                    return found
                name, share = following
        return found

    def _trim(self, now: float) -> None:
        while self._seconds and next(iter(self._seconds)) <= int(now) - self._window:
            self._seconds.popitem(last=False)


class Rates:
    """Counts and latencies of one cluster. `since`: when counting began."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._seconds: OrderedDict[int, dict[str, int]] = OrderedDict()
        self._running: OrderedDict[str, int] = OrderedDict()
        self._queued = Sketch()
        self._ran = Sketch()

    def observe(self, event: scheduler_pb2.TaskEvent, now: float, wall: float) -> None:
        """Count one event.

        Args:
            wall: seconds since the epoch. An event of more than a minute ago, which a resumed watch
                sends late, says nothing about now.
        """
        task = event.task
        if event.kind == _Event.KIND_DELETED:
            self._running.pop(task.id, None)
        elif event.kind == _Event.KIND_CREATED:
            if wall - _seconds(task.create_time) < LATENCY_WINDOW:
                self._count("submitted", now)
        elif task.state == task_pb2.TASK_STATE_RUNNING:
            last = task.attempts[-1] if task.attempts else None
            if last is None or wall - _seconds(last.assign_time) < LATENCY_WINDOW:
                self._started(task, now)
        elif task.state >= task_pb2.TASK_STATE_SUCCEEDED:
            if wall - _seconds(task.finish_time) < LATENCY_WINDOW:
                self._finished(task, now)
            self._running.pop(task.id, None)

    def _started(self, task: task_pb2.Task, now: float) -> None:
        # An attempt is RUNNING in one record or more: when it is given to a node, when it begins.
        if self._running.get(task.id) == task.attempt:
            return
        self._running[task.id] = task.attempt
        self._running.move_to_end(task.id)
        if len(self._running) > _RUNNING:
            self._running.popitem(last=False)
        self._count("started", now)

    def _finished(self, task: task_pb2.Task, now: float) -> None:
        self._count("finished", now)
        if task.state == task_pb2.TASK_STATE_FAILED:
            self._count("failed", now)
        if not task.attempts or not task.attempts[-1].HasField("start_time"):
            return
        self._started(task, now)
        began = _seconds(task.attempts[-1].start_time)
        if task.attempt == 1 and not task.HasField("schedule_time"):
            self._queued.add(max(0.0, began - _seconds(task.create_time)) * 1000, now)
        self._ran.add(max(0.0, _seconds(task.finish_time) - began) * 1000, now)

    def _count(self, name: str, now: float) -> None:
        counts = self._seconds.setdefault(int(now), {})
        counts[name] = counts.get(name, 0) + 1
        while next(iter(self._seconds)) < int(now) - RATE_WINDOW:
            self._seconds.popitem(last=False)

    def figures(self, now: float) -> Mapping[str, Any]:
        """`rates` a second over the last whole seconds, and `latency` over the last minute."""
        last = int(now)
        whole = max(1.0, min(float(RATE_WINDOW), last - self._since))
        totals = dict.fromkeys(_COUNTS, 0)
        for second, counts in self._seconds.items():
            # The present second is not over.
            if last - RATE_WINDOW <= second < last:
                for name, count in counts.items():
                    totals[name] += count
        return {
            "rates": {name: round(total / whole, 2) for name, total in totals.items()},
            "latency": {"queueMs": self._queued.quantiles(now), "runMs": self._ran.quantiles(now)},
        }


def _seconds(stamp: Any) -> float:
    return float(stamp.seconds + stamp.nanos / 1e9)
