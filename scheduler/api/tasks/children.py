"""CreateTask by a running task: which job the new task belongs to."""

from __future__ import annotations

from quorate.runtime.errors import invalid, not_found, precondition
from quorate.runtime.ids import InstanceId, QueueName, TaskId
from quorate.security.identity import Caller, current_caller
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.validate import at_most, between, required
from scheduler.core.model.events.calls import Parent
from scheduler.core.model.jobs.subtasks import find
from scheduler.core.model.rows import JobRow, QueueRow
from scheduler.core.values import MemberOf
from scheduler.engine.driver import Driver

_MOST_ATTEMPTS = (1 << 31) - 1


async def adopt(
    driver: Driver, request: pb.CreateTaskRequest, queue: QueueName
) -> tuple[Parent, MemberOf]:
    """The parent, and the membership of the new task.

    Of the request's `parent` only the task stays: a later attempt that makes the same call makes no
    second task. The job's queue is not taken for a queue that is left out: who may submit to one
    queue may not submit to another one by a parent. A caller who is bound to some queues does not
    learn of tasks in others: they are not found.

    Raises:
        QuorateError: INVALID_ARGUMENT, NOT_FOUND (no such task), FAILED_PRECONDITION (the task is
            in no job).
    """
    given = request.parent
    required("parent.task_id", given.task_id)
    required("parent.instance", given.instance)
    between("parent.attempt", given.attempt, 0, _MOST_ATTEMPTS)
    at_most("parent.chunk", len(given.chunk), 256, "characters")
    instance = InstanceId(given.instance)
    parent = Parent(given.task_id, given.attempt, instance, given.chunk)
    job = await _job_of(driver, parent.task, current_caller())
    if queue != job.queue.name:
        raise invalid(
            "queue",
            f"is {queue!r}, but the job of task {parent.task!r} is in queue {job.queue.name!r}, "
            "and so are the tasks that are added to it",
            value=queue,
        )
    given.ClearField("attempt")
    given.ClearField("instance")
    given.ClearField("chunk")
    return parent, MemberOf(job.id)


async def _job_of(driver: Driver, task: str, caller: Caller | None) -> JobRow:
    state = driver.state
    if "." in task:
        job, position = find(state, task)
        if job is not None and position >= 0 and _sees(caller, job.queue):
            return job
    elif (
        row := state.tasks.get(TaskId(task)) or state.finished.get(TaskId(task))
    ) is not None and _sees(caller, row.queue):
        if row.member is not None:
            return row.member.job
        await driver.readable()
        raise precondition(
            "TASK_IN_NO_JOB", f"task {task!r} belongs to no job, so nothing can be added to one"
        )
    await driver.readable()
    raise not_found("task", task)


def _sees(caller: Caller | None, queue: QueueRow) -> bool:
    return caller is None or caller.may_name(queue.name)
