"""Commands that create tasks: `submit`, `call`, `map`."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Any

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.graphs import submitting as g
from quorate.cli.hints import command
from quorate.cli.inputs import arguments_of, item, lines, read
from quorate.cli.jobs import creating
from quorate.cli.jobs.options import NO_JOB, JobOptions, with_job_options
from quorate.cli.output.progress import map_progress
from quorate.cli.output.render import as_dict, err, hint, print_json
from quorate.cli.tasks import options as o
from quorate.cli.tasks.ending import goes_on, report, report_failure, wait_many, wait_one
from quorate.cli.tasks.options import placing as p
from quorate.cli.tasks.waits import saying_why, saying_why_none
from quorate.cli.tasks.warned import warned
from quorate.cli.words import pairs
from quorate.client.client import Client
from quorate.client.errors import TaskFailed
from quorate.client.handle import TaskHandle
from quorate.client.work.specs import command_spec
from quorate.runtime.errors import invalid
from quorate.runtime.visible import visible_json
from quorate.v1 import task_pb2

Function = Annotated[
    str,
    typer.Argument(
        metavar="MODULE:FUNCTION",
        help="Function, such as math:sqrt. Nodes must be able to import its module.",
    ),
]


@with_client
@warned
@with_job_options
def submit(
    client: Client,
    context: typer.Context,
    argv: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="Program and its arguments.", show_default=False),
    ] = None,
    queue: o.Queue = "default",
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Show the task's output and wait until it ends.")
    ] = False,
    times: Annotated[int, typer.Option(help="Number of copies to submit.", min=1, max=10_000)] = 1,
    name: o.Name = "",
    priority: o.Priority = 0,
    retries: o.Retries = 0,
    timeout: o.Timeout = None,
    delay: o.Delay = 0.0,
    start_deadline: o.StartDeadline = None,
    label: o.Label = None,
    cpu: o.Cpu = 0.0,
    memory: o.Memory = "",
    resource: o.Resource = None,
    limit_key: o.LimitKey = "",
    limit: o.Limit = None,
    fairness_key: o.FairnessKey = "",
    ordering_key: o.OrderingKey = "",
    unique_key: o.UniqueKey = "",
    on_conflict: o.OnConflict = o.Conflict.RETURN,
    unique_for: o.UniqueFor = 0.0,
    where: p.Where = None,
    prefer: p.Prefer = None,
    tolerate: p.Tolerate = None,
    near: p.Near = None,
    apart: p.Apart = None,
    distinct: p.Distinct = None,
    spread: p.Spread = "",
    placement: p.Strategy = "",
    env: o.Env = None,
    secret: o.Secret = None,
    set_up: o.SetUp = "",
    clean_up: o.CleanUp = "",
    set_up_timeout: o.SetUpTimeout = None,
    clean_up_timeout: o.CleanUpTimeout = None,
    cwd: Annotated[
        str,
        typer.Option(
            metavar="DIR",
            help="Working directory on the node (absolute path). \\[default: an empty one]",
        ),
    ] = "",
    stdin: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="File for the task's standard input. '-' is the standard input of this command. "
            "\\[default: none]",
        ),
    ] = "",
    request_id: o.RequestId = "",
    wait_timeout: o.WaitTimeout = None,
    jobs: JobOptions = NO_JOB,
    graph: g.Graph = "",
    as_json: Json = False,
) -> int:
    """Run a program on the cluster. Prints the task's id, or with --wait its output.

    [dim]quorate submit --wait -- echo hello[/dim]

    With --wait the exit code is that of the program. Pipes and other shell syntax need a shell:

    [dim]quorate submit --wait -- sh -c 'ls | wc -l'[/dim]

    Once for each number, or for each line of a file, as one job:

    [dim]quorate submit --array 1-1000 -- ./simulate --seed {index}[/dim]

    With --reduce a Python function is called at the end of that job.

    Tasks that wait for one another, described by a file, as one job:

    [dim]quorate submit --graph pipeline.toml --wait[/dim]
    """
    if wait_timeout is not None and not wait:
        raise typer.BadParameter("--wait-timeout needs --wait")
    if graph:
        job = g.submit(client, context, graph)
        return creating.conclude(job, wait=wait, timeout=wait_timeout, as_json=as_json)
    if not argv:
        context.fail("Missing argument 'COMMAND...'.")
    is_job = creating.check(
        jobs, times=None if times == 1 else times, delay=delay or None, stdin=stdin
    )
    if wait and jobs.open:
        raise invalid("--wait", "an open job waits for items; use: quorate job wait ID")
    options = o.option_args(
        *(queue, name, priority, retries, timeout, delay, start_deadline, label),
        *(cpu, memory, resource, limit_key, limit, fairness_key, ordering_key),
    )
    options.update(o.unique_args(unique_key, on_conflict, unique_for))
    options.update(p.place_args(where, prefer, tolerate, near, apart, distinct, spread, placement))
    options.update(o.hook_args(set_up, clean_up, set_up_timeout, clean_up_timeout))
    options["request_id"] = request_id
    bound = client.options(**options)
    spec = command_spec(
        argv,
        bound.task_options,
        time.time(),
        env=pairs("--env", env),
        cwd=cwd,
        stdin=read(stdin) if stdin else b"",
        secrets=o.secrets(secret),
    )
    if is_job:
        job = creating.submit(bound, spec, jobs)
        return creating.conclude(job, wait=wait, timeout=wait_timeout, as_json=as_json)
    handles = bound.submit_batch([spec] * times) if times > 1 else [bound.submit_spec(spec)]
    if not wait:
        _print_ids(handles, as_json)
        return 0
    if times > 1:
        return wait_many(client, handles, queue, wait_timeout, as_json)
    return wait_one(handles[0], wait_timeout, as_json)


@with_client
@warned
@with_job_options
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
    name: o.Name = "",
    priority: o.Priority = 0,
    retries: o.Retries = 0,
    timeout: o.Timeout = None,
    delay: o.Delay = 0.0,
    start_deadline: o.StartDeadline = None,
    label: o.Label = None,
    cpu: o.Cpu = 0.0,
    memory: o.Memory = "",
    resource: o.Resource = None,
    limit_key: o.LimitKey = "",
    limit: o.Limit = None,
    fairness_key: o.FairnessKey = "",
    ordering_key: o.OrderingKey = "",
    where: p.Where = None,
    tolerate: p.Tolerate = None,
    secret: o.Secret = None,
    set_up: o.SetUp = "",
    clean_up: o.CleanUp = "",
    set_up_timeout: o.SetUpTimeout = None,
    clean_up_timeout: o.CleanUpTimeout = None,
    request_id: o.RequestId = "",
    wait_timeout: o.WaitTimeout = None,
    jobs: JobOptions = NO_JOB,
    json_items: Annotated[
        bool,
        typer.Option(
            "--json-items",
            help="Read each line of --each-line as a JSON value, not as a string.",
            rich_help_panel="Jobs",
        ),
    ] = False,
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
    options = o.option_args(
        *(queue, name, priority, retries, timeout, delay, start_deadline, label),
        *(cpu, memory, resource, limit_key, limit, fairness_key, ordering_key),
    )
    if wait_timeout is not None and no_wait:
        raise typer.BadParameter("--wait-timeout and --no-wait exclude each other")
    options.update(p.place_args(where, tolerate=tolerate))
    options["secrets"] = o.secrets(secret)
    options.update(o.hook_args(set_up, clean_up, set_up_timeout, clean_up_timeout))
    options["request_id"] = request_id
    bound = client.options(**options)
    if creating.check(jobs, delay=delay or None):
        job = creating.call(bound, function, arguments, jobs, json_items=json_items)
        wait = not (no_wait or jobs.open)
        return creating.conclude(
            job, wait=wait, timeout=wait_timeout, as_json=as_json, values=not jobs.reduce
        )
    if json_items:
        raise invalid("--json-items", "needs --each-line")
    handle = bound.submit_json(function, arguments_of(arguments))
    if no_wait:
        _print_ids([handle], as_json)
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


@with_client
@warned
def map_(
    client: Client,
    function: Function,
    items: Annotated[
        str,
        typer.Option(metavar="FILE", help="File with one item per line. '-' is standard input."),
    ],
    json_items: Annotated[
        bool, typer.Option("--json-items", help="Read each line as a JSON value, not as a string.")
    ] = False,
    chunk: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of items per task. \\[default: chosen by how long items take]",
            show_default=False,
        ),
    ] = None,
    unordered: Annotated[
        bool, typer.Option("--unordered", help="Print each result when its task ends.")
    ] = False,
    queue: o.Queue = "default",
    name: o.Name = "",
    priority: o.Priority = 0,
    retries: o.Retries = 0,
    timeout: o.Timeout = None,
    label: o.Label = None,
    cpu: o.Cpu = 0.0,
    memory: o.Memory = "",
    resource: o.Resource = None,
    limit_key: o.LimitKey = "",
    limit: o.Limit = None,
    fairness_key: o.FairnessKey = "",
    ordering_key: o.OrderingKey = "",
    where: p.Where = None,
    tolerate: p.Tolerate = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
) -> int:
    """Call a Python function for each line of a file. Prints one JSON result per line, in order.

    [dim]seq 1000 | quorate map --items - --json-items math:sqrt[/dim]

    If an item fails, the command ends. It cancels the items that are not finished.
    """
    options = o.option_args(
        *(queue, name, priority, retries, timeout, 0.0, None, label),
        *(cpu, memory, resource, limit_key, limit, fairness_key, ordering_key),
    )
    options.update(p.place_args(where, tolerate=tolerate))
    total, found = lines(items)
    values = (item(line, number) for number, line in enumerate(found, 1)) if json_items else found
    bound = client.options(**options)
    run = bound.map_unordered if unordered else bound.map
    number = 0
    try:
        with (
            map_progress(total, quiet=quiet) as progress,
            saying_why_none(client, queue, progress.say) as started,
        ):
            for result in run(function, values, chunk=chunk):
                started()
                number += 1
                progress.print(visible_json(json.dumps(result, ensure_ascii=False, default=repr)))
    except Exception as error:
        # The function's own exception: its task and its traceback are in the cause.
        failed = error if isinstance(error, TaskFailed) else error.__cause__
        if not isinstance(failed, TaskFailed):
            raise
        code = report_failure(failed)
        if not unordered:
            hint(f"The first line of that task is line {number + 1} of the items.")
        if failed.type == "TypeError" and not json_items:
            hint("Items are strings; did you mean --json-items?")
        return code
    return 0


def _print_ids(handles: list[TaskHandle[Any]], as_json: bool) -> None:
    if as_json:
        print_json([{"id": handle.id} for handle in handles])
        return
    sys.stdout.write("".join(f"{handle.id}\n" for handle in handles))
    if sys.stdout.isatty():
        hint(f"Follow it: {command(f'logs -f {handles[0].id}')}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("submit", context_settings={"allow_interspersed_args": False})(submit)
    app.command("call")(call)
    app.command("map")(map_)
