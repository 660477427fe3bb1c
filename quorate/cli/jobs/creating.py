"""`quorate submit` and `call` with `--array`, `--each-line` or `--open`: the job that they make."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import typer

from quorate.cli.exits import OK
from quorate.cli.inputs import arguments_of, item
from quorate.cli.jobs.inside import result_line
from quorate.cli.jobs.options import JobOptions
from quorate.cli.jobs.waiting import finish
from quorate.cli.output.render import hint, print_json
from quorate.client.client import Client
from quorate.client.jobs.handle import JobHandle
from quorate.client.jobs.specs import MOST_SUBTASKS, ArrayOptions, template_of
from quorate.client.work.specs import json_spec
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

# Options that mean nothing without a job, and what each is when it is not given.
_NOTHING: Final = {one.name: one.default for one in fields(JobOptions)}
_OF_JOBS: Final = tuple(name for name in _NOTHING if name not in ("array", "each_line", "open"))
_NEEDS: Final = {"max_failures": "--array, --each-line or --graph", "close_after_idle": "--open"}
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


def check(jobs: JobOptions, **others: object) -> bool:
    """Whether the command line asks for a job. Raises QuorateError naming the option.

    `others`: options that a job does not have, by name; those that are set.
    """
    if not jobs.wanted:
        for name in _OF_JOBS:
            if getattr(jobs, name) != _NOTHING[name]:
                raise invalid(_option(name), f"needs {_NEEDS.get(name, '--array or --each-line')}")
        return False
    if jobs.array and jobs.each_line:
        raise invalid("--each-line", "give either --array or --each-line")
    if jobs.array and jobs.open:
        raise invalid("--open", "an open job gets its subtasks by items; give no --array")
    if jobs.close_after_idle is not None and not jobs.open:
        raise invalid("--close-after-idle", "needs --open")
    for name in ("reduce_args", "fan_in"):
        if getattr(jobs, name) and not jobs.reduce:
            raise invalid(_option(name), "needs --reduce")
    if others.get("times") is not None:
        raise invalid("--times", "is for tasks; give the number of subtasks with --array")
    if others.get("delay") is not None:
        raise invalid("--delay", "is for tasks; a job starts at once")
    if jobs.each_line == "-" and others.get("stdin") == "-":
        raise invalid("--stdin", "standard input has the lines of --each-line")
    return True


def submit(
    client: Client, template: task_pb2.TaskSpec, jobs: JobOptions, *, json_items: bool = False
) -> JobHandle[Any]:
    """Create the job. Raises BadParameter, QuorateError."""
    options = ArrayOptions(
        max_parallel=jobs.max_parallel,
        max_failures=jobs.max_failures,
        max_failure_share=jobs.max_failure_share,
        open=jobs.open,
        close_after_idle=jobs.close_after_idle,
        fan_in=jobs.fan_in,
    )
    reduce = None
    if jobs.reduce:
        given = called_with(arguments_of(jobs.reduce_args or "[]"))
        # The options of the subtasks, as in `Client.map_reduce`.
        reduce = json_spec(jobs.reduce, given, client.task_options, time.time())
    if jobs.each_line or jobs.open:
        found = items_of(jobs.each_line, json_items=json_items) if jobs.each_line else None
        return client.array_spec(template, found, reduce_template=reduce, **options)
    chosen = indexes(jobs.array)
    if chosen.parallel and jobs.max_parallel:
        raise invalid("--max-parallel", "--array has a % already; give one of them")
    options["max_parallel"] = jobs.max_parallel or chosen.parallel
    options["first_index"], options["index_step"] = chosen.first, chosen.step
    return client.array_spec(template, count=chosen.count, reduce_template=reduce, **options)


def call(
    client: Client, function: str, arguments: str, jobs: JobOptions, *, json_items: bool
) -> JobHandle[Any]:
    """Create the job whose subtasks call a function with JSON. Raises as `submit`."""
    given = called_with(arguments_of(arguments))
    template = template_of(
        function,
        given.get("args", ()),
        given.get("kwargs", {}),
        client.task_options,
        time.time(),
        as_json=True,
    )
    return submit(client, template, jobs, json_items=json_items)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


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
