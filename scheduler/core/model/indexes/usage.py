"""What each caller and each queue has on record: live tasks, finished tasks, stored bytes. Pure.

Kept up to date by `State` wherever a task comes, finishes or goes, from the rows alone. So a
standby that folds the log counts the same as the leader, and nothing is counted anew at a failover.

Bytes are counted in units of 256: a task's weight is a small number, which costs no memory of its
own. A task weighs its spec and 192 bytes for its keys and its status record; a finished one its
result or error too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from scheduler.core.values import TaskSpec

UNIT: Final = 256
# Of a task's two keys and its status record without an outcome, about.
_RECORDS: Final = 192


class Sized(Protocol):
    """A message of protobuf."""

    def ByteSize(self) -> int: ...


@dataclass(slots=True, eq=False)
class Usage:
    """Of one caller or one queue."""

    name: str
    live: int = 0
    finished: int = 0
    units: int = 0
    # Of large values that tasks on record name: `scheduler.core.model.indexes.blobs`.
    blob_bytes: int = 0
    # Of batches that are accepted and not written yet. Memory of the leader only.
    coming_tasks: int = 0
    coming_units: int = 0
    coming_blobs: int = 0
    # Jobs on record, and their subtasks that are not finished.
    jobs: int = 0
    subtasks: int = 0
    # As `coming_tasks`: of the arrays of graphs.
    coming_subtasks: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing of it is on record or under way."""
        return not (self.live or self.finished or self.coming_tasks or self.jobs)

    @property
    def tasks(self) -> int:
        """Tasks that are not finished, those of accepted batches included."""
        return self.live + self.coming_tasks

    @property
    def live_subtasks(self) -> int:
        """Subtasks that are not finished, those of accepted graphs included."""
        return self.subtasks + self.coming_subtasks

    @property
    def stored_bytes(self) -> int:
        """Bytes on record, those of accepted batches included."""
        return (self.units + self.coming_units) * UNIT

    @property
    def named_bytes(self) -> int:
        """Bytes of large values, those of accepted batches included."""
        return self.blob_bytes + self.coming_blobs

    def began(self, units: int) -> None:
        """A task is live from now on."""
        self.live += 1
        self.units += units

    def ended(self, units: int) -> None:
        """A live task is finished, and weighs this much more."""
        self.live -= 1
        self.finished += 1
        self.units += units

    def gone(self, units: int) -> None:
        """A finished task is deleted, or about to be live again."""
        self.finished -= 1
        self.units -= units


def task_units(spec: int) -> int:
    """The weight of a task whose spec has so many bytes."""
    return (spec + _RECORDS + UNIT - 1) // UNIT


def tasks_units(specs: Iterable[TaskSpec]) -> int:
    """The weight of tasks together: `task_units` written out, for tens of thousands."""
    beside = _RECORDS + UNIT - 1
    return sum([(len(spec.spec) + beside) // UNIT for spec in specs])


def tasks_blobs(specs: Iterable[TaskSpec]) -> int:
    """Bytes of the large payloads of tasks, each counted for each task that names it."""
    return sum([spec.blob.size for spec in specs if spec.blob is not None])


def outcome_units(outcome: Sized | None) -> int:
    """The weight of a result or an error, rounded down: most are a few bytes."""
    return 0 if outcome is None else outcome.ByteSize() // UNIT
