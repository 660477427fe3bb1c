"""`quorate pause`, `quorate resume`, `quorate signal`: for tasks by name, also while they run."""

from __future__ import annotations

from typing import Annotated

import typer

from quorate.cli.common import with_client
from quorate.cli.tasks.cancel import each
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.client.client import Client
from quorate.client.work.running.signals import SIGNALS

Ids = Annotated[list[str], typer.Argument(metavar="ID", help=f"Ids of tasks: each {WHICH}.")]


@with_client
def pause(
    client: Client,
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Reason, for people. \\[default: none]")] = "",
) -> int:
    """Hold back tasks that wait, and stop programs that run, until they are resumed.

    A stopped program keeps its slot and its memory, and its timeout stands still. A Python function
    that runs cannot be paused. For all tasks of a queue, pause the queue: [bold]quorate queue
    pause[/bold].
    """

    def act(id: str) -> str:
        client.get(task_id(client, id)).pause(reason)
        return "paused"

    return each(client, ids, act)


@with_client
def resume(client: Client, ids: Ids) -> int:
    """Resume paused tasks, and programs that were stopped while they ran."""

    def act(id: str) -> str:
        client.get(task_id(client, id)).resume()
        return "resumed"

    return each(client, ids, act)


@with_client
def signal(
    client: Client,
    ids: Ids,
    name: Annotated[
        str,
        typer.Option("--signal", "-s", metavar="NAME", help=f"Signal: {', '.join(SIGNALS)}."),
    ],
) -> int:
    """Send a signal to programs that run, with all processes of their process groups.

    To end a task, use [bold]quorate cancel[/bold]: a program that a signal ends has failed, and may
    be tried again.
    """
    if name.strip().upper().removeprefix("SIG") not in SIGNALS:
        raise typer.BadParameter(f"--signal: {name!r} is not one of {', '.join(SIGNALS)}")

    def act(id: str) -> str:
        client.get(task_id(client, id)).signal(name)
        return "signalled"

    return each(client, ids, act)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("signal")(signal)
