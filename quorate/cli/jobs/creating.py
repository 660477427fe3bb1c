"""`quorate submit` and `call` with `--array`, `--each-line` or `--open`: the job that they make."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from quorate.cli.exits import OK
from quorate.cli.groups import given, option, refuse
from quorate.cli.inputs import arguments_of, item
from quorate.cli.jobs.inside import result_line
from quorate.cli.jobs.options import ArrayJob, OpenJob
from quorate.cli.jobs.waiting import finish
from quorate.cli.output.render import hint, print_json
from quorate.client.client import Client
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.specs import MOST_SUBTASKS, ArrayOptions, template_of
from quorate.client.work.options import TaskOptions
from quorate.client.work.specs import json_spec
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

_NEEDS: Final = {"max_failures": "--array, --each-line or --graph", "close_after_idle": "--open"}
# Options that subtasks do not have, and why, where there is more to say.
_OF_TASKS: Final = "is for tasks; the subtasks of a job cannot have it"
NOT_OF_SUBTASKS: Final = {
    "start_deadline": _OF_TASKS,
    "ordering_key": f"{_OF_TASKS}; --max-parallel 1 runs one after another",
    "unique_key": "is for tasks; a job has many subtasks, and only one of them could have the key",
    "distinct": "is for tasks; a node runs many subtasks of a job at once",
    **dict.fromkeys(("set_up", "clean_up"), _OF_TASKS),
}
_RANGE: Final = re.compile(r"(\d{1,18})-(\d{1,18})(?::(\d{1,18}))?(?:%(\d{1,18}))?")


@dataclass(frozen=True, slots=True)
class Indexes:
    """What `--array` names."""

    first: int
    step: int
    count: int
    parallel: int


def indexes(text: str, *, counts: bool = False) -> Indexes:
    """`1-1000`, `0-99:3`, `1-1000%50`. Raises BadParameter naming the option.

    Args:
        counts: also a number, which is that of the indexes from 0.
    """
    if counts and text.isascii() and text.isdigit() and int(text[:18]):
        text = f"0-{int(text[:18]) - 1}"
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


def check(jobs: ArrayJob, opened: OpenJob, *groups: Any, **others: object) -> bool:
    """Whether the command line asks for a job. Raises QuorateError naming the option.

    Args:
        groups: options of the tasks; a job cannot have all of them.
        others: options that a job does not have, by name; those that are set.
    """
    if not (jobs.array or jobs.each_line or opened.open):
        for name in given(jobs, opened):
            raise invalid(option(name), f"needs {_NEEDS.get(name, '--array or --each-line')}")
        return False
    check_array(jobs, *groups)
    if jobs.array and opened.open:
        raise invalid("--open", "an open job gets its subtasks by items; give no --array")
    if opened.close_after_idle is not None and not opened.open:
        raise invalid("--close-after-idle", "needs --open")
    if others.get("times") is not None:
        raise invalid("--times", "is for tasks; give the number of subtasks with --array")
    if others.get("delay") is not None:
        raise invalid("--delay", "is for tasks; a job starts at once")
    if jobs.each_line == "-" and others.get("stdin") == "-":
        raise invalid("--stdin", "standard input has the lines of --each-line")
    return True


def check_array(jobs: ArrayJob, *groups: Any) -> None:
    """Raise QuorateError naming an option that an array cannot have, alone or beside another."""
    if jobs.array and jobs.each_line:
        raise invalid("--each-line", "give either --array or --each-line")
    for name in ("reduce_args", "fan_in"):
        if getattr(jobs, name) and not jobs.reduce:
            raise invalid(option(name), "needs --reduce")
    refuse(given(*groups), NOT_OF_SUBTASKS)


@dataclass(frozen=True, slots=True)
class Array:
    """What `array_of` takes beside the template."""

    items: Iterable[Any] | None
    count: int | None
    reduce: task_pb2.TaskSpec | None
    options: ArrayOptions


def array_args(
    options: TaskOptions, jobs: ArrayJob, *, json_items: bool = False, counts: bool = False
) -> Array:
    """The array that the options name. Raises BadParameter, QuorateError.

    Args:
        options: of the subtasks.
        counts: `--array` may be a number of subtasks.
    """
    own = ArrayOptions(
        max_parallel=jobs.max_parallel,
        max_failures=jobs.max_failures,
        max_failure_share=jobs.max_failure_share,
        fan_in=jobs.fan_in,
    )
    reduce = None
    if jobs.reduce:
        arguments = called_with(arguments_of(jobs.reduce_args or "[]"))
        # The options of the subtasks, as in `Client.map_reduce`.
        reduce = json_spec(jobs.reduce, arguments, options, time.time())
    if not jobs.array:
        items = items_of(jobs.each_line, json_items=json_items) if jobs.each_line else None
        return Array(items, None, reduce, own)
    chosen = indexes(jobs.array, counts=counts)
    if chosen.parallel and jobs.max_parallel:
        raise invalid("--max-parallel", "--array has a % already; give one of them")
    own["max_parallel"] = jobs.max_parallel or chosen.parallel
    own["first_index"], own["index_step"] = chosen.first, chosen.step
    return Array(None, chosen.count, reduce, own)


def submit(
    client: Client,
    template: task_pb2.TaskSpec,
    jobs: ArrayJob,
    opened: OpenJob,
    *,
    json_items: bool = False,
) -> JobHandle[Any]:
    """Create the job. Raises BadParameter, QuorateError."""
    array = array_args(client.task_options, jobs, json_items=json_items)
    if opened.open:
        array.options["open"] = True
        array.options["close_after_idle"] = opened.close_after_idle
    return client.array_spec(
        template, array.items, count=array.count, reduce_template=array.reduce, **array.options
    )


def call(
    client: Client,
    function: str,
    arguments: str,
    jobs: ArrayJob,
    opened: OpenJob,
    *,
    json_items: bool,
) -> JobHandle[Any]:
    """Create the job whose subtasks call a function with JSON. Raises as `submit`."""
    template = call_template(function, arguments_of(arguments), client.task_options)
    return submit(client, template, jobs, opened, json_items=json_items)


def call_template(function: str, arguments: Any, options: TaskOptions) -> task_pb2.TaskSpec:
    """The template of subtasks that call a function with JSON. Raises QuorateError."""
    found = called_with(arguments)
    return template_of(
        *(function, found.get("args", ()), found.get("kwargs", {})),
        options,
        time.time(),
        as_json=True,
    )


def called_with(arguments: Any) -> Any:
    """Arguments of a call as the object that the template of a job has."""
    return arguments if isinstance(arguments, dict) else {"args": arguments, "kwargs": {}}


def conclude(
    handle: JobHandle[Any],
    *,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    values: bool = False,
) -> int:
    """Print the job's id, or wait for it; the exit code. `values`: print those of a job that
    succeeded."""
    if wait:
        code = finish(handle, timeout, as_json)
        if values and not as_json and code == OK:
            for raw in handle.raw_results():
                sys.stdout.write(result_line(raw) + "\n")
        return code
    if as_json:
        print_json({"id": handle.id})
        return 0
    sys.stdout.write(f"{handle.id}\n")
    if sys.stdout.isatty():
        hint(f"Follow it: quorate job wait {handle.id}")
    return 0


def items_of(source: str, *, json_items: bool) -> Iterable[Any]:
    """The lines of a file as items: texts, or the values of JSON lines. Raises BadParameter."""
    found = lines_of(source)
    return (item(line, number) for number, line in enumerate(found, 1)) if json_items else found


def lines_of(source: str) -> Iterable[str]:
    """The lines of a file as they are read, without their ends. Raises BadParameter.

    Opened once, when the first line is wanted: it may be a pipe, as of `<(command)` in a shell.
    """
    if source == "-":
        return _stripped(sys.stdin)
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise typer.BadParameter(f"--each-line {source}: {error.strerror}") from None
    if stat.S_ISDIR(mode) or not os.access(path, os.R_OK):
        raise typer.BadParameter(f"--each-line {source}: is not a file that can be read")
    return _lines_in(path)


def _lines_in(path: Path) -> Iterator[str]:
    with path.open(errors="surrogateescape") as file:
        yield from _stripped(file)


def _stripped(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines)
