"""Keeps what the call says of its progress where the agent reads it (`protocol.progress`)."""

from __future__ import annotations

import mmap
import threading

from node_agent.protocol import progress
from node_agent.worker.waits import Waits


class ProgressMarks:
    """A `quorate.client.tracking.progress.Host`. Thread-safe.

    Args:
        memory: the worker's marks.
        waits: knows which call runs.
    """

    def __init__(self, memory: mmap.mmap, waits: Waits) -> None:
        self._memory = memory
        self._waits = waits
        self._lock = threading.Lock()

    def report(self, fraction: float | None, text: str) -> None:
        """See the protocol. A signal handler that comes in between leaves it out."""
        if not self._waits.key or not self._lock.acquire(blocking=False):
            return
        try:
            progress.write(self._memory, self._waits.key, fraction, text)
        finally:
            self._lock.release()
