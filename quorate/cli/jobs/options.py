"""Options of `submit` and `call` that make a job of many subtasks instead of one task."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final, TypeVar

import typer

R = TypeVar("R")

_PANEL: Final = "Jobs"
_NAME: Final = "jobs"

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
        help="Accept further items, also without --each-line: 'quorate job append' adds them, "
        "until 'quorate job close'.",
        rich_help_panel=_PANEL,
    ),
]
CloseAfterIdle = Annotated[
    float | None,
    typer.Option(
        "--close-after-idle",
        metavar="SECONDS",
        min=1.0,
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
        min=0,
        help="Maximum number of a job's subtasks that run at once; 0: no limit.",
        rich_help_panel=_PANEL,
    ),
]
MaxFailures = Annotated[
    int | None,
    typer.Option(
        "--max-failures",
        min=0,
        help="Number of a job's subtasks that may fail; one more ends the job. \\[default: any]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
MaxFailureShare = Annotated[
    float,
    typer.Option(
        "--max-failure-share",
        metavar="SHARE",
        min=0.0,
        max=1.0,
        help="Share of a job's subtasks that may fail, such as 0.05; more end the job. 0: any.",
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
        help="Arguments of --reduce behind the results, as the JSON of 'quorate call'. "
        "\\[default: none]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
FanIn = Annotated[
    int,
    typer.Option(
        "--fan-in",
        min=0,
        help="Maximum number of results that one call of --reduce gets, 2 or more; what the calls "
        "return is reduced again. 0: one call gets all.",
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What the command line says about a job; the names are those of the options."""

    array: str = ""
    each_line: str = ""
    open: bool = False
    close_after_idle: float | None = None
    max_parallel: int = 0
    max_failures: int | None = None
    max_failure_share: float = 0.0
    reduce: str = ""
    reduce_args: str = ""
    fan_in: int = 0

    @property
    def wanted(self) -> bool:
        """Whether a job is asked for, and not a task."""
        return bool(self.array or self.each_line or self.open)


NO_JOB: Final = JobOptions()
_TYPES: Final[dict[str, Any]] = {
    "array": Array,
    "each_line": EachLine,
    "open": Open,
    "close_after_idle": CloseAfterIdle,
    "max_parallel": MaxParallel,
    "max_failures": MaxFailures,
    "max_failure_share": MaxFailureShare,
    "reduce": Reduce,
    "reduce_args": ReduceArgs,
    "fan_in": FanIn,
}


def with_job_options(command: Callable[..., R]) -> Callable[..., R]:
    """`command` as Typer should see it: the options above stand in the place of its `jobs`."""
    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> R:
        given = {name: kwargs.pop(name) for name in _TYPES if name in kwargs}
        return command(*args, **kwargs, **{_NAME: JobOptions(**given)})

    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.name != _NAME:
            parameters.append(parameter)
            continue
        parameters += [
            inspect.Parameter(
                one.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=one.default,
                annotation=_TYPES[one.name],
            )
            for one in fields(JobOptions)
        ]
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    del wrapper.__wrapped__
    return wrapper
