"""Graphs as the cluster has them: read for a person, and created from a file."""

from __future__ import annotations

from typing import Any, Final

from quorate.cli.graphs import show
from quorate.cli.graphs.file import GraphFile
from quorate.cli.hints import command
from quorate.cli.output import render
from quorate.cli.output.render import err, hint
from quorate.client.client import Client
from quorate.client.jobs.create import call_with_room
from quorate.client.jobs.handle import JobHandle
from quorate.client.transport.calls import Calls
from quorate.client.transport.job_rpcs import CREATE_JOB, GET_JOB, GET_JOB_GRAPH
from quorate.client.transport.rpcs import EXPLAIN_TASK, GET_TASK, new_request_id
from quorate.runtime.errors import QuorateError, not_found
from quorate.v1 import job_pb2, scheduler_pb2, task_pb2

# Failed tasks of a graph whose errors are shown.
_ERRORS: Final = 5
_WAITING: Final = ("PENDING", "SCHEDULED", "BLOCKED")


def create(client: Client, graph: GraphFile, queue: str, request_id: str) -> JobHandle[Any]:
    """Create the job. Raises QuorateError that names the task and the field."""
    request = scheduler_pb2.CreateJobRequest(
        queue=queue, spec=graph.spec, request_id=request_id or new_request_id()
    )
    try:
        return client.job(call_with_room(client.calls, CREATE_JOB, request).job.id)
    except QuorateError as error:
        raise graph.explained(error) from None


def nodes_of(calls: Calls, job_id: str) -> list[job_pb2.GraphNode]:
    """The tasks of a graph, in the order of its spec. Raises QuorateError."""
    return list(calls.call(GET_JOB_GRAPH, scheduler_pb2.GetJobGraphRequest(id=job_id)).nodes)


def show_graph(calls: Calls, job: job_pb2.Job) -> None:
    """Print the tasks of a graph, and the errors of those that failed."""
    nodes = nodes_of(calls, job.id)
    shown = show.chosen(nodes)
    render.show("")
    if shown:
        render.show_tasks(show.table_of(shown, nodes))
    if len(shown) < len(nodes):
        more = f"and {len(nodes) - len(shown):,} more" if shown else f"{len(nodes):,} tasks"
        render.show(f"{more}: {show.rest_of(shown, nodes)}")
        hint(f"All tasks: {command(f'job tasks {job.id}')}")
    if any(node.cleanup for node in shown):
        hint("* cleans up: its failure does not fail the job.")
    _show_errors(calls, nodes)


def _show_errors(calls: Calls, nodes: show.Nodes) -> None:
    bad = [node for node in nodes if show.state_of(node) in ("FAILED", "EXPIRED")]
    if not bad:
        return
    listing = render.table(
        "TASK", "ERROR", "MESSAGE", elastic=("MESSAGE", "TASK"), wrapped=("MESSAGE",)
    )
    for node in bad[:_ERRORS]:
        if node.job_id:
            listing.add_row(node.name, "", show.why_failed(node))
            continue
        request = scheduler_pb2.GetTaskRequest(id=node.task_id)
        error = calls.call(GET_TASK, request).task.error
        listing.add_row(node.name, error.type, error.message)
    render.show("")
    render.show(listing)
    if len(bad) > _ERRORS:
        render.show(f"and {len(bad) - _ERRORS:,} more")


def report_graph(calls: Calls, job: job_pb2.Job) -> None:
    """Say on standard error which tasks failed, and what to do."""
    nodes = nodes_of(calls, job.id)
    for node in [node for node in nodes if node.state == task_pb2.TASK_STATE_FAILED][:_ERRORS]:
        if node.job_id:
            err.print(f'"{node.name}" failed: {show.why_failed(node)}', markup=False)
            hint(f"Errors: {command(f'job errors {node.job_id}')}")
            continue
        request = scheduler_pb2.GetTaskRequest(id=node.task_id)
        error = calls.call(GET_TASK, request).task.error
        err.print(f'"{node.name}" failed: {error.type}: {error.message}', markup=False)
        hint(f"See its output: {command(f'logs {node.task_id}')}")
    hint(f"Run again what did not succeed: {command(f'job retry {job.id}')}")


def why_nothing_starts(calls: Calls, job: job_pb2.Job) -> str:
    """One sentence about the first task of a graph that waits, such as `"a" waits for its turn`;
    raises QuorateError."""
    nodes = nodes_of(calls, job.id)
    for state in _WAITING:
        for node in nodes:
            if show.state_of(node) == state:
                request = scheduler_pb2.ExplainTaskRequest(id=_explained(calls, node))
                found = calls.call(EXPLAIN_TASK, request).explanation
                return f'"{node.name}" {found.sentence}'
    raise not_found("task", "that waits")


def _explained(calls: Calls, node: job_pb2.GraphNode) -> str:
    """The id of what stands for a task of a graph: of an array its first subtask."""
    if not node.job_id:
        return node.task_id
    array = calls.call(GET_JOB, scheduler_pb2.GetJobRequest(id=node.job_id)).job
    return f"{array.id}.{array.spec.first_index}"
