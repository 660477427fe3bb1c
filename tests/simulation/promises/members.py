"""Tasks that tasks add to their job, in the log: only an attempt that runs adds one, the job does
not end before it, and nothing of a live job is deleted.

tasks/...  which job a task belongs to; simulated ones say in their work who added them
runs/..., chunks/...  who runs
jobs/...   whether the job has finished
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from quorate.runtime.ids import InstanceId, TaskId
from scheduler.core.values import FINISHED, TaskState


class AddedBy(NamedTuple):
    """The attempt that adds a task; the chunk that it is of, where it is of one."""

    task: str
    attempt: int
    instance: InstanceId
    chunk: str = ""

    @property
    def text(self) -> bytes:
        """For the work of the task."""
        return " ".join(map(str, self)).encode()


def added_by(text: bytes) -> AddedBy | None:
    """Undoes `AddedBy.text`; None for other work."""
    parts = text.decode().split(" ")
    if len(parts) != len(AddedBy._fields):
        return None
    return AddedBy(parts[0], int(parts[1]), InstanceId(parts[2]), parts[3])


class Members:
    """The tasks of jobs of one history.

    Args:
        ran: whether an attempt ran, by what was on record at the last revision.
    """

    def __init__(self, ran: Callable[[AddedBy], bool]) -> None:
        self._ran = ran
        self.job_of: dict[TaskId, TaskId] = {}
        self._live: dict[TaskId, dict[TaskId, None]] = {}
        # Of those that were added: how each ended.
        self._ended: dict[TaskId, dict[TaskId, TaskState]] = {}
        # Whether a job has finished; now, and at the last revision.
        self._finished: dict[TaskId, bool] = {}
        self._finished_before: dict[TaskId, bool] = {}
        self._touched: dict[TaskId, None] = {}
        self._deleted: list[tuple[TaskId, TaskId]] = []
        # Tasks that were added.
        self.added = 0

    def job(self, job: TaskId, *, finished: bool) -> None:
        """A job's record was written."""
        self._finished_before.setdefault(job, self._finished.get(job, False))
        self._finished[job] = finished
        self._touched[job] = None

    def job_gone(self, job: TaskId) -> None:
        """Its graph goes with it; what was added stays, and is of no job any more."""
        self._finished.pop(job, None)
        self._live.pop(job, None)
        self._ended.pop(job, None)
        self._touched.pop(job, None)

    def task(self, task: TaskId, job: TaskId, work: bytes, *, new: bool) -> None:
        """A task of a job is there, or live again."""
        self.job_of[task] = job
        self._live.setdefault(job, {})[task] = None
        self._touched[job] = None
        adds = added_by(work) if new else None
        if adds is not None:
            self.added += 1
            assert self._ran(adds), f"{task} was added by {adds}, which does not run"

    def ended_of(self, job: TaskId) -> list[TaskState]:
        """How the tasks of a job ended."""
        return list(self._ended.get(job, {}).values())

    def run(self, task: TaskId, state: TaskState) -> None:
        """The status of a task was written."""
        job = self.job_of.get(task)
        if job is None:
            return
        live = self._live.setdefault(job, {})
        if state in FINISHED:
            live.pop(task, None)
            self._ended.setdefault(job, {})[task] = state
        else:
            live[task] = None
            self._ended.get(job, {}).pop(task, None)
        self._touched[job] = None

    def task_gone(self, task: TaskId) -> None:
        if job := self.job_of.pop(task, None):
            self._deleted.append((task, job))

    def over(self) -> None:
        """A revision is over."""
        for job in self._touched:
            live = list(self._live.get(job, ()))
            assert not self._finished.get(job) or not live, f"{job} has finished, and {live} live"
        for task, job in self._deleted:
            over = self._finished.get(job, True) or self._finished_before.get(job, True)
            assert over, f"{task} was deleted, and its job {job} is live"
        if self._touched or self._deleted:
            self._touched, self._deleted = {}, []
        self._finished_before.clear()
