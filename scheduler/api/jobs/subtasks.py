"""Subtasks by their ids, `<job>.<index>`: read, waited for, explained, found on a node.

To callers a subtask is a task: see `scheduler.api.subtask_place`."""

from __future__ import annotations

import asyncio
from typing import Final

from quorate.runtime.errors import not_found
from quorate.runtime.ids import TaskId
from quorate.v1 import task_pb2
from scheduler.api.asking import ask
from scheduler.api.jobs import views
from scheduler.api.jobs.reading import JobReader
from scheduler.api.subtask_place import SubtaskPlace
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.model import events as e
from scheduler.core.model.answers import TaskKnown
from scheduler.core.model.events import Request
from scheduler.core.model.jobs.subtasks import chunk_of, find
from scheduler.core.model.rows import JobRow
from scheduler.core.placement.explain import Explained
from scheduler.core.placement.explain_subtask import explain_subtask
from scheduler.engine.driver import Driver

# Seconds between two looks at a subtask that is waited for.
_LOOK: Final = 0.1


class JobSubtasks:
    """Answers for subtasks; each method raises QuorateError."""

    def __init__(self, driver: Driver, reader: JobReader) -> None:
        self._driver = driver
        self._state = driver.state
        self._reader = reader

    async def subtask(self, name: str, wait: float, *, full: bool) -> task_pb2.Task:
        """The subtask as a task, once it has finished or `wait` seconds are over."""
        job, position = await self.named(name)
        end = asyncio.get_running_loop().time() + wait
        while not self._reader.settled(job, position):
            if asyncio.get_running_loop().time() >= end:
                break
            await asyncio.sleep(_LOOK)
        return await self._reader.as_task(job, position, full=full)

    async def explain(self, name: str) -> tuple[task_pb2.Task, Explained | None]:
        """The subtask, and what holds it where it is; None when it has finished."""
        job, position = await self.named(name)
        found = explain_subtask(self._state, job, position, self._driver.clock.now())
        # What memory says is committed before it is said.
        view = await self._reader.as_task(job, position, full=False)
        return view, found

    async def cancel(self, name: str, asked: Request) -> task_pb2.Task:
        """Cancel the subtask; the subtask as a task."""
        task = TaskId(name)
        answer = await ask(
            self._driver, asked, lambda token: e.SubtaskCancelAsked(task, asked, token)
        )
        return await self._as_known(answer)

    async def retry(self, name: str, asked: Request) -> task_pb2.Task:
        """Run a failed or cancelled subtask again; the subtask as a task."""
        task = TaskId(name)
        answer = await ask(
            self._driver, asked, lambda token: e.SubtaskRetryAsked(task, asked, token)
        )
        return await self._as_known(answer)

    async def _as_known(self, answer: object) -> task_pb2.Task:
        """The subtask behind a TaskKnown; its bare id when its job is gone since."""
        assert isinstance(answer, TaskKnown)
        job, position = find(self._state, answer.task)
        if job is None or position < 0:
            return task_pb2.Task(id=answer.task, queue=answer.queue)
        return await self._reader.as_task(job, position, full=False)

    async def place(self, name: str) -> SubtaskPlace:
        """Where the output of the subtask is."""
        job, position = await self.named(name)
        state = views.state_at(job, position)
        ran = await self._reader.ran_by(job, position)
        await self._driver.readable()
        block = job.array.blocks.get(position // BLOCK)
        attempt = block.attempts_of(position % BLOCK) if block is not None else 0
        node, chunk = ran or ("", "")
        return SubtaskPlace(
            job.index(position),
            attempt,
            node,
            TaskId(chunk),
            state not in (views.PENDING, views.RUNNING),
        )

    def runs(self, name: str, chunk: TaskId) -> bool:
        """Whether the subtask is still out with this chunk."""
        job, position = find(self._state, name)
        if job is None or position < 0:
            return False
        row = chunk_of(job, position)
        return row is not None and row.id == chunk

    async def named(self, name: str) -> tuple[JobRow, int]:
        """The job and the position that the id of a subtask names. Raises NOT_FOUND."""
        job, position = find(self._state, name)
        if job is None or position < 0:
            await self._driver.readable()
            raise not_found("task", name[:256])
        return job, position
