"""Which large values tasks on record name, and what they weigh. Pure.

Kept up to date by `State` from the rows alone, so that leader and standby hold the same. A task may
name two: its payload and its result. What no task names is deleted:
see `scheduler.leadership.sweep`.

Memory: about 500 bytes for each task that names any, nothing for the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from quorate.blobs.names import NAME_WITHIN, Blob, may_be_named
from quorate.runtime.ids import TaskId
from scheduler.core.model.indexes.usage import Usage

_NOTHING: Final[tuple[Blob, ...]] = ()


@dataclass(slots=True)
class NamedBlobs:
    """The values of one state."""

    _of_task: dict[TaskId, tuple[Blob, ...]] = field(default_factory=dict)
    # How many tasks name an object.
    _named: dict[str, int] = field(default_factory=dict)
    # Of all, each counted once for each task that names it.
    bytes: int = 0

    def __len__(self) -> int:
        """Objects that are named."""
        return len(self._named)

    def add(self, task: TaskId, blob: Blob, creator: Usage, queue: Usage) -> None:
        """A task names one more value."""
        held = self._of_task.get(task, _NOTHING)
        if blob in held:
            return
        self._of_task[task] = (*held, blob)
        self._named[blob.name] = self._named.get(blob.name, 0) + 1
        self.bytes += blob.size
        creator.blob_bytes += blob.size
        queue.blob_bytes += blob.size

    def drop(self, task: TaskId, creator: Usage, queue: Usage) -> None:
        """A task is deleted, or about to be put on record anew."""
        for blob in self._of_task.pop(task, _NOTHING):
            left = self._named[blob.name] - 1
            if left:
                self._named[blob.name] = left
            else:
                del self._named[blob.name]
            self.bytes -= blob.size
            creator.blob_bytes -= blob.size
            queue.blob_bytes -= blob.size

    def size_of(self, task: TaskId) -> int:
        """Bytes of the values that a task names."""
        return sum(blob.size for blob in self._of_task.get(task, _NOTHING))

    def recharge(self, task: TaskId, before: Usage, queue: Usage) -> None:
        """A task goes to another queue."""
        size = self.size_of(task)
        before.blob_bytes -= size
        queue.blob_bytes += size

    def __contains__(self, name: str) -> bool:
        """Whether a task on record names this object."""
        return name in self._named

    def may_name(self, blob: Blob, now: float) -> bool:
        """Whether a new task may name it."""
        return may_be_named(blob, now, NAME_WITHIN) or blob.name in self._named
