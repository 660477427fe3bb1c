"""Commands about schedules: `schedules`, and `schedule list | create | show | update | ...`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.output.render import hint
from quorate.cli.schedules import options as o
from quorate.cli.schedules.create import create
from quorate.cli.schedules.running import run
from quorate.cli.schedules.show import done, schedule_table, show
from quorate.cli.schedules.update import update
from quorate.client.client import Client

group = typer.Typer(
    help="List schedules (tasks at certain times); create, show, change, pause or run one.",
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

    A tick is a time at which the schedule creates a task, and this task is a run. LAST RUN is the
    state of the newest run, and how long ago its tick was. MISSED is the number of ticks that got
    no run; 'quorate schedule show' says why.
    """
    found = list(client.schedules.list(queue=queue))
    if as_json:
        render.print_messages(found)
        return
    render.show(schedule_table(found))
    if not found:
        hint("Create one: quorate schedule create hello --every 60 -- echo hello")


# The command of the same name, for those who try it.
group.command("list")(schedules)


@with_client
def show_one(client: Client, schedule: o.Name, as_json: Json = False) -> None:
    """Show a schedule: its next ten ticks, last runs, and ticks without a run with the reason."""
    found = client.schedules.get(schedule)
    if as_json:
        render.print_json(render.as_dict(found))
        return
    show(found)


@with_client
def pause(
    client: Client,
    schedule: o.Name,
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
    done(client.schedules.pause(schedule, reason, instant), "paused", as_json)


@with_client
def resume(client: Client, schedule: o.Name, as_json: Json = False) -> None:
    """Resume a paused schedule. It goes on with the next tick."""
    done(client.schedules.resume(schedule), "resumed", as_json)


@with_client
def delete(client: Client, schedule: o.Name) -> None:
    """Delete a schedule. Its tasks stay."""
    client.schedules.delete(schedule)
    sys.stdout.write(f"{schedule} deleted\n")


for _name, _command in (
    ("create", create),
    ("show", show_one),
    ("update", update),
    ("pause", pause),
    ("resume", resume),
    ("run", run),
    ("delete", delete),
):
    group.command(_name)(_command)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("schedules")(schedules)
    app.add_typer(group, name="schedule")
