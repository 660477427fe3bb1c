"""Deletes the oldest logs of a node: those past an age, then by total size, and for want of room.

Runs in a thread of its own, as it walks the whole tree; what it finds gone meanwhile is no error.
Logs of programs that run are spared: one that says nothing for weeks, such as a replica, would go
on writing into a file that nobody can open any more.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import structlog

from node_agent.core.disk import Shortage
from node_agent.logs.attempt_log import LogStore
from quorate.runtime.timing.clock import Clock

_log = structlog.get_logger("node_agent.logs")

_BLOCK = 512
# Attempts whose logs a sweep tries to delete in one step, and the bytes after which a step ends.
_STEP_ATTEMPTS = 200
_STEP_BYTES = 256 << 20


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
    # Inodes: its files and itself.
    files: int = 1


async def run(logs: LogStore, retention: Retention, clock: Clock) -> None:
    """Clean up for ever."""
    while True:
        await asyncio.sleep(retention.every)
        try:
            deleted, logs.bytes = await asyncio.to_thread(
                clean, logs.root, retention, clock.wall(), frozenset(logs.running)
            )
        except OSError as error:
            # A disk in trouble: logs are not worth the agent's life. Tried again next time.
            _log.error("log_cleanup_failed", error=str(error))
        else:
            if deleted:
                _log.info("old_logs_deleted", attempts=deleted)


class Cleaned(NamedTuple):
    """What a clean-up did: of how many attempts the logs went, and the bytes of those that stay."""

    deleted: int
    left: int


def clean(root: Path, retention: Retention, now: float, spared: Collection[str] = ()) -> Cleaned:
    """Delete what is too much, not in the directories `spared`."""
    entries = sorted(_entries(root))
    total = sum(entry.size for entry in entries)
    deleted = 0
    for entry in entries:
        if total <= retention.total and now - entry.modified <= retention.age:
            break
        if str(entry.path) in spared:
            continue
        _delete(entry)
        total -= entry.size
        deleted += 1
    return Cleaned(deleted, total)


class Sweep:
    """Deletes the oldest logs until a shortage is made up for, or only what is to be kept is left.

    Memory: an entry for each attempt with logs, as `clean` has it.

    Attributes:
        attempts: whose logs were deleted so far.
        bytes: freed so far.
        done: nothing is left to be done.
    """

    def __init__(self, root: Path, shortage: Shortage) -> None:
        self.attempts = 0
        self.bytes = 0
        self.done = False
        self._root = root
        self._shortage = shortage
        self._files = 0
        self._total = 0
        # The oldest last; None before the first step.
        self._left: list[_Entry] | None = None

    def step(self, spared: Collection[str]) -> int:
        """Delete some, not those in the directories `spared`; how many attempts' logs went.

        Blocks: run it in a thread. Raises nothing.
        """
        if self._left is None:
            self._left = self._found()
            self._total = sum(entry.size for entry in self._left)
        deleted = tried = size = 0
        while tried < _STEP_ATTEMPTS and size < _STEP_BYTES:
            tried += 1
            if not self._left or self._enough:
                self.done = True
                break
            entry = self._left.pop()
            if self._total - entry.size < self._shortage.keep:
                self.done = True
                break
            self._total -= entry.size
            if str(entry.path) in spared or not _delete(entry):
                continue
            deleted += 1
            size += entry.size
            self.attempts += 1
            self.bytes += entry.size
            self._files += entry.files
        return deleted

    @property
    def _enough(self) -> bool:
        return self.bytes >= self._shortage.bytes and self._files >= self._shortage.files

    def _found(self) -> list[_Entry]:
        try:
            return sorted(_entries(self._root), reverse=True)
        except OSError as error:
            _log.error("log_scan_failed", error=str(error))
            return []


def _delete(entry: _Entry) -> bool:
    """Delete an attempt's logs; whether they are gone."""
    shutil.rmtree(entry.path, ignore_errors=True)
    try:
        entry.path.parent.rmdir()
    except OSError:
        pass  # another attempt of the task is in it
    return not os.path.lexists(entry.path)


def _entries(root: Path) -> Iterator[_Entry]:
    """Every attempt with logs: when it last wrote, and what it takes."""
    for task in _directories(root):
        for attempt in _directories(task):
            modified, size, files = 0.0, 0, 1
            try:
                for file in os.scandir(attempt):
                    status = file.stat()
                    modified = max(modified, status.st_mtime)
                    size += status.st_blocks * _BLOCK
                    files += 1
            except FileNotFoundError:
                continue
            yield _Entry(modified, size, attempt, files)


def _directories(parent: Path) -> Iterator[Path]:
    try:
        with os.scandir(parent) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)
    except FileNotFoundError:
        return
