"""What the families of tasks and jobs say to each other of a subtask."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import grpc

from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from quorate.v1 import task_pb2
from scheduler.core.model.events import Request
from scheduler.core.placement.explain import Explained


class SubtaskPlace(NamedTuple):
    """Where the output of a subtask is.

    Attributes:
        number: its index.
        attempt: of the subtask, the latest one; 0: none yet.
        node, chunk: that ran it last; empty where no record says so.
        finished: nothing is written any more.
    """

    number: int
    attempt: int
    node: str
    chunk: TaskId
    finished: bool


class Subtasks(Protocol):
    """What answers for subtasks of jobs, which have ids as tasks have. Each raises NOT_FOUND."""

    async def subtask(self, name: str, wait: float, *, full: bool) -> task_pb2.Task:
        """The subtask `<job>.<index>` as a task, once it has finished or `wait` s are over."""

    async def explain(self, name: str) -> tuple[task_pb2.Task, Explained | None]:
        """The subtask, and what holds it where it is; None when it has finished."""

    async def cancel(self, name: str, asked: Request) -> task_pb2.Task:
        """Cancel the subtask; the subtask as a task."""

    async def retry(self, name: str, asked: Request) -> task_pb2.Task:
        """Run a failed or cancelled subtask again; the subtask as a task."""

    async def named(self, name: str) -> object:
        """The job and the position that the id names."""

    async def place(self, name: str) -> SubtaskPlace:
        """Where the output of the subtask is."""

    def runs(self, name: str, chunk: TaskId) -> bool:
        """Whether the subtask is still out with this chunk."""


def is_subtask(name: str) -> bool:
    """Whether an id is one of a subtask, or means to be."""
    return "." in name


async def refuse_subtask(subtasks: Subtasks | None, name: str, instead: str) -> None:
    """Refuse a call that is about whole tasks, for a subtask.

    Args:
        instead: what the caller can do, with `{job}` for the id of its job.

    Raises:
        QuorateError: FAILED_PRECONDITION, or NOT_FOUND where there is no such subtask.
    """
    if subtasks is None or not is_subtask(name):
        return
    await subtasks.named(name)
    raise QuorateError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "TASK_IS_SUBTASK",
        f"task {name!r} is a subtask; {instead.format(job=name.partition('.')[0])}",
        metadata={"task": name},
    )
