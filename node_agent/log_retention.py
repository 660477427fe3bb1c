"""Deletes the oldest logs of a node: those past an age, and then by total size.

Runs in a thread of its own, as it walks the whole tree; what it finds gone meanwhile is no error.
Logs of attempts that run now are young, and so the last to go.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog

from quorate.runtime.clock import Clock

_log = structlog.get_logger("node_agent.logs")

_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Retention:
    """How long logs are kept (seconds) and how much of them (bytes on disk)."""

    age: float = 7 * 86_400.0
    total: int = 2 << 30
    every: float = 60.0


class _Entry(NamedTuple):
    modified: float
    size: int
    path: Path


async def run(root: Path, retention: Retention, clock: Clock) -> None:
    """Clean up for ever."""
    while True:
        await asyncio.sleep(retention.every)
        try:
            deleted = await asyncio.to_thread(clean, root, retention, clock.wall())
        except OSError as error:
            # A disk in trouble: logs are not worth the agent's life. Tried again next time.
            _log.error("logs cannot be cleaned up", error=str(error))
        else:
            if deleted:
                _log.info("deleted old logs", attempts=deleted)


def clean(root: Path, retention: Retention, now: float) -> int:
    """Delete what is too much; how many attempts' logs went."""
    entries = sorted(_entries(root))
    total = sum(entry.size for entry in entries)
    deleted = 0
    for entry in entries:
        if total <= retention.total and now - entry.modified <= retention.age:
            break
        shutil.rmtree(entry.path, ignore_errors=True)
        try:
            entry.path.parent.rmdir()
        except OSError:
            pass  # another attempt of the task is in it
        total -= entry.size
        deleted += 1
    return deleted


def _entries(root: Path) -> Iterator[_Entry]:
    """Every attempt with logs: when it last wrote, and what it takes."""
    for task in _directories(root):
        for attempt in _directories(task):
            modified, size = 0.0, 0
            try:
                for file in os.scandir(attempt):
                    status = file.stat()
                    modified = max(modified, status.st_mtime)
                    size += status.st_blocks * _BLOCK
            except FileNotFoundError:
                continue
            yield _Entry(modified, size, attempt)


def _directories(parent: Path) -> Iterator[Path]:
    try:
        with os.scandir(parent) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)
    except FileNotFoundError:
        return
