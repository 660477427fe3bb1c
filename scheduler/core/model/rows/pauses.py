"""Pauses that hold for all tasks that match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from quorate.runtime.ids import QueueName
from scheduler.core.place_rules import Label
from scheduler.core.values import PauseScope

EVERY_QUEUE: Final = QueueName("")


@dataclass(frozen=True, slots=True)
class PauseRow:
    """A pause by queue, labels and fairness key; what is empty matches every task."""

    name: str
    queue: QueueName = EVERY_QUEUE
    labels: tuple[Label, ...] = ()
    tenant: str = ""
    scope: PauseScope = PauseScope.DISPATCH
    reason: str = ""
    # 0.0: until somebody ends it.
    until: float = 0.0
    by: str = ""
    since: float = 0.0
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""

    def matches(self, queue: QueueName, labels: tuple[Label, ...], tenant: str) -> bool:
        """Whether it holds for a task or a job."""
        return (
            (not self.queue or self.queue == queue)
            and (not self.tenant or self.tenant == tenant)
            and all(label in labels for label in self.labels)
        )

    @property
    def of_what(self) -> str:
        """The tasks for which it holds, for people."""
        parts = [f"of queue {self.queue}"] if self.queue else []
        if self.labels:
            parts.append(f"with {', '.join(map('='.join, self.labels))}")
        if self.tenant:
            parts.append(f"of tenant {self.tenant}")
        return f"tasks {' '.join(parts)}"
