"""What etcd would hold of the tasks of a pure core, for the calls that read it back.

Owned by one cluster of tests; written with every step.
"""

from __future__ import annotations

from collections.abc import Iterable

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.storage import records


class Recorded:
    """The records of tasks, by id."""

    def __init__(self) -> None:
        self._tasks: dict[TaskId, e.TaskRecorded] = {}
        self._runs: dict[TaskId, r.RunRecord] = {}

    def note(self, writes: Iterable[fx.Write]) -> None:
        """One step's writes."""
        for write in writes:
            match write:
                case fx.PutTask(row, spec, created_by, unknown):
                    what = records.recorded_spec(spec)
                    if row.member is not None:
                        what = what._replace(member=row.member.of)
                    self._tasks[row.id] = e.TaskRecorded(what, row.create_time, created_by, unknown)
                case fx.PutRun(row):
                    self._runs[row.id] = records.run_record(write)
                case fx.DropTasks(_, first, last):
                    for task in [task for task in self._tasks if first <= task <= last]:
                        self._tasks.pop(task, None)
                        self._runs.pop(task, None)
                case fx.DropTask(_, task):
                    self._tasks.pop(task, None)
                    self._runs.pop(task, None)

    def of(self, task: TaskId) -> e.TaskRecorded:
        """What a task's records hold."""
        run = self._runs.get(task)
        past = records.past_attempts(run) if run is not None else ()
        return self._tasks[task]._replace(past=past)

    def of_job(self, part: e.JobContinued) -> e.JobContinued:
        """As `scheduler.storage.read_back`."""
        return part._replace(found={t: self.of(t) for t in part.tasks if t in self._tasks})

    def read_back(self, part: e.BulkContinued, limits: Limits) -> e.BulkContinued:
        """As `scheduler.storage.read_back`."""
        most, _ = limits.part(small=part.small)
        tasks = part.asked.tasks[part.place : part.place + most]
        found = {task: self.of(task) for task in tasks if task in self._tasks}
        return part._replace(found=found, until=part.place + len(tasks))
