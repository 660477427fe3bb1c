"""PauseTask, ResumeTask and SendSignal: one event each.

Whether a task is a program, which takes orders while it runs, is in its spec. That is read here:
from etcd where memory does not have it.
"""

from __future__ import annotations

from quorate.runtime.ids import TaskId
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.asking import ask, audited
from scheduler.api.candidates import Candidates
from scheduler.api.servicer import Context
from scheduler.api.tasks import validate
from scheduler.api.validate import required
from scheduler.core.model import events as e
from scheduler.core.values import TaskState
from scheduler.engine.driver import Driver
from scheduler.storage.reads import FencedReads
from scheduler.storage.record_kinds import TASK_PAUSE, TASK_SUSPEND


class Controls:
    """Each method returns the core's answer. Raises QuorateError."""

    def __init__(self, driver: Driver, stored: FencedReads, candidates: Candidates) -> None:
        self._driver = driver
        self._stored = stored
        self._candidates = candidates

    async def pause(self, request: pb.PauseTaskRequest, context: Context) -> object:
        asked = audited("PauseTask", request, context)
        task = TaskId(required("id", request.id))
        validate.reason(request.reason)
        await self._candidates.require(TASK_PAUSE)
        program = await self._runs_program(task)
        if program:
            await self._candidates.require(TASK_SUSPEND)
        return await ask(
            self._driver,
            asked,
            lambda token: e.TaskPauseAsked(task, True, asked, token, request.reason, program),
        )

    async def resume(self, request: pb.ResumeTaskRequest, context: Context) -> object:
        asked = audited("ResumeTask", request, context)
        task = TaskId(required("id", request.id))
        program = await self._runs_program(task)
        return await ask(
            self._driver,
            asked,
            lambda token: e.TaskPauseAsked(task, False, asked, token, "", program),
        )

    async def signal(self, request: pb.SendSignalRequest, context: Context) -> object:
        asked = audited("SendSignal", request, context)
        task = TaskId(required("id", request.id))
        number = validate.signal(request.signal)
        name = task_pb2.TaskSignal.Name(request.signal).removeprefix("TASK_SIGNAL_")
        program = await self._runs_program(task)
        return await ask(
            self._driver,
            asked,
            lambda token: e.TaskSignalAsked(task, number, asked, token, name, program),
        )

    async def _runs_program(self, task: TaskId) -> bool:
        """Whether a task runs, and is a program."""
        row = self._driver.state.tasks.get(task)
        if row is None or row.state is not TaskState.RUNNING:
            return False
        data = row.spec
        if data is None:
            found = await self._stored.task(row.queue.name, task)
            data = found.task.spec if found.task is not None else b""
        return task_pb2.TaskSpec.FromString(data).HasField("command")
