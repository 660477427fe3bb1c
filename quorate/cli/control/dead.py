"""`quorate dead`: failed tasks grouped by error; their tasks, retried or deleted."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from typing import Annotated

import typer
from rich.text import Text

from quorate.cli.common import Json, with_client
from quorate.cli.control.many import again, show
from quorate.cli.control.retry import Rate, print_retried
from quorate.cli.output import render
from quorate.cli.output.listing import one_line
from quorate.client.client import Client
from quorate.runtime.errors import QuorateError, invalid, not_found
from quorate.runtime.sizes import plural
from quorate.v1 import dead_letter_pb2

group = typer.Typer(
    help="Failed and expired tasks grouped by error: list, show, retry or delete them.",
    no_args_is_help=True,
)

DEAD = ("failed", "expired")
# Groups that a prefix of an id is looked up among, and characters of a shown message.
_LOOKED_UP = 11_000
_MIXED = "(errors of many kinds)"
# Behind the error of the newest task of a group that has several.
_NUMBERS = "(numbers may differ)"
_DIGIT = re.compile(r"\d")

Group = Annotated[
    str,
    typer.Argument(metavar="GROUP", help="Id of a group, or its first characters; see the list."),
]
MaybeGroup = Annotated[
    str | None,
    typer.Argument(metavar="GROUP", help="Id of a group, or its first characters; see the list."),
]
Queue = Annotated[
    str, typer.Option("--queue", "-q", help="Queue of the failed tasks. \\[default: all queues]")
]
All = Annotated[bool, typer.Option("--all", help="All failed and expired tasks.")]


@group.command("list")
@with_client
def list_groups(
    client: Client,
    queue: Queue = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number of groups.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """List failed and expired tasks grouped by error, the largest groups first.

    Tasks of a queue are in one group if their errors have the same type, and if the messages are
    equal when digits are ignored. So tasks with the same error in two queues are two groups. LAST
    is when the newest of them failed, and ERROR is its error.

    Failed subtasks of jobs are not listed here. See [bold]quorate jobs --state failed[/bold] and
    [bold]quorate job errors ID[/bold].
    """
    found = list(itertools.islice(client.dead_letters(queue=queue), limit + 1))
    if as_json:
        render.print_messages(found[:limit])
        return
    if not found:
        render.hint("No failed tasks.")
        _say_jobs(client, queue)
        return
    table = render.table(
        *("GROUP", "QUEUE", "TASKS", "ERROR", "LAST"),
        right=("TASKS",),
        elastic=("ERROR",),
        wrapped=("ERROR",),
    )
    for one in found[:limit]:
        table.add_row(
            one.id,
            one.queue,
            f"{one.count:,}",
            Text(_error(one)),
            render.since(one.last_time),
        )
    render.show(table)
    if len(found) > limit:
        render.hint(f"There are more groups. Show them with: --limit {limit * 10}")
    _say_jobs(client, queue)


@group.command("show")
@with_client
def show_group(
    client: Client,
    name: Group,
    queue: Queue = "",
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number of tasks.")
    ] = 10,
    as_json: Json = False,
) -> None:
    """Show one group of failed tasks, and the newest of them."""
    found = _find(client, name, queue)
    pages = client.tasks(queue=found.queue, error_group=found.id, page_size=min(limit, 1_000))
    tasks = list(itertools.islice(pages, limit))
    if as_json:
        render.print_json(
            {
                "groups": [render.as_dict(found)],
                "tasks": [render.as_dict(task) for task in tasks],
            }
        )
        return
    since, last = render.moment(found.first_time), render.zoned(found.last_time)
    render.say(_error(found))
    render.say(
        f"{plural(found.count, 'failed task')} of queue {found.queue}, "
        + (f"at {last}" if last.startswith(since) else f"from {since} to {last}")
    )
    table = render.table(
        *("ID", "NAME", "ATTEMPTS", "NODE", "FAILED", "ERROR"),
        right=("ATTEMPTS",),
        short={"ID": render.short_ids},
        elastic=("ERROR", "NAME"),
        wrapped=("ERROR",),
        drop=("NODE", "NAME"),
    )
    for task in tasks:
        table.add_row(
            task.id,
            Text(task.spec.name or "-"),
            str(task.attempt),
            render.task_node(task),
            render.since(task.finish_time),
            Text(one_line(task.error.message) or task.error.type),
        )
    render.show_tasks(table)


@group.command("retry")
@with_client
def retry_group(
    client: Client,
    name: MaybeGroup = None,
    queue: Queue = "",
    everything: All = False,
    rate: Rate = 0.0,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Retry them; without --yes the command only counts them."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Run the failed tasks of a group again, or (--all) every failed task.

    A group is one row of 'quorate dead list': tasks of one queue. Each task may use all of its
    retries again. Its past attempts stay stored.

    [dim]quorate dead retry 3f2a --rate 10 --yes[/dim]
    """
    queue, chosen = _chosen(client, name, queue, everything=everything)
    counts = client.retry_tasks(
        queue=queue, states=DEAD, error_group=chosen, rate=rate, dry_run=not yes
    )
    print_retried(counts, "will run again" if yes else "failed or expired", as_json=as_json)
    return again(counts.retried, yes=yes, verb="retry")


