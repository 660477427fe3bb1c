"""Whom the executors of chunks notify of what becomes of subtasks."""

from __future__ import annotations

from typing import Protocol

from node_agent.core.attempts import Attempt, Outcome
from node_agent.core.chunks.inputs import Wanted


class ChunkEvents(Protocol):
    """The driver."""

    def on_exited(self, attempt: Attempt, outcome: Outcome) -> None: ...

    def on_began(self, attempt: Attempt, when: float) -> None: ...

    def on_chunk_progress(self, attempt: Attempt, ended: int, failed: int) -> None: ...

    def on_results_wanted(self, attempt: Attempt, wanted: Wanted) -> None: ...

    def may_feed(self, attempt: Attempt) -> bool: ...
