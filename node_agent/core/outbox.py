"""Outcomes that the leader has not acknowledged yet.

An outcome stays here until it is durable on the leader's side (or stale there), whatever becomes
of sessions in between: each new session sends all of them again. The box is bounded by the
agent's credit: while it is `full` no new work is taken, so at most the attempts already accepted
can be added.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from node_agent.core.attempts import Outcome

MAX_REPORTS = 10_000
MAX_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class Report:
    """One finished attempt."""

    task_id: str
    number: int
    outcome: Outcome
    size: int


class Outbox:
    """Reports in the order in which the attempts finished."""

    def __init__(self, max_reports: int = MAX_REPORTS, max_bytes: int = MAX_BYTES) -> None:
        self._reports: dict[tuple[str, int], Report] = {}
        self._bytes = 0
        self._max_reports = max_reports
        self._max_bytes = max_bytes

    def add(self, task_id: str, number: int, outcome: Outcome) -> Report:
        """Keep an outcome; the report to send."""
        size = outcome.size
        report = Report(task_id, number, outcome, size)
        ref = (task_id, number)
        assert ref not in self._reports, "an attempt finished twice"
        self._reports[ref] = report
        self._bytes += size
        return report

    def acknowledge(self, ref: tuple[str, int]) -> bool:
        """Forget one; whether it was here."""
        report = self._reports.pop(ref, None)
        if report is None:
            return False
        self._bytes -= report.size
        return True

    def get(self, ref: tuple[str, int]) -> Report | None:
        """The report of an attempt, if it is still unacknowledged."""
        return self._reports.get(ref)

    def clear(self) -> None:
        """Forget all: the instance they belong to is no more."""
        self._reports.clear()
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether a bound is reached and no work should be taken."""
        return len(self._reports) >= self._max_reports or self._bytes >= self._max_bytes

    def __len__(self) -> int:
        return len(self._reports)

    def __iter__(self) -> Iterator[Report]:
        return iter(self._reports.values())
