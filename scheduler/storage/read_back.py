"""What is on record of tasks that a call changes, read back from etcd: one part at a time.

Fenced, and never cached. A task that is not in the answer has no records.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State
from scheduler.storage.reads import FencedReads, TaskRecords
from scheduler.storage.records import past_attempts, recorded_spec, task_member
from scheduler.storage.unknown_fields import unknown_fields


class ReadBack:
    """Reads the records for parts of one term.

    A part is at most as many tasks, and about as many bytes, as one may write.
    """

    def __init__(self, state: State, stored: FencedReads, limits: Limits) -> None:
        self._state = state
        self._stored = stored
        self._limits = limits

    async def of_job(self, part: e.JobContinued) -> e.JobContinued:
        """The part with the records of its tasks. Raises QuorateError."""
        _, most_bytes = self._limits.part(small=part.small)
        found, _ = await self._read(part.tasks, most_bytes)
        return part._replace(found=found)

    async def __call__(self, part: e.BulkContinued) -> e.BulkContinued:
        """The part with its records. Raises QuorateError."""
        most_tasks, most_bytes = self._limits.part(small=part.small)
        tasks = part.asked.tasks[part.place : part.place + most_tasks]
        found, beyond = await self._read(tasks, most_bytes)
        until = part.place + len(tasks)
        if beyond is not None:
            # From there on with the next part.
            until = part.asked.tasks.index(beyond, part.place)
        return part._replace(found=found, until=until)

    async def _read(
        self, tasks: Sequence[TaskId], most_bytes: int
    ) -> tuple[dict[TaskId, e.TaskRecorded], TaskId | None]:
        """The records of the first tasks, and the first task that is too much; at least one is
        read."""
        state, wanted = self._state, []
        for task in tasks:
            row = state.tasks.get(task) or state.finished.get(task)
            if row is not None:
                wanted.append((row.queue.name, task))
        found: dict[TaskId, e.TaskRecorded] = {}
        size = 0
        async for records in self._stored.each(wanted):
            size += len(records.task.spec)
            if size > most_bytes and found:
                return found, TaskId(records.id)
            found[TaskId(records.id)] = recorded(records)
        return found, None


def recorded(records: TaskRecords) -> e.TaskRecorded:
    """What the core wants to know of a task's two records."""
    spec = recorded_spec(records.task.spec)
    if records.task.HasField("member"):
        spec = spec._replace(member=task_member(records.task))
    return e.TaskRecorded(
        spec,
        records.task.create_time,
        records.task.created_by,
        unknown_fields(records.task),
        past_attempts(records.run) if records.run is not None else (),
    )
