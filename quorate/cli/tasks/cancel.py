"""`quorate cancel`: some tasks by their ids, or all that a filter finds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import grpc
import typer

from quorate.cli.common import Json, with_client
from quorate.cli.exits import FAILED, NOT_FOUND, OK, REFUSED, code_of, sentence_of
from quorate.cli.misnamed import misnamed
from quorate.cli.output import render
from quorate.cli.output.render import err
from quorate.cli.tasks.ids import WHICH, task_id
from quorate.cli.tasks.states import ASSIGNED, FINISHED, states
from quorate.client.client import Client
from quorate.client.handle import TaskHandle
from quorate.client.mapping.counts import Cancelled
from quorate.runtime.errors import QuorateError, invalid

# Beyond, one call cancels all, and one line says what became of them.
_ONE_BY_ONE = 10
# A filter that matches everything has to name all states.
_LIVE = ("scheduled", "pending", "running")


@with_client
def cancel(
    client: Client,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help=f"Ids of tasks. Of each: {WHICH}."),
    ] = None,
    queue: Annotated[
        str,
        typer.Option("--queue", "-q", help="Queue of the tasks to cancel. \\[default: all queues]"),
    ] = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="State of the tasks to cancel: scheduled, pending or running (includes assigned "
            "ones); may be repeated. \\[default: all three]",
        ),
    ] = None,
    search: Annotated[
        str,
        typer.Option(
            "--search",
            help="Words that a task must have, all of them: in its name, program or function, "
            "labels, id or error. \\[default: none]",
        ),
    ] = "",
    everything: Annotated[bool, typer.Option("--all", help="All tasks that wait or run.")] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Cancel the tasks of a filter or of --all. Without --yes they are only counted.",
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Cancel tasks. Waiting tasks are cancelled at once. Running attempts are ended first.

    Give either ids, or a filter, or --all. The filter is --queue, --state and --search, of which
    you can combine several:

    [dim]quorate cancel --queue mail --state pending --yes[/dim]
    """
    chosen = bool(queue or state or search or everything)
    if ids and chosen:
        raise invalid("ID", "give ids, or --queue, --state and --search, or --all, not both")
    if not ids and not chosen:
        raise invalid(
            "ID",
            "give ids, or choose tasks by --queue, --state or --search, or all of them by --all",
        )
    if ids and len(ids) <= _ONE_BY_ONE and not as_json:
        return each(client, ids, lambda id: _cancel(client.get(task_id(client, id))))
    if ids:
        counts = client.cancel_tasks([task_id(client, id) for id in ids])
        _show(counts, as_json, "cancelled")
        if counts.not_found:
            return NOT_FOUND
        return REFUSED if counts.finished else OK
    counts = client.cancel_tasks(
        queue=queue,
        states=_cancellable(state) or (_LIVE if everything else ()),
        text=search,
        dry_run=not yes,
    )
    _show(counts, as_json, "cancelled" if yes else "scheduled or pending")
    if yes or not (counts.cancelled or counts.stopping):
        return OK
    err.print("Repeat the command with --yes to cancel them.", markup=False)
    return FAILED


def _cancellable(words: list[str] | None) -> tuple[str, ...]:
    wanted = states(words)
    if over := [one for one in wanted if one in FINISHED]:
        raise typer.BadParameter(
            f"--state {over[0]}: finished tasks cannot be cancelled; delete removes them"
        )
    if ASSIGNED in wanted:
        raise typer.BadParameter("--state assigned: use running, which includes assigned tasks")
    return wanted


def each(client: Client, ids: list[str], act: Callable[[str], str]) -> int:
    """Do something to each; go on after a failure, and report the gravest code."""
    worst = OK
    for id in ids:
        try:
            sys.stdout.write(f"{id} {act(id)}\n")
        except QuorateError as error:
            err.print(f"quorate: {sentence_of(misnamed(client, error))}", markup=False)
            worst = max(worst, code_of(error))
    return worst


def _cancel(handle: TaskHandle[Any]) -> str:
    if not handle.cancel():
        raise QuorateError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "TASK_FINISHED",
            f"task {handle.id} is finished already ({handle.status()})",
        )
    return "cancelled" if handle.done() else "is being cancelled"


def _show(counts: Cancelled, as_json: bool, waiting: str) -> None:
    if as_json:
        render.print_json(
            {
                "cancelled": counts.cancelled,
                "stopping": counts.stopping,
                "finished": counts.finished,
                "not_found": counts.not_found,
            }
        )
        return
    parts = [f"{counts.cancelled:,} {waiting}"]
    running = "being ended" if waiting == "cancelled" else "running (or assigned)"
    for number, what in (
        (counts.stopping, running),
        (counts.finished, "finished already"),
        (counts.not_found, "not found"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    sys.stdout.write(", ".join(parts) + "\n")
