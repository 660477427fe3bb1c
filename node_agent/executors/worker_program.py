"""How a Python worker is started, and whom its executor notifies of what it does."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from node_agent.core.attempts import Attempt
from node_agent.executors.chunk_events import ChunkEvents
from node_agent.protocol.answers import DEFAULT_MAX_RESULT
from quorate.blobs.names import DEFAULT_MAX_BYTES


class Events(ChunkEvents, Protocol):
    """Whom the executor notifies (the driver)."""

    def on_yielded(self, attempt: Attempt) -> bool: ...

    def on_resumed(self, attempt: Attempt) -> None: ...

    def on_progress(self, attempt: Attempt, fraction: float | None, text: str) -> None: ...

    def on_recalled(self, lane: int, unstarted: Sequence[Attempt]) -> None: ...

    def on_lane_ready(self, lane: int) -> None: ...

    def on_lane_lost(self, lane: int) -> None: ...


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """When a worker is replaced, between two attempts; 0 is never. And what it may answer."""

    max_tasks: int = 100_000
    max_bytes: int = 1 << 30
    # Bytes of a result, at most `replies.MAX_RESULT`; user code that gets around the worker's own
    # look at it is held to that.
    max_result: int = DEFAULT_MAX_RESULT
    # Where larger results go, and large arguments come from; "": nowhere. Bytes of one.
    blob_url: str = ""
    max_blob: int = DEFAULT_MAX_BYTES


def worker_command(lane: int, limits: WorkerLimits) -> list[str]:
    """The command line of the worker in a lane."""
    return [
        sys.executable,
        *("-P", "-m", "node_agent.worker"),
        str(lane),
        str(limits.max_tasks),
        str(limits.max_bytes),
        str(limits.max_result),
        str(limits.max_blob),
        limits.blob_url,
    ]


def worker_environment(directory: str, node: str, instance: str) -> dict[str, str]:
    """What a worker has in its environment beside the agent's own; it imports from `directory`."""
    return {
        "PYTHONPATH": os.pathsep.join(import_path(directory)),
        "QUORATE_NODE": node,
        "QUORATE_AGENT_INSTANCE": instance,
    }


def import_path(directory: str) -> Iterable[str]:
    """Where workers import from: the agent's directory, its PYTHONPATH, and this package's home."""
    yield directory
    if inherited := os.environ.get("PYTHONPATH"):
        yield inherited
    yield str(Path(__file__).resolve().parents[2])
