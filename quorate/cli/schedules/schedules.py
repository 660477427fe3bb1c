"""Commands about schedules: `schedules`, and `schedule create | show | update | delete | pause |
resume | run`."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Any

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.graphs.file import read_graph
from quorate.cli.output import render
from quorate.cli.output.render import hint
from quorate.cli.schedules import options as o
from quorate.cli.schedules.show import schedule_table, show
from quorate.cli.tasks import options as task_options
from quorate.cli.tasks.options import placing
from quorate.cli.words import pairs
from quorate.client.client import Client
from quorate.client.work.specs import command_spec, json_spec
from quorate.runtime.sizes import plural
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import schedule_pb2 as pb

Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's name.")]
Argv = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND", help="Program of a run, and its arguments."),
]
Call = Annotated[
    str,
    typer.Option(
        "--call",
        metavar="MODULE:FUNCTION",
        help="Python function of a run, instead of a program.",
        show_default=False,
    ),
]
Arguments = Annotated[
    str,
    typer.Option(
        "--arguments",
        metavar="JSON",
        help="Arguments of --call: a JSON list, or an object with args and kwargs.",
        show_default=False,
    ),
]
group = typer.Typer(
    help="Create, show, change, pause or run a schedule: tasks at certain times.",
    no_args_is_help=True,
)


@with_client
def schedules(
    client: Client,
    queue: Annotated[
        str, typer.Option("--queue", "-q", help="Queue of the runs. \\[default: all]")
    ] = "",
    as_json: Json = False,
) -> None:
    """List the schedules, with their next tick and last run.

    A tick is a time at which the schedule creates a task, and this task is a run. NEXT is the time
    until the next tick. MISSED is the number of ticks that got no run; 'quorate schedule show' says
    why.
    """
    found = list(client.schedules.list(queue=queue))
    if as_json:
        render.print_messages(found)
        return
    render.show(schedule_table(found))
    if not found:
        hint("Create one: quorate schedule create hello --every 60 -- echo hello")


@group.command("create")
@with_client
def create(
    client: Client,
    schedule: Name,
    argv: Argv = None,
    call: Call = "",
    arguments: Arguments = "[]",
    cron: o.Cron = "",
    every: o.Every = "",
    at: o.At = "",
    zone: o.Zone = "",
    jitter: o.Jitter = "",
    start: o.Start = "",
    end: o.End = "",
    max_runs: o.MaxRuns = None,
    dst_gap: o.DstGap = None,
    dst_fold: o.DstFold = None,
    overlap: o.OverlapOption = None,
    catch_up_window: o.Window = "",
    catch_up_count: o.Count = None,
    blackout: o.Blackout = None,
    on_failure: o.OnFailureOption = None,
    queue: task_options.Queue = "default",
    priority: task_options.Priority = 0,
    retries: task_options.Retries = 0,
    timeout: task_options.Timeout = None,
    start_deadline: task_options.StartDeadline = None,
    label: task_options.Label = None,
    cpu: task_options.Cpu = 0.0,
    memory: task_options.Memory = "",
    resource: task_options.Resource = None,
    limit_key: task_options.LimitKey = "",
    limit: task_options.Limit = None,
    fairness_key: task_options.FairnessKey = "",
    ordering_key: task_options.OrderingKey = "",
    where: placing.Where = None,
    tolerate: placing.Tolerate = None,
    env: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Environment variable; may be repeated."),
    ] = None,
    secret: task_options.Secret = None,
    set_up: task_options.SetUp = "",
    clean_up: task_options.CleanUp = "",
    set_up_timeout: task_options.SetUpTimeout = None,
    clean_up_timeout: task_options.CleanUpTimeout = None,
    array: Annotated[
        int,
        typer.Option(
            min=0,
            max=10_000_000,
            help="Number of subtasks: each run is an array job. \\[default: a run is one task]",
            show_default=False,
        ),
    ] = 0,
    graph: o.Graph = "",
    as_json: Json = False,
) -> None:
    """Create a schedule. The cluster creates a task at each of its ticks.

    [dim]quorate schedule create nightly --cron "30 2 * * *" --zone Europe/Berlin -- ./report[/dim]

    [dim]quorate schedule create sync --every 5m --call jobs:sync[/dim]

    A run gets the time of its tick in the environment variable QUORATE_SCHEDULED_TIME.
    """
    bound = client.options(
        **task_options.option_args(
            *(queue, "", priority, retries, timeout, 0.0, start_deadline, label),
            *(cpu, memory, resource, limit_key, limit, fairness_key, ordering_key),
        )
    ).options(**placing.place_args(where, None, tolerate))
    bound = bound.options(
        **task_options.hook_args(set_up, clean_up, set_up_timeout, clean_up_timeout)
    )
    if call and secret:
        bound = bound.options(secrets=task_options.secrets(secret))
    task: task_pb2.TaskSpec | job_pb2.JobSpec | None
    if graph:
        given = (argv, call, array, priority, retries, timeout, start_deadline, label, cpu, memory)
        keys = (limit_key, limit, fairness_key, ordering_key, where, tolerate)
        if any((*given, *keys, resource, env, secret, set_up, clean_up)):
            raise typer.BadParameter("--graph: what runs, and its options, are in the file")
        found = read_graph(graph)
        task = found.spec
        bound = bound.options(queue=found.queue or queue)
    else:
        task = _work(bound, argv, call, arguments, env, secret)
    if task is None:
        raise typer.BadParameter("what the schedule runs is missing; give -- COMMAND, or --call")
    made = bound.schedules.create(
        schedule,
        job_pb2.JobSpec(template=task, count=array)
        if array and isinstance(task, task_pb2.TaskSpec)
        else task,
        **o.when(
            cron=cron,
            every=every,
            at=at,
            zone=zone,
            jitter=jitter,
            start=start,
            end=end,
            max_runs=max_runs,
            dst_gap=dst_gap,
            dst_fold=dst_fold,
            overlap=overlap,
            window=catch_up_window,
            count=catch_up_count,
            blackout=blackout,
            on_failure=on_failure,
        ),
    )
    _done(made, "created", as_json)


@group.command("show")
@with_client
def show_one(client: Client, schedule: Name, as_json: Json = False) -> None:
    """Show a schedule: its next ten ticks, last runs, and ticks without a run with the reason."""
    found = client.schedules.get(schedule)
    if as_json:
        render.print_json(render.as_dict(found))
        return
    show(found)


@group.command("update")
@with_client
def update(
    client: Client,
    schedule: Name,
    argv: Argv = None,
    call: Call = "",
    arguments: Arguments = "[]",
    cron: o.Cron = "",
    every: o.Every = "",
    at: o.At = "",
    zone: o.Zone = "",
    jitter: o.Jitter = "",
    start: o.Start = "",
    end: o.End = "",
    max_runs: o.MaxRuns = None,
    dst_gap: o.DstGap = None,
    dst_fold: o.DstFold = None,
    overlap: o.OverlapOption = None,
    catch_up_window: o.Window = "",
    catch_up_count: o.Count = None,
    blackout: o.Blackout = None,
    on_failure: o.OnFailureOption = None,
    as_json: Json = False,
) -> None:
    """Change a schedule. Options that you leave out change nothing. Ticks that are due but have not
    run yet get no runs.

    [dim]quorate schedule update nightly --cron "0 3 * * *"[/dim]
    """
    when = o.when(
        cron=cron,
        every=every,
        at=at,
        zone=zone,
        jitter=jitter,
        start=start,
        end=end,
        max_runs=max_runs,
        dst_gap=dst_gap,
        dst_fold=dst_fold,
        overlap=overlap,
        window=catch_up_window,
        count=catch_up_count,
        blackout=blackout,
        on_failure=on_failure,
    )
    task = _work(client, argv, call, arguments, None, None)
    if task is None and not when:
        raise typer.BadParameter("nothing to change; give an option, such as --cron")
    _done(client.schedules.update(schedule, task, **when), "changed", as_json)


@group.command("pause")
@with_client
def pause(
    client: Client,
    schedule: Name,
    reason: Annotated[str, typer.Option(help="Reason, for others.", show_default=False)] = "",
    until: Annotated[
        str,
        typer.Option(
            metavar="DATE",
            help="Time when the schedule resumes by itself: a date, or a time from now such as 2h. "
            "\\[default: none]",
            show_default=False,
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Pause a schedule. Running tasks go on. Ticks during the pause get no runs."""
    instant = o.date("--until", until) if until else None
    _done(client.schedules.pause(schedule, reason, instant), "paused", as_json)


