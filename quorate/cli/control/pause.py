"""`quorate pause` and `quorate resume`: tasks that wait are held back by name."""

from __future__ import annotations

from typing import Annotated

import typer

from quorate.cli.common import with_client
from quorate.cli.tasks.cancel import each
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.client.client import Client

Ids = Annotated[list[str], typer.Argument(metavar="ID", help=f"Ids of tasks: each {WHICH}.")]


@with_client
def pause(
    client: Client,
    ids: Ids,
    reason: Annotated[str, typer.Option(help="Reason, for people. \\[default: none]")] = "",
) -> int:
    """Hold back tasks that wait until they are resumed.

    What is assigned, runs or has finished cannot be paused. For all tasks of a queue, pause the
    queue: [bold]quorate queue pause[/bold].
    """

    def act(id: str) -> str:
        client.get(task_id(client, id)).pause(reason)
        return "paused"

    return each(ids, act)


@with_client
def resume(client: Client, ids: Ids) -> int:
    """Resume paused tasks."""

    def act(id: str) -> str:
        client.get(task_id(client, id)).resume()
        return "resumed"

    return each(ids, act)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause")(pause)
    app.command("resume")(resume)
