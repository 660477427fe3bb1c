"""What the machine must know of what a caller asks for, and what a job adds to sums."""

from __future__ import annotations

from typing import NamedTuple

from scheduler.core.arrays.levels import reduces
from scheduler.core.place_rules import Label, Rules
from scheduler.core.values import MemberOf, Needs, RetryPolicy, TaskLimits


class JobSpec(NamedTuple):
    """What the machine must know of what a caller asks for; the rest is opaque bytes.

    `spec`: without items, the template without its payload. `priority` to `text`: of the template.
    """

    spec: bytes
    priority: int
    retry: RetryPolicy
    needs: Needs
    text: str
    # 0: no limit.
    max_parallel: int = 0
    # -1: no limit.
    max_failures: int = -1
    # Of `count`; 0.0: no limit.
    max_failure_share: float = 0.0
    close_after_idle: float = 86_400.0
    # It has items; an array without is given its `count` at once.
    items: bool = False
    # What the index of a position is made of; for people's texts.
    first_index: int = 0
    index_step: int = 1
    # Of the runs of a schedule: its name.
    schedule: str = ""
    # Of the template: by which its chunks choose nodes, and the labels that they have there.
    rules: Rules | None = None
    labels: tuple[Label, ...] = ()
    # It runs programs, not Python functions.
    programs: bool = False
    # What becomes of the results; None: they are the outcome.
    reduce: ReduceSpec | None = None
    # Of the template: each chunk holds a permit of these limits, each subtask takes a start of
    # their rates; and whose share its chunks are.
    limits: TaskLimits | None = None
    tenant: str = ""


class ReduceSpec(NamedTuple):
    """How the results of an array are reduced: see `scheduler.core.arrays.levels`."""

    # Of each level of reduces, as a job.
    level: JobSpec
    # Results of one reduce; 0: all.
    fan_in: int = 0

    def reduces(self, count: int) -> int:
        """How many reduces it takes from so many results to one."""
        return reduces(count, self.fan_in)


class Tally(NamedTuple):
    """What a job adds to the sums of its queue and its creator."""

    scheduled: int = 0
    pending: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    # Of an array in a graph: those that wait for others.
    blocked: int = 0
    # Subtasks that are not finished, and reduces to come.
    live: int = 0
    units: int = 0


NO_TALLY = Tally()


class GraphArray(NamedTuple):
    """An array that is a task of a graph, as a caller asks for it.

    `spec`: of its job; `loading`: its items follow with `JobItemsAdded`, `coming` of
    `coming_bytes`; `items`: few, that are there at once."""

    member: MemberOf
    spec: JobSpec
    template: bytes
    size: int
    loading: bool = False
    items: tuple[bytes, ...] = ()
    coming: int = 0
    coming_bytes: int = 0

    @property
    def subtasks(self) -> int:
        """How many it has once it is complete."""
        return self.size + self.coming

    @property
    def bytes(self) -> int:
        """What it weighs beside the items that follow."""
        return len(self.template) + len(self.spec.spec) + sum(map(len, self.items))
