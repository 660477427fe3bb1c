"""`quorate retry`: some tasks by their ids, or all that a filter finds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format

from quorate.cli.common import Json, with_client
from quorate.cli.control.many import Ids, Queue, Search, again, chosen, show
from quorate.cli.exits import NOT_FOUND, OK, REFUSED
from quorate.cli.tasks.cancel import each
from quorate.cli.tasks.ids import task_id
from quorate.cli.tasks.states import states
from quorate.client.client import Client
from quorate.client.mapping.counts import Retried
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

# Beyond, one call retries all, and one line says what became of them.
_ONE_BY_ONE = 10
_STATES = ("failed", "cancelled", "expired")
_DEAD = ("failed", "expired")

Rate = Annotated[
    float,
    typer.Option(
        "--rate",
        help="Tasks a second that may start, 0.01 to 1,000,000 (default 0: all at once).",
        min=0.0,
    ),
]


@with_client
def retry(
    client: Client,
    ids: Ids = None,
    queue: Queue = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="Tasks in this state: failed, cancelled or expired; may be repeated. \\[default: "
            "failed and expired]",
        ),
    ] = None,
    search: Search = "",
    everything: Annotated[
        bool, typer.Option("--all", help="All failed and expired tasks.")
    ] = False,
    rate: Rate = 0.0,
    spec: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the spec that one task gets in place of its own, as JSON: the field "
            '"spec" of "quorate task ID --json", changed.',
        ),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Retry the tasks of a filter; without --yes the command only counts them."
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Run FAILED, CANCELLED or EXPIRED tasks again. Their count of retries starts from zero.

    What has not finished, or has SUCCEEDED, cannot be retried: submit it once more.

    Either ids, or a filter of --queue, --state and --search, which must all apply, or --all:

    [dim]quorate retry --queue mail --search timeout --rate 10 --yes[/dim]
    """
    if spec is not None:
        if not ids or len(ids) != 1:
            raise invalid("--spec", "needs exactly one ID")
        return each(client, ids, lambda id: _again(client, id, _spec(spec)))
    filters = {"--queue": queue, "--state": state, "--search": search}
    if chosen(ids, filters, all_of_them=everything):
        assert ids is not None
        if not rate and len(ids) <= _ONE_BY_ONE and not as_json:
            return each(client, ids, lambda id: _again(client, id))
        counts = client.retry_tasks([task_id(client, id) for id in ids], rate=rate)
        print_retried(counts, "will run again", as_json=as_json)
        if counts.not_found:
            return NOT_FOUND
        return REFUSED if counts.retried < len(ids) else OK
    wanted = states(state) or _DEAD
    if over := [one for one in wanted if one not in _STATES]:
        raise typer.BadParameter(
            f"--state {over[0]}: only failed, cancelled and expired tasks can be retried"
        )
    counts = client.retry_tasks(queue=queue, states=wanted, text=search, rate=rate, dry_run=not yes)
    words = "will run again" if yes else " or ".join(wanted)
    print_retried(counts, words, as_json=as_json)
    return again(counts.retried, yes=yes, verb="retry")


def _again(client: Client, id: str, spec: task_pb2.TaskSpec | None = None) -> str:
    client.get(task_id(client, id)).retry(spec)
    return "will run again"


def _spec(file: Path) -> task_pb2.TaskSpec:
    """The spec in a file. Raises BadParameter."""
    try:
        return json_format.Parse(file.read_text(), task_pb2.TaskSpec())
    except (OSError, ValueError, json_format.ParseError) as error:
        raise typer.BadParameter(f"--spec: {file} cannot be read: {error}") from None


def print_retried(counts: Retried, retried: str, *, as_json: bool) -> None:
    """Print what a bulk retry came to."""
    last = ""
    if counts.last_start is not None:
        last = f"; the last of them starts at {counts.last_start.astimezone():%Y-%m-%d %H:%M:%S}"
    show(
        {
            "retried": counts.retried,
            "not_finished": counts.not_finished,
            "skipped": counts.skipped,
            "not_found": counts.not_found,
            "over_quota": counts.over_quota,
        },
        {
            "retried": retried,
            "not_finished": "not finished",
            "skipped": "in another state",
            "not_found": "not found",
            "over_quota": "over quota",
        },
        as_json=as_json,
        more=last,
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("retry")(retry)
