"""Subtasks of the fake scheduler's jobs, as GetTask answers them."""

from __future__ import annotations

from quorate.runtime.errors import not_found
from quorate.v1 import task_pb2
from tests.support.fake_jobs import CANCELLED, FAILED, PENDING, RUNNING, SUCCEEDED, FakeJob

_STATES: dict[int, task_pb2.TaskState] = {
    PENDING: task_pb2.TASK_STATE_PENDING,
    RUNNING: task_pb2.TASK_STATE_RUNNING,
    SUCCEEDED: task_pb2.TASK_STATE_SUCCEEDED,
    FAILED: task_pb2.TASK_STATE_FAILED,
    CANCELLED: task_pb2.TASK_STATE_CANCELLED,
}


def as_task(found: FakeJob, index: int) -> task_pb2.Task:
    """A subtask as GetTask answers it."""
    position = (index - found.job.spec.first_index) // (found.job.spec.index_step or 1)
    if not 0 <= position < len(found.states):
        raise not_found("task", f"{found.job.id}.{index}")
    task = task_pb2.Task(
        id=f"{found.job.id}.{index}",
        queue=found.job.queue,
        spec=found.job.spec.template,
        state=_STATES[found.states[position]],
        attempt=found.attempts[position],
    )
    if position in found.errors:
        task.error.CopyFrom(found.errors[position])
    return task
