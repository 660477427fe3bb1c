"""Commands about shared limits: `limits`, and `limit create | update | delete`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from quorate.cli.cluster import limit_options as o
from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.client.client import Client
from quorate.client.pages import list_limits
from quorate.client.transport.rpcs import (
    CREATE_LIMIT,
    DELETE_LIMIT,
    GET_LIMIT,
    UPDATE_LIMIT,
    new_request_id,
)
from quorate.v1 import limit_pb2 as pb

Name = Annotated[str, typer.Argument(metavar="NAME", help="The limit's name.")]

group = typer.Typer(
    help="List the limits that queues share; create, change, show or delete one.",
    no_args_is_help=True,
)


@with_client
def limits(client: Client, as_json: Json = False) -> None:
    """List the limits that queues share, and how much of them is in use.

    RUNNING: "1 / 2" means that 1 task runs of 2 that may. RATE is how many attempts may start in a
    time, and BURST how many of them may start at once. "-" is no limit. WAITING is the
    number of tasks with this limit that are not finished and do not run.
    """
    found = list(list_limits(client.calls))
    if as_json:
        render.print_messages(found)
        return
    if not found:
        render.hint("No shared limits. Create one: quorate limit create licence --max-running 5")
        return
    render.show(_table(found))


# The command of the same name, for those who try it.
group.command("list")(limits)


def _table(found: Sequence[pb.Limit]) -> Table:
    table = render.table(
        *("LIMIT", "RUNNING", "RATE", "BURST", "WAITING"),
        right=("RUNNING", "RATE", "BURST", "WAITING"),
        drop=("BURST",),
    )
    for limit in found:
        table.add_row(
            Text(limit.name),
            f"{limit.running:,} / {o.number_text(limit, 'max_running')}",
            o.rate_of(limit, "rate"),
            f"{limit.rate.burst:,}" if limit.HasField("rate") else "-",
            f"{max(0, limit.live_tasks - limit.running):,}",
        )
    return table


@group.command("show")
@with_client
def show(client: Client, name: Name, as_json: Json = False) -> None:
    """Show one limit, and how much of it is in use."""
    limit = client.calls.call(GET_LIMIT, pb.GetLimitRequest(name=name)).limit
    if as_json:
        render.print_json(render.as_dict(limit))
        return
    render.show(_table([limit]))


@group.command("create")
@with_client
def create(
    client: Client,
    name: Name,
    max_running: o.MaxRunning = "",
    rate: o.Rate = "",
    burst: o.Burst = 0,
) -> None:
    """Create a limit that tasks of any queue share.

    [dim]quorate limit create licence --max-running 5[/dim]

    [dim]quorate submit --limit licence -- simulate model.txt[/dim]
    """
    limit, _ = _wanted(name, max_running, rate, burst)
    request = pb.CreateLimitRequest(limit=limit, request_id=new_request_id())
    client.calls.call(CREATE_LIMIT, request)
    sys.stdout.write(f"{name} created\n")


@group.command("update")
@with_client
def update(
    client: Client,
    name: Name,
    max_running: o.MaxRunning = "",
    rate: o.Rate = "",
    burst: o.Burst = 0,
) -> None:
    """Change a limit. Options that you leave out change nothing. Running tasks go on."""
    limit, fields = _wanted(name, max_running, rate, burst)
    request = pb.UpdateLimitRequest(limit=limit, request_id=new_request_id())
    request.update_mask.paths.extend(fields)
    client.calls.call(UPDATE_LIMIT, request)
    sys.stdout.write(f"{name} changed\n")


@group.command("delete")
@with_client
def delete(client: Client, name: Name) -> None:
    """Delete a limit. No unfinished task may have it."""
    request = pb.DeleteLimitRequest(name=name, request_id=new_request_id())
    client.calls.call(DELETE_LIMIT, request)
    sys.stdout.write(f"{name} deleted\n")


def _wanted(name: str, max_running: str, rate: str, burst: int) -> tuple[pb.Limit, list[str]]:
    """The limit that options ask for, and the fields that they name."""
    limit = pb.Limit(name=name)
    fields = []
    if o.put_number(limit, "max_running", "--max-running", max_running):
        fields.append("max_running")
    if o.put_rate(limit, "rate", "--rate", rate, burst):
        fields.append("rate")
    if not fields:
        raise typer.BadParameter("nothing to set; give --max-running N, --rate N/TIME or both")
    return limit, fields


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("limits")(limits)
    app.add_typer(group, name="limit")
