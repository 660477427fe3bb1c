"""`quorate delete`: the records of finished tasks, by ids or all that a filter finds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Annotated

import grpc
import typer

from quorate.cli.common import with_client
from quorate.cli.exits import FAILED, OK
from quorate.cli.output.render import err
from quorate.cli.tasks.cancel import each
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.cli.tasks.states import FINISHED, states
from quorate.client.client import Client
from quorate.client.transport.rpcs import DELETE_TASK, new_request_id
from quorate.runtime.errors import QuorateError, invalid
from quorate.runtime.sizes import plural
from quorate.v1 import scheduler_pb2

# Expired tasks there are none yet; a newer cluster may have them.
_ANY = (*FINISHED, "expired")
_PAGE = 1_000
# Calls under way at once; the leader commits them together.
_AT_ONCE = 32


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
            help="With --queue: state of the tasks to delete: succeeded, failed or cancelled; may "
            "be repeated. \\[default: all three]",
        ),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Delete the tasks of --queue. Without --yes the command only counts them.",
        ),
    ] = False,
) -> int:
    """Delete finished tasks with their results and errors.

    Otherwise they stay as long as their queue stores finished tasks: see the options --keep-age and
    --keep-count of [bold]quorate queue create[/bold].

    [dim]quorate delete --queue mail --state failed --yes[/dim]
    """
    if state and not queue:
        raise invalid("--state", "needs --queue, whose finished tasks it chooses from")
    if bool(ids) == bool(queue):
        raise invalid("ID", "give either ids or --queue")
    if ids:
        return each(ids, lambda id: _delete(client, task_id(client, id)))
    chosen = states(state) or _ANY
    for one in chosen:
        if one not in _ANY:
            raise invalid("--state", f"{one} tasks are not finished; cancel them first")
    found = (task.id for task in client.tasks(queue=queue, states=chosen, page_size=_PAGE))
    if not yes:
        count = sum(1 for _ in found)
        sys.stdout.write(f"{plural(count, 'finished task')}\n")
        if count:
            err.print("Repeat the command with --yes to delete them.", markup=False)
        return FAILED if count else OK
    with err.status(f"deleting finished tasks of queue {queue}"):
        count = _delete_all(client, found)
    sys.stdout.write(f"{count:,} deleted\n")
    return OK


def _delete_all(client: Client, found: Iterable[str]) -> int:
    """Delete page by page; the number of tasks that are gone. Raises QuorateError."""
    count, rest = 0, iter(found)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        while page := list(islice(rest, _PAGE)):
            count += sum(pool.map(lambda id: _is_deleted(client, id), page))
    return count


def _is_deleted(client: Client, id: str) -> bool:
    try:
        _delete(client, id)
    except QuorateError as error:
        if error.code is not grpc.StatusCode.NOT_FOUND:
            raise
        # Retention was faster.
        return False
    return True


def _delete(client: Client, id: str) -> str:
    client.calls.call(
        DELETE_TASK, scheduler_pb2.DeleteTaskRequest(id=id, request_id=new_request_id())
    )
    return "deleted"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("delete")(delete)
