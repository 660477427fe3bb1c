"""`quorate call`: calls a Python function as a task, or many times as a job."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.groups import with_groups
from quorate.cli.inputs import Function, arguments_of
from quorate.cli.jobs import creating
from quorate.cli.jobs.options import ArrayJob, JsonItems, OpenJob
from quorate.cli.output.render import as_dict, err, print_json
from quorate.cli.tasks import options as o
from quorate.cli.tasks.ending import goes_on, report
from quorate.cli.tasks.ids import print_ids
from quorate.cli.tasks.waits import saying_why
from quorate.cli.tasks.warned import warned
from quorate.client.client import Client
from quorate.client.work.options import OptionArgs
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2


@with_client
@warned
@with_groups
def call(
    client: Client,
    function: Function,
    arguments: Annotated[
        str,
        typer.Argument(
            metavar="JSON",
            help="Arguments as one JSON value: a list of positional arguments, or an object "
            '{"args": [...], "kwargs": {...}}; any other value is the only argument.',
            show_default=False,
        ),
    ] = "[]",
    queue: o.Queue = "default",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Print the task's id, not the result.")
    ] = False,
    secret: o.Secret = None,
    wait_timeout: o.WaitTimeout = None,
    *,
    execution: o.Execution,
    delay: o.Delay = 0.0,
    request_id: o.RequestId = "",
    keys: o.Keys,
    unique: o.Unique,
    placing: o.Placing,
    hooks: o.Hooks,
    jobs: ArrayJob,
    opened: OpenJob,
    json_items: JsonItems = False,
    as_json: Json = False,
) -> int:
    """Call a Python function on the cluster and print its result as JSON.

    [dim]quorate call math:sqrt 16[/dim]

    [dim]quorate call math:hypot '[3, 4]'[/dim]

    [dim]quorate call builtins:sorted '{"args": [[2, 1]], "kwargs": {"reverse": true}}'[/dim]

    Write a string as '"text"', and a negative number as '[-1]'.

    Map-reduce: once for each line of a file, as one job, and then a function of all results:

    [dim]quorate call --each-line words.txt --reduce builtins:sum builtins:len[/dim]
    """
    if wait_timeout is not None and no_wait:
        raise typer.BadParameter("--wait-timeout and --no-wait exclude each other")
    groups = (execution, keys, unique, placing, hooks)
    is_job = creating.check(jobs, opened, *groups, delay=delay or None)
    options = OptionArgs(queue=queue, delay=delay, request_id=request_id, secrets=o.secrets(secret))
    for group in groups:
        options.update(group.args())
    bound = client.options(**options)
    if is_job:
        job = creating.call(bound, function, arguments, jobs, opened, json_items=json_items)
        wait = not (no_wait or opened.open)
        return creating.conclude(
            job, wait=wait, timeout=wait_timeout, as_json=as_json, values=not jobs.reduce
        )
    if json_items:
        raise invalid("--json-items", "needs --each-line")
    handle = bound.submit_json(function, arguments_of(arguments))
    if no_wait:
        print_ids([handle], as_json)
        return 0
    try:
        with err.status(f"task {handle.id}"), saying_why(handle):
            task = handle.wait(wait_timeout)
    except KeyboardInterrupt:
        goes_on(handle)
        raise
    if as_json:
        print_json(as_dict(task))
    if task.state != task_pb2.TASK_STATE_SUCCEEDED:
        return report(task)
    if not as_json:
        sys.stdout.write(_json_of(client, task.result) + "\n")
    return 0


def _json_of(client: Client, result: task_pb2.TaskResult) -> str:
    """A JSON result, also one that is in the blob store."""
    if not result.HasField("blob"):
        return result.json
    with client.calls.large.get(result.blob) as file:
        return file.read().decode()


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("call")(call)