@group.command("resume")
@with_client
def resume(client: Client, schedule: Name, as_json: Json = False) -> None:
    """Resume a paused schedule. It goes on with the next tick."""
    _done(client.schedules.resume(schedule), "resumed", as_json)


@group.command("run")
@with_client
def run(
    client: Client,
    schedule: Name,
    since: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="DATE",
            help="Start of a backfill: the ticks since then run. \\[default: one run now]",
            show_default=False,
        ),
    ] = "",
    to: Annotated[
        str,
        typer.Option(
            metavar="DATE", help="End of the backfill. \\[default: now]", show_default=False
        ),
    ] = "",
    overlap: Annotated[
        o.Overlap | None,
        typer.Option(
            help="Policy of the backfill: skip, queue-all or allow. \\[default: queue-all]",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a schedule now, or its ticks of the past (a backfill).

    [dim]quorate schedule run nightly[/dim]

    [dim]quorate schedule run nightly --from 2026-11-01 --to 2026-11-30[/dim]
    """
    if not since:
        if to or overlap is not None:
            raise typer.BadParameter("--to and --overlap need --from")
        handle = client.schedules.run(schedule)
        if as_json:
            render.print_json({"task": handle.id})
        else:
            sys.stdout.write(f"{handle.id}\n")
        return
    ticks = client.schedules.backfill(
        schedule,
        o.date("--from", since),
        o.date("--to", to) if to else None,
        overlap.replace("-", "_") if overlap is not None else None,  # type: ignore[arg-type]
    )
    if as_json:
        render.print_json({"ticks": ticks})
    else:
        sys.stdout.write(f"{schedule}: {plural(ticks, 'tick')} will run\n")


@group.command("delete")
@with_client
def delete(client: Client, schedule: Name) -> None:
    """Delete a schedule. Its tasks stay."""
    client.schedules.delete(schedule)
    sys.stdout.write(f"{schedule} deleted\n")


def _work(
    client: Client,
    argv: list[str] | None,
    call: str,
    arguments: str,
    env: list[str] | None,
    secret: list[str] | None,
) -> task_pb2.TaskSpec | None:
    """The task of a run; None when neither a program nor a function is given."""
    if argv and call:
        raise typer.BadParameter("only one of -- COMMAND and --call is possible")
    if call:
        return json_spec(call, _arguments(arguments), client.task_options, time.time())
    if not argv:
        return None
    return command_spec(
        argv,
        client.task_options,
        time.time(),
        env=pairs("--env", env),
        secrets=task_options.secrets(secret),
    )


def _arguments(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--arguments: {text!r} is not JSON: {error}") from None
    if not isinstance(value, list | dict):
        raise typer.BadParameter("--arguments: a list is needed, such as '[2, 10]'")
    return value


def _done(schedule: pb.Schedule, what: str, as_json: bool) -> None:
    if as_json:
        render.print_json(render.as_dict(schedule))
        return
    sys.stdout.write(f"{schedule.name} {what}\n")
    if schedule.next_ticks:
        hint(f"Next tick: {render.zoned(schedule.next_ticks[0])}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("schedules")(schedules)
    app.add_typer(group, name="schedule")
