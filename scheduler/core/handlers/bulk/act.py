"""What a call about many tasks does to one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from quorate.runtime.ids import TaskId
from scheduler.core.model.effects import Effects
from scheduler.core.model.events import BulkContinued, TaskRecorded
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State

# Bytes of a task's new status beside its past attempts, and of one of those with its hooks.
WRITE_BYTES = 500
PAST_BYTES = 1_300


@dataclass(frozen=True, slots=True)
class Act:
    """One kind of call.

    Attributes:
        counts: how many numbers its answer has.
        changes: the first so many of them count what was changed.
        weigh: bytes of what is written of a task; 0 for what is left alone.
        perform: does it, unless the task is to be left alone; the place in the counts. Gets the
            counts so far.
    """

    counts: int
    changes: int
    weigh: Callable[[State, TaskId, TaskRecorded | None], int]
    perform: Callable[
        [State, Limits, BulkContinued, TaskId, TaskRecorded | None, list[int], float, Effects], int
    ]
