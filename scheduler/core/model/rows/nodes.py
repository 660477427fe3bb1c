"""Nodes: their agents, what these measure and run, and what was asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from scheduler.core.model.rows.work import TaskRow
from scheduler.core.place_rules import Label, Taint
from scheduler.core.values import NO_NEEDS, Needs


@dataclass(slots=True, eq=False)
class Allocation:
    """The RUNNING tasks of one agent process and what they take together."""

    rows: dict[TaskId, TaskRow] = field(default_factory=dict)
    # Of these, chunks of arrays.
    chunks: int = 0
    cpu: float = 0.0
    memory: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    # How many of its tasks have each label; those that none has are left out.
    labels: dict[Label, int] = field(default_factory=dict)
    # Since when it runs nothing; of no meaning while it does.
    idle_since: float = 0.0

    def add(self, row: TaskRow) -> None:
        self.rows[row.id] = row
        if row.chunk is not None:
            self.chunks += 1
        if row.needs is not NO_NEEDS:
            self._count(row.needs, 1)
        self._label(row.labels)

    def relabel(self, row: TaskRow, labels: tuple[Label, ...]) -> None:
        """A task that is here has other labels."""
        self._unlabel(row.labels)
        row.labels = labels
        self._label(labels)

    def _label(self, labels: tuple[Label, ...]) -> None:
        for label in labels:
            self.labels[label] = self.labels.get(label, 0) + 1

    def remove(self, row: TaskRow) -> None:
        del self.rows[row.id]
        if row.chunk is not None:
            self.chunks -= 1
        if row.needs is not NO_NEEDS:
            self._count(row.needs, -1)
        self._unlabel(row.labels)

    def _unlabel(self, labels: tuple[Label, ...]) -> None:
        for label in labels:
            if left := self.labels[label] - 1:
                self.labels[label] = left
            else:
                del self.labels[label]

    def _count(self, needs: Needs, sign: int) -> None:
        self.cpu += sign * needs.cpu
        self.memory += sign * needs.memory
        for name, amount in needs.counters:
            self.counters[name] = self.counters.get(name, 0) + sign * amount


@dataclass(frozen=True, slots=True)
class NodeStats:
    """What a node measured of itself: shares of 0 to 1, bytes."""

    cpu: float = 0.0
    memory_used: int = 0
    memory_total: int = 0
    disk_used: int = 0
    disk_total: int = 0
    load1: float = 0.0
    # Why its agent cannot write to its disk and takes no work; empty when it can.
    disk_error: str = ""
    # Attempts that wait for other tasks and take no slot meanwhile.
    yielded: int = 0


@dataclass(slots=True, eq=False)
class NodeRow:
    """A registered agent process. Not journalled: its lease in etcd is the record."""

    name: NodeName
    instance: InstanceId
    address: str
    slots: int
    cpu: float
    memory: int
    counters: dict[str, int]
    labels: dict[str, str]
    register_time: float
    version: str
    lease: int
    allocation: Allocation
    # Since when it is registered no longer although it may well run what it holds: see
    # `scheduler.core.handlers.nodes.life`. 0.0: it is registered.
    suspect_since: float = 0.0
    # Whether a session is open and its inventory was settled.
    connected: bool = False
    # How many attempts it will hold at once.
    credit: int = 0
    stats: NodeStats = NodeStats()
    # What its process last said that no agent may say; memory only.
    failure: str = ""
    # Whether its agent runs chunks of arrays, and reduces.
    takes_chunks: bool = False
    # Of its agent; those of an operator are in its `Control`.
    taints: tuple[Taint, ...] = ()
    takes_reduces: bool = False
    # Whether it sends signals to programs, and suspends them.
    takes_signals: bool = False
    # Whether it ends single subtasks of a chunk.
    ends_subtasks: bool = False
    # Whether its agent says so before it ends in good order, and whether it has.
    announces_end: bool = False
    ending: bool = False


class LostAttempt(NamedTuple):
    """An attempt that was on a lost node; `job`: `id` is that of the job of a chunk."""

    id: TaskId
    queue: QueueName
    attempt: int
    job: bool = False


@dataclass(frozen=True, slots=True)
class LostNode:
    """A node that was lost, as it is remembered: `scheduler.core.handlers.nodes.lost`."""

    name: NodeName
    instance: InstanceId
    address: str
    slots: int
    cpu: float
    memory: int
    counters: Mapping[str, int]
    labels: Mapping[str, str]
    register_time: float
    version: str
    since: float
    why: str
    # How many attempts it had, and some of them.
    attempts: int = 0
    some: tuple[LostAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """What an operator asked of a node, by name: it outlives the node's process."""

    cordoned: bool = False
    draining: bool = False
    drain_grace: float = 0.0
    taints: tuple[Taint, ...] = ()
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A node whose room is kept for a task: `scheduler.core.placement.reservation`. `row`: the
    task's, or the place of a job in the order."""

    row: TaskRow
    node: NodeName
    instance: InstanceId
    since: float


@dataclass(frozen=True, slots=True)
class ScalingDown:
    """The mark of an idle agent process that a scale-down may end:
    `scheduler.core.handlers.nodes.scaling_down`."""

    instance: InstanceId
    since: float