@group.command("delete")
@with_client
def delete_group(
    client: Client,
    name: MaybeGroup = None,
    queue: Queue = "",
    everything: All = False,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Delete them; without --yes the command only counts them."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Delete the failed tasks of a group, or (--all) every failed task, with their errors.

    A group is one row of 'quorate dead list': tasks of one queue.
    """
    queue, chosen = _chosen(client, name, queue, everything=everything)
    counts = client.delete_tasks(queue=queue, states=DEAD, error_group=chosen, dry_run=not yes)
    show(
        {
            "deleted": counts.deleted,
            "not_finished": counts.not_finished,
            "skipped": counts.skipped,
            "not_found": counts.not_found,
        },
        {
            "deleted": "deleted" if yes else "failed or expired",
            "not_finished": "not finished",
            "skipped": "in another state",
            "not_found": "not found",
        },
        as_json=as_json,
    )
    return again(counts.deleted, yes=yes, verb="delete")


def _chosen(client: Client, name: str | None, queue: str, *, everything: bool) -> tuple[str, str]:
    """The queue, and the id of the group, of the tasks that are meant; "" for all failed tasks.

    Raises QuorateError.
    """
    if bool(name) == everything:
        raise invalid("GROUP", "give either the id of a group, or --all")
    if not name:
        return queue, ""
    found = _find(client, name, queue)
    return found.queue, found.id


def _find(client: Client, name: str, queue: str) -> dead_letter_pb2.DeadLetterGroup:
    """The group whose id begins so. Raises QuorateError."""
    wanted = name.lower()
    groups = itertools.islice(client.dead_letters(queue=queue), _LOOKED_UP)
    found = [one for one in groups if one.id.startswith(wanted)]
    if not found:
        raise not_found("group", name)
    if len({one.id for one in found}) > 1:
        raise invalid("GROUP", f"{name!r} is the beginning of several ids; give more characters")
    if len(found) > 1:
        # Schedulers of an earlier version: the groups of several queues have one id.
        raise invalid("GROUP", f"{name!r} is a group of several queues; give one with --queue")
    return found[0]


def _error(one: dead_letter_pb2.DeadLetterGroup) -> str:
    if one.mixed:
        return _MIXED
    words = one_line(f"{one.error_type}: {one.error_message}".rstrip(": "))
    return f"{words} {_NUMBERS}" if one.count > 1 and _DIGIT.search(words) else words


def _say_jobs(client: Client, queue: str) -> None:
    """Where failed subtasks are, if there are any."""
    with suppress(QuorateError):
        if any(client.jobs(queue=queue, states=["failed"], page_size=1)):
            of_queue = f" --queue {queue}" if queue else ""
            render.hint(
                "Failed subtasks of jobs are not listed here. See: "
                f"quorate jobs --state failed{of_queue}"
            )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(group, name="dead")
