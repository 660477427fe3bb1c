"""`quorate submit`: runs a program as a task, many times as a job, or the tasks of a graph."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.graphs import submitting as g
from quorate.cli.groups import with_groups
from quorate.cli.inputs import read
from quorate.cli.jobs import creating
from quorate.cli.jobs.options import ArrayJob, OpenJob
from quorate.cli.tasks import options as o
from quorate.cli.tasks.ending import wait_many, wait_one
from quorate.cli.tasks.ids import print_ids
from quorate.cli.tasks.warned import warned
from quorate.cli.words import pairs
from quorate.client.client import Client
from quorate.client.work.options import OptionArgs
from quorate.client.work.specs import command_spec
from quorate.runtime.errors import invalid


@with_client
@warned
@with_groups
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
    times: Annotated[
        int, typer.Option(metavar="N", help="Number of copies to submit.", min=1, max=10_000)
    ] = 1,
    env: o.Env = None,
    secret: o.Secret = None,
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
        *(jobs, opened, execution, keys, unique, placing, hooks),
        times=None if times == 1 else times,
        delay=delay or None,
        stdin=stdin,
    )
    if wait and opened.open:
        raise invalid("--wait", "an open job waits for items; use: quorate job wait ID")
    if times > 1 and unique.unique_key:
        raise invalid("--unique-key", "is for one task; leave out --times")
    options = OptionArgs(queue=queue, delay=delay, request_id=request_id)
    for group in (execution, keys, unique, placing, hooks):
        options.update(group.args())
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
        job = creating.submit(bound, spec, jobs, opened)
        return creating.conclude(job, wait=wait, timeout=wait_timeout, as_json=as_json)
    handles = bound.submit_batch([spec] * times) if times > 1 else [bound.submit_spec(spec)]
    if not wait:
        print_ids(handles, as_json)
        return 0
    if times > 1:
        return wait_many(client, handles, queue, wait_timeout, as_json)
    return wait_one(handles[0], wait_timeout, as_json)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("submit", context_settings={"allow_interspersed_args": False})(submit)
