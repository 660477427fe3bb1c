"""What a subscription asks for. Values; pure.

Equal filters share one feed: their order and repetitions are normalised away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.live import limits


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Topic `tasks`. Empty parts ask for everything; `limit` is the snapshot's."""

    queue: str = ""
    ids: frozenset[str] = frozenset()
    states: frozenset[int] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    limit: int = limits.LIMIT
    # Whether the progress of running tasks is wanted, too.
    progress: bool = False

    @property
    def partial(self) -> bool:
        """A task may stop matching it while it exists."""
        return bool(self.states or self.labels)

    def names(self, task_id: str, queue: str) -> bool:
        """Whether a task can match at all."""
        return (not self.queue or queue == self.queue) and (not self.ids or task_id in self.ids)

    def has_labels(self, labels: Mapping[str, str]) -> bool:
        """Whether a task has all the labels asked for."""
        return all(labels.get(key) == value for key, value in self.labels)


@dataclass(frozen=True, slots=True)
class NameFilter:
    """Topics `queues`, `nodes` and `services`: only these, all when empty. `cluster`: empty.

    `jobs`: these ids; the newest ones when empty.
    """

    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Topic `logs`. Attempt 0 is the latest; `tail_lines` 0 is all."""

    id: str
    attempt: int = 0
    tail_lines: int = 0


Filter = TaskFilter | NameFilter | LogFilter
