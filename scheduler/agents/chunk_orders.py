"""What is sent to one agent process about chunks: assignments, recalls, acknowledged reports.

A chunk's template and items are read back before it is sent (`scheduler.storage.job_values`). An
agent gets the template of a job once in a session, with the job's first chunk.

Bounds: as those of `scheduler.agents.orders`, of which this is a part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from quorate.etcd.api import EtcdError
from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1 import node_agent_pb2 as pb
from scheduler.core.arrays.positions import Range
from scheduler.core.model.rows import JobRow, TaskRow, reduced_by
from scheduler.core.values import TaskState
from scheduler.storage.job_values import JobValues, ValuesMissing, template_name

log = structlog.get_logger(__name__)

_MESSAGE_BYTES: Final = 2 << 20
_MESSAGE_ITEMS: Final = 1_024
# Bytes of a range in a message, about.
_RANGE_BYTES: Final = 12


class ChunkOrders:
    """What was not sent yet of chunks to one process."""

    def __init__(self, instance: InstanceId) -> None:
        self._instance = instance
        self._waiting: list[tuple[TaskRow, int]] = []
        # Complete: with template ("" where the agent has it) and items.
        self._ready: list[tuple[TaskRow, int, bytes, list[bytes]]] = []
        # Jobs of which the agent has the template.
        self._has: set[TaskId] = set()
        self._recall: list[tuple[TaskId, int]] = []
        self._end: list[tuple[TaskId, int, Sequence[Range]]] = []
        self._reports: list[tuple[TaskId, int, int]] = []
        self._forget: list[TaskId] = []

    def __len__(self) -> int:
        """Answers to what the agent reported."""
        return len(self._reports)

    def start(self, row: TaskRow, attempt: int) -> None:
        self._waiting.append((row, attempt))

    def recall(self, chunk: TaskId, attempt: int) -> None:
        self._recall.append((chunk, attempt))

    def end_subtasks(self, chunk: TaskId, attempt: int, ranges: Sequence[Range]) -> None:
        self._end.append((chunk, attempt, ranges))

    def acknowledge(self, chunk: TaskId, attempt: int, number: int) -> None:
        self._reports.append((chunk, attempt, number))

    def forget(self, job: TaskId) -> None:
        if job in self._has:
            self._has.discard(job)
            self._forget.append(job)

    def forget_templates(self) -> None:
        """The agent gave chunks back, perhaps because it has their template no longer."""
        self._has.clear()

    def clear(self) -> None:
        """The session is over: the next one's inventory settles what was not sent."""
        self._waiting.clear()
        self._ready.clear()
        self._has.clear()
        self._recall.clear()
        self._end.clear()
        self._reports.clear()
        self._forget.clear()

    @property
    def waiting(self) -> bool:
        """Whether `fetch` has anything to do."""
        return bool(self._waiting)

    @property
    def unsent(self) -> bool:
        """Whether there are chunks that were not sent."""
        return bool(self._waiting or self._ready)

    async def fetch(self, values: JobValues, again: Callable[[], None]) -> None:
        """Read templates and items of the chunks that wait.

        Args:
            again: asks to be called again in a while; called when etcd did not answer.
        """
        wanted, self._waiting = self._waiting, []
        for place, (row, attempt) in enumerate(wanted):
            job, chunk = row.job, row.chunk
            if job is None or chunk is None or not self._is_current(row, attempt):
                continue
            try:
                name = template_name(job)
                template = values.known_template(name) or await values.template(name)
                items = await values.items(job.id, chunk.ranges) if job.spec.items else []
            except EtcdError:
                self._waiting = wanted[place:] + self._waiting
                again()
                return
            except ValuesMissing:
                # Deleted meanwhile; its chunk is, or will be, gone.
                log.warning("job_values_missing", job=job.id, chunk=row.id)
                continue
            self._ready.append((row, attempt, template, items))

    def fill(self, message: pb.SessionRequest) -> None:
        """Move what has gathered into a message, up to its bounds."""
        size = count = 0
        for row, attempt, template, items in self._ready:
            if size > _MESSAGE_BYTES:
                break
            count += 1
            if self._is_current(row, attempt):
                size += self._assign(message.assign.add(), row, attempt, template, items)
        del self._ready[:count]
        for chunk, attempt in self._recall[:_MESSAGE_ITEMS]:
            message.recall.add(task_id=chunk, attempt=attempt)
        del self._recall[:_MESSAGE_ITEMS]
        for chunk, attempt, number in self._reports[:_MESSAGE_ITEMS]:
            message.acknowledge_reports.add(task_id=chunk, attempt=attempt, number=number)
        del self._reports[:_MESSAGE_ITEMS]
        if not self._ready and not self._waiting:
            # Not ahead of a chunk of the job that is on its way, or of the very chunk.
            message.forget_jobs.extend(self._forget)
            self._forget.clear()
            for chunk, attempt, ranges in self._end[:_MESSAGE_ITEMS]:
                ref = message.cancel_subtasks.add(task_id=chunk, attempt=attempt)
                for first, last in ranges:
                    ref.ranges.add(first=first, last=last)
            del self._end[:_MESSAGE_ITEMS]

    @property
    def anything(self) -> bool:
        """Whether `fill` has anything to send; jobs to forget and subtasks to end go behind all
        chunks."""
        behind = (self._forget or self._end) and not self._waiting
        return bool(self._ready or self._recall or self._reports or behind)

    def _assign(
        self, to: pb.Assignment, row: TaskRow, attempt: int, template: bytes, items: list[bytes]
    ) -> int:
        """Fill in a chunk; its bytes, about."""
        job, chunk = row.job, row.chunk
        assert job is not None
        assert chunk is not None
        to.task_id, to.attempt, to.queue = row.id, attempt, row.queue.name
        to.disconnect = int(row.queue.disconnect)  # type: ignore[assignment]
        size = 0
        if job.id not in self._has:
            self._has.add(job.id)
            to.spec = template
            size += len(template)
        part = to.chunk
        part.job_id = job.id
        for first, last in chunk.ranges:
            part.ranges.add(first=first, last=last)
            size += _RANGE_BYTES
        part.items.extend(items)
        size += sum(map(len, items))
        part.first_index, part.index_step = job.spec.first_index, job.spec.index_step
        part.count = 0 if job.open else job.array.count
        part.expected_seconds = max(0.0, job.durations.seconds)
        if job.level:
            _put_input(to.reduce, job)
        return size

    def _is_current(self, row: TaskRow, attempt: int) -> bool:
        return (
            row.state is TaskState.RUNNING
            and row.attempt == attempt
            and row.instance == self._instance
        )


def _put_input(to: pb.ReduceInput, level: JobRow) -> None:
    """What the reduces of a level get."""
    job, below = level.parent, reduced_by(level)
    assert job is not None
    assert job.spec.reduce is not None
    to.job_id, to.count, to.fan_in = below.id, below.array.count, job.spec.reduce.fan_in
    to.programs = below.spec.programs
