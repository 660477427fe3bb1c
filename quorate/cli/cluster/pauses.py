"""Commands about pauses of all tasks that match: `pauses list | create | end`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer
from rich.text import Text

from quorate.cli.cluster.queues import PauseScope
from quorate.cli.common import Json, with_client
from quorate.cli.output import render
from quorate.cli.words import pairs
from quorate.client.client import Client
from quorate.client.transport.rpcs import CREATE_PAUSE, new_request_id
from quorate.v1 import pause_pb2 as pb
from quorate.v1 import queue_pb2

Name = Annotated[str, typer.Argument(metavar="NAME", help="The pause's name.")]

group = typer.Typer(
    help="List, create or end pauses. Each holds back all tasks with a label or a fairness key. "
    "For single tasks see 'quorate pause'.",
    no_args_is_help=True,
)


@group.command("list")
@with_client
def list_(client: Client, as_json: Json = False) -> None:
    """List the pauses by name."""
    found = list(client.pauses.list())
    if as_json:
        render.print_messages(found)
        return
    if not found:
        render.hint("No pauses. Create one: quorate pauses create NAME --label app=mail")
        return
    table = render.table(
        *("PAUSE", "QUEUE", "LABELS", "TENANT", "STOPS", "UNTIL", "BY", "REASON"),
        drop=("BY", "REASON", "UNTIL"),
    )
    for one in found:
        scope = queue_pb2.PauseScope.Name(one.scope).removeprefix("PAUSE_SCOPE_").lower()
        table.add_row(
            Text(one.name),
            one.queue or "-",
            ", ".join(f"{key}={one.labels[key]}" for key in sorted(one.labels)) or "-",
            one.fairness_key or "-",
            scope,
            render.zoned(one.until) if one.HasField("until") else "-",
            one.paused_by or "-",
            one.reason or "-",
        )
    render.show(table)


@group.command("create")
@with_client
def create(
    client: Client,
    name: Name,
    queue: Annotated[
        str, typer.Option("--queue", "-q", help="Queue of the tasks. \\[default: every queue]")
    ] = "",
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Label of the tasks; may be repeated, and all must match. \\[default: none]",
        ),
    ] = None,
    fairness_key: Annotated[
        str, typer.Option(metavar="KEY", help="Fairness key of the tasks. \\[default: any]")
    ] = "",
    reason: Annotated[str, typer.Option(help="Reason, for people. \\[default: none]")] = "",
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            metavar="SECONDS",
            help="Time until the pause ends by itself, in seconds. \\[default: none]",
        ),
    ] = None,
    scope: Annotated[
        PauseScope,
        typer.Option(
            help="What stops: dispatch (no task starts), admission (no new task is accepted), or "
            "both."
        ),
    ] = PauseScope.DISPATCH,
) -> None:
    """Pause all tasks that match, also those that come later. Running tasks go on.

    [dim]quorate pauses create vendor-outage --label app=mail --for 3600[/dim]
    """
    wanted = pb.Pause(
        name=name,
        queue=queue,
        labels=pairs("--label", label),
        fairness_key=fairness_key,
        reason=reason,
        scope=f"PAUSE_SCOPE_{scope.value.upper()}",
    )
    if seconds is not None:
        wanted.until.FromNanoseconds(round((time.time() + seconds) * 1e9))
    request = pb.CreatePauseRequest(pause=wanted, request_id=new_request_id())
    made = client.calls.call(CREATE_PAUSE, request).pause
    until = f" until {render.zoned(made.until)}" if made.HasField("until") else ""
    sys.stdout.write(f"{name} holds{until}\n")


@group.command("end")
@with_client
def end(client: Client, name: Name) -> None:
    """End a pause: what waited for it may start."""
    client.pauses.end(name)
    sys.stdout.write(f"{name} ended\n")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="pauses")
