"""From tasks of a graph to values and exceptions, for `GraphHandle` and its twin. No I/O."""

from __future__ import annotations

from typing import Any

from quorate.client.errors import TaskFailed
from quorate.client.graphs.plan import GraphTask
from quorate.client.jobs.values import Failures
from quorate.client.tracking.outcome import error_of
from quorate.runtime.errors import QuorateError, invalid, not_found
from quorate.runtime.ids import TaskId, offset_id
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb

SKIPPED = "SKIPPED"
PAGE = 500
# The first task of a graph has the id behind that of its job.
_FIRST = 1


def id_of(job_id: str, task: GraphTask) -> str:
    """The id of a task that was added to the graph that became this job."""
    if task.is_array:
        raise _is_array(task.name)
    return offset_id(TaskId(job_id), _FIRST + task.place)


def id_by_name(answer: pb.GetJobGraphResponse, name: str) -> str:
    """The id of the task of this name. Raises QuorateError (NOT_FOUND)."""
    for node in answer.nodes:
        if node.name == name:
            if node.job_id:
                raise _is_array(name)
            return node.task_id
    raise not_found("task", name)


def array_id_of(job_id: str, task: GraphTask) -> str:
    """The id, as a job, of an array that was added to the graph that became this job."""
    if not task.is_array:
        raise _is_no_array(task.name)
    return offset_id(TaskId(job_id), _FIRST + task.place)


def array_id_by_name(answer: pb.GetJobGraphResponse, name: str) -> str:
    """The id, as a job, of the array of this name. Raises QuorateError."""
    for node in answer.nodes:
        if node.name == name:
            if not node.job_id:
                raise _is_no_array(name)
            return node.job_id
    raise not_found("task", name)


def _is_array(name: str) -> QuorateError:
    return invalid("task", f"{name!r} is an array; its subtasks and results are those of array()")


def _is_no_array(name: str) -> QuorateError:
    return invalid("task", f"{name!r} is no array; use task()")


def tasks(job_id: str) -> pb.ListTasksRequest:
    """Lists the tasks of a graph with their results."""
    return pb.ListTasksRequest(job_id=job_id, page_size=PAGE)


def is_skipped(task: task_pb2.Task) -> bool:
    """Whether a condition of it could no longer hold."""
    return task.state == task_pb2.TASK_STATE_CANCELLED and task.error.type == SKIPPED


def skipped(task: task_pb2.Task) -> TaskFailed:
    """The exception that stands for a task that was skipped."""
    return TaskFailed(task.id, SKIPPED, task.error.message)


def put_failure(
    found: dict[str, Any], task: task_pb2.Task, failures: Failures, *, pickled: bool
) -> None:
    """Do with a task that did not succeed as `failures` says; a skipped one has no result."""
    if is_skipped(task) or failures == "skip":
        return
    error = error_of(task, pickled=pickled)
    if failures == "raise":
        raise error
    found[task.graph_task] = error


def in_order(job: pb.GetJobGraphResponse, found: dict[str, Any]) -> dict[str, Any]:
    """By the order of the graph."""
    return {node.name: found[node.name] for node in job.nodes if node.name in found}


def nodes_of(answer: pb.GetJobGraphResponse) -> list[job_pb2.GraphNode]:
    """The tasks with their states and dependencies."""
    return list(answer.nodes)
