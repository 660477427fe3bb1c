"""Options of tasks that share limits, turns and keys with others."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from quorate.client.work.options import OptionArgs

_PANEL = "Execution"
LimitKey = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="Limit key: the queue's limits per key count tasks with the same key together. "
        "\\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Shared limit of the task (see 'quorate limits'); may be repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
FairnessKey = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="Fairness key: the tasks of each key get a fair share of the queue.",
        rich_help_panel=_PANEL,
    ),
]
OrderingKey = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="Ordering key: tasks of the queue with the same key run one after another.",
        rich_help_panel=_PANEL,
    ),
]
UniqueKey = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="Unique key: if an unfinished task of the queue has it, no task is created, and the "
        "id is that task's.",
        rich_help_panel=_PANEL,
    ),
]


class Conflict(enum.StrEnum):
    """What happens when another task has the unique key."""

    RETURN = "return"
    REJECT = "reject"
    REPLACE = "replace"


OnConflict = Annotated[
    Conflict,
    typer.Option(
        help="What happens when a task has the --unique-key: its id is printed and no task is "
        "created; the call is refused; or that task is cancelled and the new one takes its place.",
        rich_help_panel=_PANEL,
    ),
]
UniqueFor = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="Time from its creation for which a task that succeeded has the --unique-key, in "
        "seconds. \\[default: until it is finished]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]


def unique_args(key: str, conflict: Conflict, seconds: float) -> OptionArgs:
    """What the options about the unique key mean. Raises BadParameter."""
    if not key:
        if seconds or conflict is not Conflict.RETURN:
            raise typer.BadParameter("--unique-key is required with --on-conflict and --unique-for")
        return {}
    return {
        "unique_key": key,
        "unique_rejects": conflict is Conflict.REJECT,
        "unique_replaces": conflict is Conflict.REPLACE,
        "unique_for": seconds or None,
    }
