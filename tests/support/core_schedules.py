"""Schedules around a pure core: a wall clock of their own, and looks at what is due.

    s = Schedules(Cluster())
    s.create("report", cron="0 * * * *", overlap=Overlap.SKIP)
    s.run_to(3_600)
    assert s.ticks("report") == [3_600]

Seconds count from `BEGIN`, midnight UTC. `Schedules` looks at schedules as the leader's duty does:
in the order of their instants, until nothing is due.
"""

from __future__ import annotations

from typing import Any

from quorate.internal.v1.records_pb2 import TaskRecord
from quorate.runtime.ids import TaskId
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import schedule_pb2 as pb
from scheduler.core.handlers.schedules.calls import ScheduleSeen
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.schedules import (
    Backfill,
    MissReason,
    Overlap,
    Pause,
    ScheduleName,
    ScheduleRow,
    ScheduleSpec,
    micros,
)
from scheduler.storage import keys, records
from tests.support.core import Cluster
from tests.support.core_log import Log

# 2023-11-15T00:00:00Z, a Wednesday.
BEGIN = 1_700_006_400
_CREATOR = "submitter:ci"


def at(seconds: float) -> int:
    """So many seconds after `BEGIN`, as the core counts."""
    return micros(BEGIN + seconds)


def schedule_spec(
    name: str,
    *,
    cron: str = "",
    every: float = 0.0,
    once: float = 0.0,
    zone: str = "",
    queue: str = "",
    overlap: Overlap = Overlap.SKIP,
    window: float = 0.0,
    count: int = 0,
    jitter: float = 0.0,
    blackouts: tuple[tuple[float, float] | tuple[str, float], ...] = (),
    start: float | None = None,
    end: float | None = None,
    max_runs: int = 0,
    pause_on_failure: bool = False,
    subtasks: int = 0,
    items: tuple[bytes, ...] = (),
    graph: job_pb2.JobGraph | None = None,
) -> ScheduleSpec:
    """A spec as the service makes it: from a message, through the codec."""
    message = pb.ScheduleSpec(
        time_zone=zone,
        queue=queue,
        overlap=int(overlap),  # type: ignore[arg-type]
        catch_up_count=count,
        max_runs=max_runs,
        pause_on_failure=pause_on_failure,
    )
    if graph is not None:
        message.job.name = "Reports"
        message.job.graph.CopyFrom(graph)
    elif subtasks or items:
        message.job.template.command.argv.extend(("report", "{index}"))
        message.job.name = "Reports"
        message.job.count = subtasks
        message.job.items.extend(items)
    else:
        message.task.command.argv.append("report")
    if cron:
        message.cron = cron
    elif every:
        message.interval.every.FromMicroseconds(micros(every))
        message.interval.anchor.FromMicroseconds(at(0))
    else:
        message.at.FromMicroseconds(at(once))
    for field, value in (("catch_up_window", window), ("jitter", jitter)):
        if value:
            getattr(message, field).FromMicroseconds(micros(value))
    for field, instant in (("start_time", start), ("end_time", end)):
        if instant is not None:
            getattr(message, field).FromMicroseconds(at(instant))
    for begin, last in blackouts:
        blackout = message.blackouts.add()
        if isinstance(begin, str):
            blackout.cron = begin
            blackout.duration.FromMicroseconds(micros(last))
        else:
            blackout.start_time.FromMicroseconds(at(begin))
            blackout.end_time.FromMicroseconds(at(last))
    return records.schedule_spec(ScheduleName(name), message)


