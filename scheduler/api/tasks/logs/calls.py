"""StreamTaskLogs and SearchTaskLogs: what may be asked for, of a task or of a subtask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from google.protobuf.message import Message

from quorate.runtime.errors import invalid
from quorate.runtime.ids import TaskId
from quorate.v1 import scheduler_pb2 as pb
from scheduler.agents.sessions import Sessions
from scheduler.api.servicer import Context
from scheduler.api.subtask_place import Subtasks, is_subtask, refuse_subtask
from scheduler.api.tasks import validate
from scheduler.api.tasks.logs.relay import relay_logs, search_logs
from scheduler.api.tasks.logs.subtasks import relay_subtask_logs
from scheduler.api.validate import at_most, between, required
from scheduler.engine.driver import Driver
from scheduler.storage.reads import FencedReads

MAX_TEXT: Final = 256
MAX_MATCHES: Final = 1_000
_PLACES: Final = ("offset", "stdout_from", "stderr_from", "stdout_until", "stderr_until")
# Of a task's log alone.
_NOT_OF_SUBTASKS: Final = (*_PLACES[1:], "head_lines")


class LogCalls:
    """One method for each RPC; each raises QuorateError.

    Args:
        subtasks: answers for subtasks of jobs.
    """

    def __init__(
        self,
        driver: Driver,
        stored: FencedReads,
        sessions: Sessions,
        subtasks: Subtasks | None = None,
    ) -> None:
        self._driver = driver
        self._stored = stored
        self._sessions = sessions
        self._subtasks = subtasks

    async def StreamTaskLogs(
        self, request: pb.StreamTaskLogsRequest, context: Context
    ) -> AsyncIterator[Message]:
        task = TaskId(required("id", request.id))
        validate.attempt(request.attempt)
        _places(request, _PLACES)
        validate.lines("tail_lines", request.tail_lines)
        validate.lines("head_lines", request.head_lines)
        _consistent(request)
        if self._subtasks is not None and is_subtask(task):
            for field in _NOT_OF_SUBTASKS:
                if getattr(request, field):
                    raise invalid(field, "cannot be set for the log of a subtask")
            answers = relay_subtask_logs(self._sessions, self._subtasks, request)
        else:
            answers = relay_logs(self._driver, self._stored, self._sessions, task, request)
        async for answer in answers:
            yield answer

    async def SearchTaskLogs(self, request: pb.SearchTaskLogsRequest, context: Context) -> Message:
        task = TaskId(required("id", request.id))
        validate.attempt(request.attempt)
        required("text", request.text)
        at_most("text", len(request.text), MAX_TEXT, "characters")
        if "\n" in request.text:
            raise invalid("text", "must not hold a line end")
        _places(request, ("stdout_from", "stderr_from"))
        between("max_matches", request.max_matches, 0, MAX_MATCHES)
        await refuse_subtask(self._subtasks, task, "its log cannot be searched")
        return await search_logs(self._driver, self._stored, self._sessions, task, request)


def _places(request: Any, fields: tuple[str, ...]) -> None:
    for field in fields:
        validate.offset(getattr(request, field), field)


def _consistent(request: pb.StreamTaskLogsRequest) -> None:
    for field in ("stdout_until", "stderr_until", "head_lines"):
        if request.follow and getattr(request, field):
            raise invalid(field, "cannot be set together with follow")
    if request.head_lines and request.tail_lines:
        raise invalid("head_lines", "cannot be set together with tail_lines")
    for name in ("stdout", "stderr"):
        begin, end = getattr(request, f"{name}_from"), getattr(request, f"{name}_until")
        if end and begin > end:
            raise invalid(f"{name}_until", f"{end} is before {name}_from, which is {begin}")
