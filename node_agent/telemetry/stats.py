"""Measures the machine: processor, memory, disk, load. A disk that does not answer counts as 0."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import psutil

from node_agent.engine.disk import DiskWatch
from quorate.v1 import node_pb2

EVERY_SECONDS = 1.0


def measure(data: Path, disk: DiskWatch) -> node_pb2.NodeStats:
    """What the machine does now; `cpu` is the share since the previous call."""
    memory = psutil.virtual_memory()
    used, total = _disk(data)
    return node_pb2.NodeStats(
        cpu=psutil.cpu_percent(None) / 100,
        memory_used=memory.total - memory.available,
        memory_total=memory.total,
        disk_used=used,
        disk_total=total,
        load1=psutil.getloadavg()[0],
        disk_error=disk.error,
    )


async def run(data: Path, disk: DiskWatch, report: Callable[[node_pb2.NodeStats], None]) -> None:
    """Measure for ever; also at once when the disk can be written no longer, or again."""
    measure(data, disk)  # the first value of `cpu` means nothing
    while True:
        disk.changed.clear()
        try:
            await asyncio.wait_for(disk.changed.wait(), EVERY_SECONDS)
        except TimeoutError:
            pass
        report(measure(data, disk))


def _disk(data: Path) -> tuple[int, int]:
    """Used and all bytes where the data is, as `df` counts them."""
    try:
        found = os.statvfs(data)
    except OSError:
        return 0, 0  # `DiskWatch` says why
    return (found.f_blocks - found.f_bfree) * found.f_frsize, found.f_blocks * found.f_frsize
