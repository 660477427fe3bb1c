"""Options of tasks that share limits, turns and keys with others."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated

import typer

from quorate.cli.groups import given, refuse
from quorate.client.work.options import OptionArgs

_PANEL = "Limits and keys"
LimitKey = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="Limit key: tasks with the same key share the queue's --key-max-running and "
        "--key-rate. "
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
        help="Unique key: at most one unfinished task of the queue has it.",
        rich_help_panel=_PANEL,
    ),
]


class Conflict(enum.StrEnum):
    """What happens when another task has the unique key."""

    RETURN = "return"
    REJECT = "reject"
    REPLACE = "replace"


OnConflict = Annotated[
    Conflict | None,
    typer.Option(
        help="What happens when a task has the --unique-key. return: no task is created, and that "
        "task is the answer; reject: the command is refused; replace: that task is cancelled, and "
        "the new one takes its place. \\[default: return]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
UniqueFor = Annotated[
    float,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="Time after its creation for which a task keeps the --unique-key even when it has "
        "succeeded, in seconds. \\[default: until it is finished]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class Keys:
    """Limits, shares and turns."""

    limit_key: LimitKey = ""
    limit: Limit = None
    fairness_key: FairnessKey = ""
    ordering_key: OrderingKey = ""

    def args(self) -> OptionArgs:
        """What the SDK takes."""
        return OptionArgs(
            limit_key=self.limit_key,
            limits=self.limit or (),
            fairness_key=self.fairness_key,
            ordering_key=self.ordering_key,
        )


@dataclass(frozen=True, slots=True)
class Unique:
    """The unique key."""

    unique_key: UniqueKey = ""
    on_conflict: OnConflict = None
    unique_for: UniqueFor = 0.0

    def args(self) -> OptionArgs:
        """What the SDK takes. Raises QuorateError."""
        if not self.unique_key:
            refuse(given(self), "needs --unique-key")
        return OptionArgs(
            unique_key=self.unique_key,
            unique_rejects=self.on_conflict is Conflict.REJECT,
            unique_replaces=self.on_conflict is Conflict.REPLACE,
            unique_for=self.unique_for or None,
        )
