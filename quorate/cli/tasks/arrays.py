"""`quorate submit --array` and `--each-line`: options, and the job that they make."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from quorate.cli.jobs.waiting import finish
from quorate.cli.output.render import hint, print_json
from quorate.client.client import Client
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.specs import MOST_SUBTASKS, ArrayOptions
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

_PANEL: Final = "Jobs"
Array = Annotated[
    str,
    typer.Option(
        "--array",
        metavar="RANGE",
        help="Run it once for each index, as one job: FIRST-LAST, :STEP, %PARALLEL, as in 1-1000, "
        "0-99:3, 1-1000%50 (at most 50 at once). {index} in an argument is the index.",
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
        "argument is the line, {index} its number from 0.",
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

_RANGE: Final = re.compile(r"(\d{1,18})-(\d{1,18})(?::(\d{1,18}))?(?:%(\d{1,18}))?")


@dataclass(frozen=True, slots=True)
class Indexes:
    """What `--array` names."""

    first: int
    step: int
    count: int
    parallel: int


def indexes(text: str) -> Indexes:
    """`1-1000`, `0-99:3`, `1-1000%50`. Raises BadParameter naming the option."""
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        more = "; for other indexes write them into a file for --each-line" if "," in text else ""
        raise typer.BadParameter(
            f"--array: {text!r} is not FIRST-LAST[:STEP][%PARALLEL], such as 1-1000, 0-99:3 or "
            f"1-1000%50{more}"
        )
    first, last, step, parallel = (int(group) if group else None for group in found.groups())
    assert first is not None
    assert last is not None
    if last < first:
        raise typer.BadParameter(f"--array: the last index {last} is below the first, {first}")
    if step == 0:
        raise typer.BadParameter("--array: the step must be 1 or more")
    if parallel == 0:
        raise typer.BadParameter("--array: the number behind % must be 1 or more")
    count = (last - first) // (step or 1) + 1
    if count > MOST_SUBTASKS:
        raise typer.BadParameter(
            f"--array: {count:,} indexes; a job has at most {MOST_SUBTASKS:,} subtasks"
        )
    return Indexes(first, step or 1, count, parallel or 0)


def is_wanted(array: str, each_line: str, **others: object) -> bool:
    """Whether the command line asks for a job. Raises QuorateError naming the option.

    `others`: the options of jobs, and those that a job does not have, by name; those that are set.
    """
    for name in ("max_parallel", "max_failures"):
        if others[name] is not None and not (array or each_line):
            more = ", --each-line or --graph" if name == "max_failures" else " or --each-line"
            raise invalid(f"--{name.replace('_', '-')}", f"needs --array{more}")
    if not (array or each_line):
        return False
    if array and each_line:
        raise invalid("--each-line", "give either --array or --each-line")
    if others["times"] is not None:
        raise invalid("--times", "is for tasks; give the number of subtasks with --array")
    if others["delay"] is not None:
        raise invalid("--delay", "is for tasks; a job starts at once")
    if each_line == "-" and others["stdin"] == "-":
        raise invalid("--stdin", "standard input has the lines of --each-line")
    return True


def submit(
    client: Client,
    template: task_pb2.TaskSpec,
    array: str,
    each_line: str,
    max_parallel: int,
    max_failures: int | None,
) -> JobHandle[Any]:
    """Create the job. Raises BadParameter, QuorateError."""
    options = ArrayOptions(max_parallel=max_parallel, max_failures=max_failures)
    if each_line:
        return client.array_spec(template, lines_of(each_line), **options)
    chosen = indexes(array)
    if chosen.parallel and max_parallel:
        raise invalid("--max-parallel", "--array has a % already; give one of them")
    options["max_parallel"] = max_parallel or chosen.parallel
    options["first_index"], options["index_step"] = chosen.first, chosen.step
    return client.array_spec(template, count=chosen.count, **options)


def conclude(handle: JobHandle[Any], *, wait: bool, timeout: float | None, as_json: bool) -> int:
    """Print the job's id, or wait for it; the exit code."""
    if wait:
        return finish(handle, timeout, as_json)
    if as_json:
        print_json({"id": handle.id})
        return 0
    sys.stdout.write(f"{handle.id}\n")
    if sys.stdout.isatty():
        hint(f"Follow it: quorate job wait {handle.id}")
    return 0


def lines_of(source: str) -> Iterable[str]:
    """The lines of a file as they are read, without their ends. Raises BadParameter."""
    if source == "-":
        return _stripped(sys.stdin)
    try:
        with Path(source).open("rb"):
            pass
    except OSError as error:
        raise typer.BadParameter(f"--each-line {source}: {error.strerror}") from None
    return _lines_in(Path(source))


def _lines_in(path: Path) -> Iterator[str]:
    with path.open(errors="surrogateescape") as file:
        yield from _stripped(file)


def _stripped(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines)
