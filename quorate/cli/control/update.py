"""`quorate update`: changes tasks that wait, by their ids or all that a filter finds."""

from __future__ import annotations

from typing import Annotated

import typer

from quorate.cli.common import Json, with_client
from quorate.cli.control.changes import (
    basic_changes,
    hook_changes,
    limit_changes,
    placement_changes,
    refuse_none,
)
from quorate.cli.control.many import Ids, Queue, Search, again, chosen, show
from quorate.cli.exits import NOT_FOUND, OK, REFUSED
from quorate.cli.groups import CHANGING, with_groups
from quorate.cli.tasks.cancel import each
from quorate.cli.tasks.ids import task_id
from quorate.cli.tasks.options import Hooks, Placing
from quorate.cli.tasks.states import states
from quorate.client.client import Client
from quorate.client.work.updates import UpdateArgs

# Beyond, one call updates all, and one line says what became of them.
_ONE_BY_ONE = 10
_STATES = ("pending", "scheduled", "paused")
_PANEL = "Changes"
_LIMITS_PANEL = "Limits and keys"


@with_client
@with_groups
def update(
    client: Client,
    ids: Ids = None,
    queue: Queue = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            help="Tasks in this state: pending, scheduled or paused; may be repeated. "
            "\\[default: all three]",
        ),
    ] = None,
    search: Search = "",
    everything: Annotated[bool, typer.Option("--all", help="All tasks that wait.")] = False,
    priority: Annotated[
        int | None,
        typer.Option(
            help="New priority, -1000 to 1000. Higher priority starts first.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Label; may be repeated. The labels given replace all old ones.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    delay: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Time from now until the task may start, in seconds; 0 lets it start now.",
            min=0.0,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="New maximum run time of one attempt, in seconds.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            help="New maximum number of retries after failed attempts.",
            min=0,
            rich_help_panel=_PANEL,
        ),
    ] = None,
    start_deadline: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="New time in which the task must start, counted from now, in seconds.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    to_queue: Annotated[
        str,
        typer.Option(
            "--to-queue",
            metavar="QUEUE",
            help="Queue to which the tasks go. Older tasks go first there.",
            rich_help_panel=_PANEL,
        ),
    ] = "",
    limit_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="New limit key; '' removes it.",
            rich_help_panel=_LIMITS_PANEL,
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Shared limit (see 'quorate limits'); may be repeated. The limits given replace "
            "all old ones; '' removes them.",
            rich_help_panel=_LIMITS_PANEL,
        ),
    ] = None,
    fairness_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="New fairness key; '' removes it.",
            rich_help_panel=_LIMITS_PANEL,
        ),
    ] = None,
    ordering_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="New ordering key; '' removes it. Within a key, older tasks go first.",
            rich_help_panel=_LIMITS_PANEL,
        ),
    ] = None,
    *,
    placing: Annotated[Placing, CHANGING],
    any_node: Annotated[
        bool,
        typer.Option(
            "--any-node",
            help="Remove all placement rules that the tasks have.",
            rich_help_panel="Placement",
        ),
    ] = False,
    hooks: Annotated[Hooks, CHANGING],
    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            help="Update the tasks of a filter; without --yes the command only counts them.",
        ),
    ] = False,
    as_json: Json = False,
) -> int:
    """Change tasks that wait: PENDING, SCHEDULED or PAUSED. What is not given stays as it is.

    Give ids, or filters (--queue, --state, --search; all must match), or --all:

    [dim]quorate update --queue mail --search report --priority 5 --yes[/dim]

    Placement rules replace those of the same kind: --where and --prefer are one kind, and so are
    --placement and --spread.

    [dim]quorate update ID --where disk=ssd --tolerate gpu[/dim]
    """
    changes = basic_changes(priority, label, delay, timeout, retries, start_deadline, to_queue)
    changes.update(limit_changes(limit_key, limit, fairness_key, ordering_key))
    changes.update(placement_changes(placing.args(), any_node=any_node))
    changes.update(hook_changes(hooks.args()))
    refuse_none(changes)
    filters = {"--queue": queue, "--state": state, "--search": search}
    if chosen(ids, filters, all_of_them=everything):
        assert ids is not None
        if len(ids) <= _ONE_BY_ONE and not as_json:
            return each(client, ids, lambda id: _one(client, id, changes))
        counts = client.update_tasks([task_id(client, id) for id in ids], **changes)
    else:
        wanted = states(state) or _STATES
        if over := [one for one in wanted if one not in _STATES]:
            raise typer.BadParameter(f"--state {over[0]}: only waiting tasks can be updated")
        counts = client.update_tasks(
            queue=queue, states=wanted, text=search, dry_run=not yes, **changes
        )
    show(
        {
            "updated": counts.updated,
            "not_waiting": counts.not_waiting,
            "skipped": counts.skipped,
            "not_found": counts.not_found,
            "refused": counts.refused,
        },
        {
            "updated": "updated" if yes or ids else "waiting",
            "not_waiting": "not waiting",
            "skipped": "skipped",
            "not_found": "not found",
            "refused": "refused by the other queue, or for a limit or quota",
        },
        as_json=as_json,
    )
    if not ids:
        return again(counts.updated, yes=yes, verb="update")
    if counts.not_found:
        return NOT_FOUND
    return REFUSED if counts.updated < len(ids) else OK


def _one(client: Client, id: str, changes: UpdateArgs) -> str:
    client.get(task_id(client, id)).update(**changes)
    return "updated"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("update")(update)
