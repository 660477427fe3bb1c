"""Options that choose nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from quorate.cli.words import pairs
from quorate.client.work.options import OptionArgs

_PANEL = "Placement"
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE",
        help="Rule for the labels of the node, such as disk=ssd, 'zone in a,b' or '!gpu'; may be "
        "repeated, and all must hold. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Prefer = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE",
        help="Rule like --where, but preferred, not required; may be repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Tolerate = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TAINT",
        help="Taint of nodes on which the task may run: KEY, KEY=VALUE, or '*' for all; may be "
        "repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Near = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Label of a task that must run on the same node; may be repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Apart = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="Label of tasks that must not run on the same node; may be repeated. "
        "\\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Distinct = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY",
        help="Key of a label of the task, such as app: tasks with the same value of this label run "
        "on different nodes; may be repeated. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Spread = Annotated[
    str,
    typer.Option(
        metavar="LABEL",
        help="Label of nodes, such as zone, over whose values the tasks of the queue are spread; "
        "'node' spreads over nodes. \\[default: none]",
        rich_help_panel=_PANEL,
    ),
]
Strategy = Annotated[
    str,
    typer.Option(
        "--placement",
        metavar="STRATEGY",
        help="Placement strategy of the task: least-loaded, round-robin, consistent-hash, "
        "bin-pack, spread or random-of-two (the documentation explains them under Placement). "
        "\\[default: that of the queue]",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class Placing:
    """Which nodes may run the task, and which of them is best."""

    where: Where = None
    prefer: Prefer = None
    tolerate: Tolerate = None
    near: Near = None
    apart: Apart = None
    distinct: Distinct = None
    spread: Spread = ""
    placement: Strategy = ""

    def args(self) -> OptionArgs:
        """What the SDK takes. Raises BadParameter."""
        return OptionArgs(
            where=self.where or (),
            prefer=self.prefer or (),
            tolerate=self.tolerate or (),
            near=pairs("--near", self.near),
            apart=pairs("--apart", self.apart),
            distinct=self.distinct or (),
            spread=self.spread,
            placement=self.placement,
        )
