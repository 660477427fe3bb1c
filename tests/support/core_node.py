"""An agent process of a `Cluster`: remembers what it was told, says what a test makes it say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.v1 import task_pb2
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.rows import NodeStats
from tests.support.core_specs import node_row

if TYPE_CHECKING:
    from tests.support.core import Cluster


@dataclass
class FakeNode:
    """One agent process: remembers what it was told; says only what a test makes it say."""

    cluster: Cluster
    name: NodeName
    instance: InstanceId
    # Attempts it has been given and has not ended, by task: number, start time.
    has: dict[TaskId, tuple[int, float]] = field(default_factory=dict)
    # Everything it was ever told to start, in order.
    started: list[tuple[TaskId, int]] = field(default_factory=list)
    ended: list[tuple[TaskId, int]] = field(default_factory=list)
    acknowledged: list[tuple[TaskId, int]] = field(default_factory=list)
    # Signals that it was to send, and which attempts it has suspended.
    signals: list[tuple[TaskId, int, int]] = field(default_factory=list)
    suspended: set[tuple[TaskId, int]] = field(default_factory=set)
    drains: list[bool] = field(default_factory=list)
    leaving: list[bool] = field(default_factory=list)
    # Of chunks: which were asked for their rest, and which reports were acknowledged.
    recalled: list[TaskId] = field(default_factory=list)
    # Which subtasks of chunks it was to end.
    ended_subtasks: list[tuple[TaskId, list[tuple[int, int]]]] = field(default_factory=list)
    reports: list[tuple[TaskId, int]] = field(default_factory=list)

    def receive(self, effect: fx.After) -> None:
        """A message of the leader arrives."""
        match effect:
            case fx.StartAttempt(row, attempt, _):
                self.started.append((row.id, attempt))
                known = self.has.get(row.id)
                if known is None or known[0] < attempt:
                    self.has[row.id] = (attempt, 0.0)
            case fx.EndAttempt(_, task, attempt):
                self.ended.append((task, attempt))
            case fx.SignalAttempt(_, task, attempt, number):
                self.signals.append((task, attempt, number))
            case fx.SuspendAttempt(_, task, attempt, True):
                self.suspended.add((task, attempt))
            case fx.SuspendAttempt(_, task, attempt, False):
                self.suspended.discard((task, attempt))
            case fx.Acknowledge(_, task, attempt):
                self.acknowledged.append((task, attempt))
            case fx.RecallChunk(_, chunk, _):
                self.recalled.append(chunk)
            case fx.EndSubtasks(_, chunk, _, ranges):
                self.ended_subtasks.append((chunk, list(ranges)))
            case fx.AcknowledgeReport(_, chunk, _, number):
                self.reports.append((chunk, number))
            case fx.OrderDrain(_, _, draining, _):
                self.drains.append(draining)
            case fx.OrderScaleDown(_, _, leaving):
                self.leaving.append(leaving)

    def register(self, **capacity: object) -> None:
        row = node_row(self.name, self.instance, **capacity)  # type: ignore[arg-type]
        if self.cluster.log is not None:
            self.cluster.log.registered(row)
        self.cluster.step(e.NodeRegistered(row))

    def open(self, finished: Sequence[tuple[TaskId, int]] = ()) -> fx.Effects:
        """Open a session; the inventory is what it has."""
        listed = [(task, number, start) for task, (number, start) in self.has.items()]
        suspended = sorted(self.suspended)
        return self.cluster.step(
            e.SessionOpened(self.name, self.instance, listed, finished, suspended)
        )

    def close(self) -> None:
        self.cluster.step(e.SessionClosed(self.name, self.instance))

    def credit(self, credit: int) -> None:
        self.cluster.step(e.CreditReported(self.name, self.instance, credit))

    def stats(self, **values: float) -> None:
        self.cluster.step(e.StatsReported(self.name, self.instance, NodeStats(**values)))  # type: ignore[arg-type]

    def number(self, task: TaskId) -> int:
        """The attempt it has of a task."""
        return self.has[task][0]

    def start(self, task: TaskId) -> None:
        """The attempt began."""
        number, _ = self.has[task]
        self.has[task] = (number, self.cluster.now)
        self.cluster.step(e.AttemptStarted(self.instance, task, number, self.cluster.now))

    def succeed(
        self, task: TaskId, number: int | None = None, result: task_pb2.TaskResult | None = None
    ) -> fx.Effects:
        """Report a success, by default of the attempt it has."""
        number, start = self._end(task, number)
        return self.cluster.step(
            e.AttemptSucceeded(self.instance, task, number, start, self.cluster.now, result)
        )

    def fail(
        self,
        task: TaskId,
        error_type: str = "ValueError",
        number: int | None = None,
        traceback: str = "",
        message: str = "it failed",
    ) -> fx.Effects:
        number, start = self._end(task, number)
        error = task_pb2.TaskError(type=error_type, message=message, traceback=traceback)
        return self.cluster.step(
            e.AttemptFailed(
                self.instance, task, number, start, self.cluster.now, error_type, message, error
            )
        )

    def give_back(self, task: TaskId) -> fx.Effects:
        number, _ = self._end(task, None)
        return self.cluster.step(e.AttemptReturned(self.instance, task, number))

    def lose(self) -> None:
        """Its lease ended."""
        if self.cluster.log is not None:
            self.cluster.log.lease_ended(self.name, self.instance)
        self.cluster.step(e.NodeLost(self.name, self.instance, "test"))

    def _end(self, task: TaskId, number: int | None) -> tuple[int, float]:
        known, start = self.has.get(task, (0, 0.0))
        if number is None or number == known:
            self.has.pop(task, None)
        return known if number is None else number, start or self.cluster.now
