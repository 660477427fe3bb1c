"""Measures the machine: processor, memory, disk, load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil

from quorate.v1 import node_pb2

EVERY_SECONDS = 1.0


def measure(data: Path) -> node_pb2.NodeStats:
    """What the machine does now; `cpu` is the share since the previous call."""
    memory = psutil.virtual_memory()
    disk = psutil.disk_usage(str(data))
    return node_pb2.NodeStats(
        cpu=psutil.cpu_percent(None) / 100,
        memory_used=memory.total - memory.available,
        memory_total=memory.total,
        disk_used=disk.used,
        disk_total=disk.total,
        load1=psutil.getloadavg()[0],
    )


async def run(data: Path, report: Callable[[node_pb2.NodeStats], None]) -> None:
    """Measure for ever."""
    measure(data)  # the first value of `cpu` means nothing
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        report(measure(data))
