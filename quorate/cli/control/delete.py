"""`quorate delete`: the records of finished tasks, by ids or all that a filter finds."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from quorate.cli.common import with_client
from quorate.cli.control.many import again
from quorate.cli.tasks.cancel import each
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.cli.tasks.states import FINISHED, states
from quorate.client.client import Client
from quorate.client.transport.rpcs import DELETE_TASK, new_request_id
from quorate.runtime.errors import invalid
from quorate.runtime.sizes import plural
from quorate.v1 import scheduler_pb2


@with_client
def delete(
    client: Client,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help=f"Ids of finished tasks: each {WHICH}."),
    ] = None,
    queue: Annotated[
        str, typer.Option("--queue", "-q", help="Queue whose finished tasks to delete.")
    ] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="With --queue or --all: state of the tasks to delete: succeeded, failed or "
            "cancelled; may be repeated. \\[default: all three]",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Finished tasks of all queues.")
    ] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Delete the tasks of --queue or --all. Without --yes they are only counted.",
        ),
    ] = False,
) -> int:
    """Delete finished tasks with their results and errors.

    Otherwise they stay as long as their queue stores finished tasks: see the options --keep-age and
    --keep-count of [bold]quorate queue create[/bold].

    [dim]quorate delete --queue mail --state failed --yes[/dim]
    """
    if state and not (queue or everything):
        raise invalid("--state", "needs --queue, whose finished tasks it chooses from, or --all")
    if [bool(ids), bool(queue), everything].count(True) != 1:
        raise invalid("ID", "give either ids or --queue, or choose all finished tasks by --all")
    if ids:
        return each(client, ids, lambda id: _delete(client, task_id(client, id)))
    chosen = states(state) or FINISHED
    for one in chosen:
        if one not in FINISHED:
            raise invalid("--state", f"{one} tasks are not finished; cancel them first")
    counts = client.delete_tasks(queue=queue, states=chosen, dry_run=not yes)
    if yes:
        sys.stdout.write(f"{counts.deleted:,} deleted\n")
    else:
        sys.stdout.write(f"{plural(counts.deleted, 'finished task')}\n")
    return again(counts.deleted, yes=yes, verb="delete")


def _delete(client: Client, id: str) -> str:
    client.calls.call(
        DELETE_TASK, scheduler_pb2.DeleteTaskRequest(id=id, request_id=new_request_id())
    )
    return "deleted"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("delete")(delete)
