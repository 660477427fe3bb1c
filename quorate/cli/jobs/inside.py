"""What is in a job: `job errors | result | results | subtasks | tasks ID`."""

from __future__ import annotations

import base64
import json
import sys
from typing import Annotated, Any

import typer

from quorate.cli.common import Json
from quorate.cli.exits import FAILED, OK
from quorate.cli.graphs import calls as graphs
from quorate.cli.graphs import show as graph_show
from quorate.cli.graphs.results import print_results
from quorate.cli.jobs import show
from quorate.cli.jobs.ids import Id, job_id
from quorate.cli.jobs.waiting import report
from quorate.cli.output import render
from quorate.cli.output.render import err, hint
from quorate.client.client import Client
from quorate.client.jobs.states import is_finished, subtask_state_name
from quorate.client.jobs.values import Raw
from quorate.runtime.errors import invalid, precondition
from quorate.runtime.sizes import size_text
from quorate.runtime.visible import visible_json
from quorate.v1 import job_pb2


def errors(client: Client, id: Id, as_json: Json = False) -> None:
    """Group the failures of a job by error, the most frequent first, with an example of each."""
    handle = client.job(job_id(client, id))
    groups = handle.errors()
    if as_json:
        render.print_messages(groups)
        return
    if not groups:
        hint("No subtask has failed.")
        return
    render.show(show.errors_table(groups))
    first = groups[0]
    if first.example.traceback:
        render.show("")
        render.out.print(f"Index {first.example_index}:", style="bold")
        render.out.print(first.example.traceback.rstrip(), markup=False, style="dim")


def result(client: Client, id: Id) -> int:
    """Print what the last reduce of a finished job returned, as JSON.

    A pickle is never unpickled: its size is printed. Exit code: 1 when the job failed.
    """
    handle = client.job(job_id(client, id))
    job = handle.job()
    if not job.HasField("reduce"):
        raise precondition("NO_REDUCE", f"job {job.id} has no reduce; see: quorate job results")
    if not is_finished(job):
        state = show.state_line(job)
        raise precondition("JOB_NOT_FINISHED", f"job {job.id} is {state}; wait for it first")
    return report(handle, job)


def results(
    client: Client,
    id: Id,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for subtasks that are not finished.")
    ] = False,
    index: Annotated[
        int | None,
        typer.Option(min=0, help="Index of the only subtask to print. \\[default: all]"),
    ] = None,
    as_json: Json = False,
) -> int:
    """Print the results of a job in the order of its indexes, one a line: the index, a tab, the
    value as JSON.

    Of a subtask without a value its state stands there. With --json each line is a JSON object with
    index, state and value; a pickle is in base64 then, and never unpickled. Of a graph each line is
    a task: its name, a tab, the value.
    """
    handle = client.job(job_id(client, id))
    if graph_show.is_graph(handle.job()):
        if index is not None:
            raise invalid("--index", "is for arrays; the tasks of a graph have names")
        print_results(client, handle.id, follow=follow, as_json=as_json)
        return OK
    write = _result_json if as_json else result_line
    if index is not None:
        if follow:
            raise invalid("--index", "cannot be used with --follow")
        raw, details = handle.raw_result(index)
        sys.stdout.write(write(raw) + "\n")
        return _say_error(details)
    for raw in handle.raw_results(wait=follow):
        sys.stdout.write(write(raw) + "\n")
        if follow:
            sys.stdout.flush()
    return OK


def _say_error(details: job_pb2.Subtask | None) -> int:
    """Why a subtask failed, on standard error; the exit code."""
    if details is None:
        return OK
    sys.stdout.flush()
    error = details.error
    err.print(f"quorate: {details.id} failed: {error.type}: {error.message}", markup=False)
    if error.traceback:
        err.print(error.traceback.rstrip(), markup=False, style="dim")
    return FAILED


def result_line(raw: Raw) -> str:
    """One result: the index, a tab, and the value as JSON or the state."""
    if raw.state != job_pb2.SUBTASK_STATE_SUCCEEDED or not raw.data:
        return f"{raw.index}\t{subtask_state_name(raw.state)}"
    if raw.kind == job_pb2.ResultRun.KIND_PICKLE:
        return f"{raw.index}\ta pickle of {size_text(len(raw.data))}"
    return f"{raw.index}\t{visible_json(raw.data.decode())}"


def _result_json(raw: Raw) -> str:
    document: dict[str, Any] = {"index": raw.index, "state": subtask_state_name(raw.state)}
    if raw.data and raw.kind == job_pb2.ResultRun.KIND_PICKLE:
        document["pickle"] = base64.b64encode(raw.data).decode()
    elif raw.data:
        document["value"] = json.loads(raw.data)
    return visible_json(json.dumps(document, ensure_ascii=False))


def subtasks(
    client: Client,
    id: Id,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="Only subtasks in this state: pending, running, succeeded, failed or cancelled; "
            "may be repeated.",
        ),
    ] = None,
) -> None:
    """Print the indexes of a job's subtasks by state, as ranges such as 1-3,7.

    [dim]quorate job subtasks ID --state failed[/dim]
    """
    handle = client.job(job_id(client, id))
    step = handle.shape().index_step
    for name, text in show.ranges_text(handle.ranges(state or ()), step).items():
        sys.stdout.write(f"{name} {text}\n")


def tasks(
    client: Client,
    id: Id,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="Only tasks in this state, such as blocked, running, failed or skipped; may be "
            "repeated.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List all tasks of a graph: their states, and what each waits for.

    [dim]quorate job tasks ID --state blocked[/dim]
    """
    wanted = graph_show.states(state or ())
    nodes = graphs.nodes_of(client.calls, job_id(client, id))
    found = graph_show.chosen(nodes, wanted, len(nodes))
    if as_json:
        render.print_messages(found)
        return
    if not found:
        hint("No such tasks.")
        return
    render.show_tasks(graph_show.table_of(found, nodes))
