"""Bounds of the requests about queues; see `scheduler.api.validate`."""

from __future__ import annotations

from quorate.v1 import queue_pb2
from scheduler.api.validate import DAY, MAX_AHEAD, between, duration

MAX_RETAINED = 1_000_000


def retention(queue: queue_pb2.Queue) -> tuple[float, int]:
    """(age in seconds, count) of a queue."""
    age, count = DAY, 100_000
    if queue.retention.HasField("age"):
        age = duration("queue.retention.age", queue.retention.age, MAX_AHEAD)
        between("queue.retention.age", age, 1, MAX_AHEAD)
    if queue.retention.count:
        count = queue.retention.count
        between("queue.retention.count", count, 1, MAX_RETAINED)
    return age, count
