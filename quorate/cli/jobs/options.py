"""Options that make a job of many subtasks instead of one task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import typer

_PANEL: Final = "Jobs"

Array = Annotated[
    str,
    typer.Option(
        "--array",
        metavar="RANGE",
        help="Run it once for each index, as one job: FIRST-LAST, :STEP, %PARALLEL, as in 1-1000, "
        "0-99:3, 1-1000%50 (at most 50 at once). {index} in an argument of a program is the index; "
        "a function gets it as its first argument.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
EachLine = Annotated[
    str,
    typer.Option(
        "--each-line",
        metavar="FILE",
        help="Run it once for each line of a file, as one job; '-' is standard input. {} in an "
        "argument of a program is the line, {index} its number from 0; a function gets the line as "
        "its first argument.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Open = Annotated[
    bool,
    typer.Option(
        "--open",
        help="Make a job that accepts further items: 'quorate job append' adds them, until "
        "'quorate job close'. It may begin without items, that is, without --each-line.",
        rich_help_panel=_PANEL,
    ),
]
CloseAfterIdle = Annotated[
    float | None,
    typer.Option(
        "--close-after-idle",
        metavar="SECONDS",
        min=1,
        help="Time without new items after which an open job is closed, in seconds. "
        "\\[default: 24 hours]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
MaxParallel = Annotated[
    int,
    typer.Option(
        "--max-parallel",
        metavar="N",
        min=0,
        help="Maximum number of a job's subtasks that run at once; 0: no limit.",
        rich_help_panel=_PANEL,
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures",
        metavar="N",
        min=0,
        help="Number of a job's subtasks that may fail; one more ends the job. 0: none may fail. "
        "\\[default: any number]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
MaxFailureShare = Annotated[
    float,
    typer.Option(
        "--max-failure-share",
        metavar="SHARE",
        min=0,
        max=1,
        help="Share of a job's subtasks that may fail, such as 0.05; more end the job. 0: no limit "
        "(if none may fail: --max-failures 0).",
        rich_help_panel=_PANEL,
    ),
]
Reduce = Annotated[
    str,
    typer.Option(
        "--reduce",
        metavar="MODULE:FUNCTION",
        help="Function that makes the job's result when all subtasks have succeeded: it gets their "
        "results, in order, as one iterable. \\[default: none]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
ReduceArgs = Annotated[
    str,
    typer.Option(
        "--reduce-args",
        metavar="JSON",
        help="Further arguments of --reduce, after the results, as JSON: a list, such as "
        "'\\[0.5, \"eu\"]', or one value, such as 0.5. "
        "\\[default: none]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
FanIn = Annotated[
    int,
    typer.Option(
        "--fan-in",
        metavar="N",
        min=0,
        help="Maximum number of results that one call of --reduce gets, 2 or more; what the calls "
        "return is reduced again. 0: one call gets all.",
        rich_help_panel=_PANEL,
    ),
]


JsonItems = Annotated[
    bool,
    typer.Option(
        "--json-items",
        help="Read each line of --each-line as a JSON value, not as a string.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class ArrayJob:
    """A job of many subtasks, instead of one task."""

    array: Array = ""
    each_line: EachLine = ""
    max_parallel: MaxParallel = 0
    max_failures: MaxFailures = None
    max_failure_share: MaxFailureShare = 0.0
    reduce: Reduce = ""
    reduce_args: ReduceArgs = ""
    fan_in: FanIn = 0


@dataclass(frozen=True, slots=True)
class OpenJob:
    """Such a job that gets further items later."""

    open: Open = False
    close_after_idle: CloseAfterIdle = None