class Schedules:
    """The schedules of a cluster, and their clock."""

    def __init__(self, cluster: Cluster, wall: float = 0.0) -> None:
        self.cluster = cluster
        self.wall = wall
        # The reason why no task can be created, as the duty gives it.
        self.refused = ""

    # -- calls

    def create(self, name: str, **spec: Any) -> ScheduleSeen:
        """Create a schedule that must not be refused."""
        answer = self.cluster.call(
            lambda token: e.ScheduleSubmitted(
                ScheduleName(name),
                schedule_spec(name, **spec),
                at(self.wall),
                e.Request(),
                token,
                _CREATOR,
            )
        )
        assert isinstance(answer, ScheduleSeen), answer
        return answer

    def update(self, name: str, **spec: Any) -> ScheduleSeen:
        version = self.row(name).version
        answer = self.cluster.call(
            lambda token: e.ScheduleUpdateAsked(
                ScheduleName(name),
                schedule_spec(name, **spec),
                version,
                at(self.wall),
                e.Request(),
                token,
            )
        )
        assert isinstance(answer, ScheduleSeen), answer
        return answer

    def pause(self, name: str, until: float = 0.0) -> None:
        self._pause(name, Pause("maintenance", "operator:o", at(until) if until else 0))

    def resume(self, name: str) -> None:
        self._pause(name, None)

    def _pause(self, name: str, pause: Pause | None) -> None:
        answer = self.cluster.call(
            lambda token: e.SchedulePauseAsked(
                ScheduleName(name), pause, at(self.wall), e.Request(), token
            )
        )
        assert isinstance(answer, ScheduleSeen), answer

    def delete(self, name: str) -> object:
        return self.cluster.call(
            lambda token: e.ScheduleDeleteAsked(ScheduleName(name), e.Request(), token)
        )

    def run_now(self, name: str, request: e.Request = e.Request()) -> object:  # noqa: B008
        task = self.cluster.new_id()
        return self.cluster.call(
            lambda token: e.ScheduleRunAsked(
                ScheduleName(name), task, at(self.wall), request, token
            )
        )

    def backfill(
        self, name: str, begin: float, end: float, overlap: Overlap = Overlap.QUEUE_ALL
    ) -> object:
        under_way = Backfill(at(begin) - 1, at(end), overlap)
        return self.cluster.call(
            lambda token: e.ScheduleBackfillAsked(ScheduleName(name), under_way, e.Request(), token)
        )

    # -- time

    def look(self, most: int = 10_000) -> int:
        """Look at what is due by now, one after the other; how many looks that took."""
        for number in range(most):
            due = self.cluster.state.schedules.next_due()
            if due is None or due[0] > at(self.wall):
                return number
            self.step(due[1])
        return most

    def step(self, name: str) -> fx.Effects:
        """One look at one schedule."""
        return self.cluster.step(
            e.ScheduleDue(ScheduleName(name), at(self.wall), self.cluster.new_id(), self.refused)
        )

    def run_to(self, wall: float) -> None:
        """Let time pass up to `wall`, looking whenever something is due."""
        while True:
            self.look()
            due = self.cluster.state.schedules.next_due()
            if due is None or due[0] > at(wall):
                break
            self.jump_to(due[0] / 1e6 - BEGIN)
        self.jump_to(wall)
        self.look()

    def jump_to(self, wall: float) -> None:
        """Let time pass, or the clock jump, without a look."""
        passed, self.wall = wall - self.wall, wall
        self.cluster.advance(max(0.0, passed))

    # -- what came of it

    def row(self, name: str) -> ScheduleRow:
        return self.cluster.state.schedules.rows[ScheduleName(name)]

    def ticks(self, name: str) -> list[float]:
        """The ticks of the runs that are remembered, oldest first."""
        return [run.tick / 1e6 - BEGIN for run in self.row(name).runs]

    def tasks(self, name: str) -> list[TaskId]:
        """Their tasks."""
        return [run.task for run in self.row(name).runs]

    def waiting(self, name: str) -> list[float]:
        return [tick / 1e6 - BEGIN for tick in self.row(name).waiting]

    def missed(self, name: str) -> list[tuple[float, float, int, MissReason]]:
        """(first, last, how many, reason) of the missed ticks that are remembered."""
        return [
            (miss.first / 1e6 - BEGIN, miss.last / 1e6 - BEGIN, miss.total, miss.reason)
            for miss in self.row(name).misses
        ]


def refused(answer: object) -> str:
    """The reason of a rejection."""
    assert isinstance(answer, Rejection), answer
    return answer.reason


def schedules(**limits: object) -> Schedules:
    return Schedules(Cluster(log=Log(replayable=True), limits=Limits(**limits)))  # type: ignore[arg-type]


def finish_all(s: Schedules) -> None:
    """A node runs everything that waits, and is gone."""
    node = s.cluster.node("n", credit=100)
    while node.has:
        node.succeed(next(iter(node.has)))
    node.lose()


def recorded(s: Schedules, task: str) -> tuple[TaskRecord, task_pb2.TaskSpec]:
    """A task's record, and its spec."""
    log = s.cluster.log
    assert log is not None
    log.flush()
    record = TaskRecord.FromString(log.kept[keys.task_key("default", task)])
    return record, task_pb2.TaskSpec.FromString(record.spec)


def fail_over(s: Schedules) -> None:
    """Another process leads, with what is on record."""
    assert s.cluster.log is not None
    s.cluster.lead(s.cluster.log.followed())


def overlapping(policy: Overlap, to: float = 300, **spec: object) -> Schedules:
    """A run every minute that does not end."""
    s = schedules()
    s.create("r", every=60, overlap=policy, **spec)
    s.run_to(to)
    return s
