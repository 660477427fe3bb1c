"""A graph as a file: what `quorate submit --graph FILE` reads.

    name = "report"

    [tasks.extract]
    command = ["./extract", "--day", "2026-01-31"]
    retries = 3

    [tasks.load]
    function = "warehouse:load"
    after = ["extract"]

TOML or JSON with the same names; docs/graphs.md has all fields. Each error names the file, the task
and the field. Nothing is sent before the whole file is read.
"""

from __future__ import annotations

import json
import re
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from quorate.cli.graphs import fields as f
from quorate.client.jobs.specs import encoder_of
from quorate.client.work.options import OptionArgs, TaskOptions
from quorate.client.work.specs import GREATEST_PAYLOAD_LIMIT, command_spec, json_spec
from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import job_pb2, task_pb2

# Bytes of a file; a scheduler takes a little less in one request.
MOST_BYTES: Final = 16 << 20
_CONDITIONS: Final = {
    "success": job_pb2.DEPENDENCY_CONDITION_ON_SUCCESS,
    "failure": job_pb2.DEPENDENCY_CONDITION_ON_FAILURE,
    "always": job_pb2.DEPENDENCY_CONDITION_ALWAYS,
    "each": job_pb2.DEPENDENCY_CONDITION_EACH,
}
_OF_COMMANDS: Final = ("env", "cwd", "stdin")
_OF_FUNCTIONS: Final = ("args", "kwargs")
_TASK: Final = {**f.WORK, **f.ARRAY, "after": lambda value: value, **f.OPTIONS}
# What the scheduler calls a task of the graph, and a field of it.
_PLACE: Final = re.compile(r"\bspec\.graph\.tasks\[(\d+)\]\.(?:task\.|array\.)?")


@dataclass(frozen=True, slots=True)
class GraphFile:
    """What a file says."""

    source: str
    queue: str
    """Empty where the file names none."""
    spec: job_pb2.JobSpec

    def explained(self, error: QuorateError) -> QuorateError:
        """The scheduler's error with the names of tasks in place of their numbers."""
        tasks = self.spec.graph.tasks

        def name(found: re.Match[str]) -> str:
            place = int(found[1])
            return f'task "{tasks[place].name}": ' if place < len(tasks) else found[0]

        message = _PLACE.sub(name, error.message).replace("depends_on", "after")
        if message == error.message:
            return error
        return QuorateError(
            error.code,
            error.reason,
            f"{self.source}: {message}",
            field=error.field,
            metadata=error.metadata,
        )


def read_graph(source: str) -> GraphFile:
    """The graph that a file describes; `-` is standard input.

    Raises BadParameter when it cannot be read, QuorateError (INVALID_ARGUMENT) for what it says.
    """
    if source == "-":
        source, data = "standard input", sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        try:
            with Path(source).open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise typer.BadParameter(f"--graph {source}: {error.strerror}") from None
    return graph_of(source, data, time.time())


def graph_of(source: str, data: bytes, now: float) -> GraphFile:
    """As `read_graph`, of what is in the file; delays count from `now`."""
    if len(data) > MOST_BYTES:
        raise invalid(source, f"is larger than {MOST_BYTES:,} bytes", limit=MOST_BYTES)
    document = _document(source, data)
    found = _checked(source, document, f.GRAPH)
    tasks: dict[str, Any] = found.get("tasks", {})
    if not tasks:
        raise invalid(f"{source}: tasks", "is required: a table for each task, by its name")
    defaults = _checked(f"{source}: defaults", found.get("defaults", {}), f.OPTIONS)
    spec = job_pb2.JobSpec(name=found.get("name", ""), labels=found.get("labels", {}))
    if "max_failures" in found:
        if not 0 <= found["max_failures"] < 2**63:
            raise invalid(f"{source}: max_failures", "must be 0 or more")
        spec.max_failures = found["max_failures"]
    for name, fields in tasks.items():
        here = f'{source}: task "{name}"'
        if not isinstance(fields, dict):
            raise invalid(here, f"must be a table of fields, not {f.named(fields)}")
        given = _checked(here, fields, _TASK)
        task = spec.graph.tasks.add(name=name)
        task.task.CopyFrom(_work(here, name, given, defaults, now))
        if (array := _array(here, given, task.task)) is not None:
            task.array.CopyFrom(array)
        task.depends_on.extend(_after(here, given.get("after", []), tasks))
        for parameter, other in given.get("inputs", {}).items():
            _known(f"{here}: inputs: {parameter}", other, tasks)
            task.inputs[parameter] = other
    return GraphFile(source, found.get("queue", ""), spec)


def _document(source: str, data: bytes) -> Any:
    try:
        content = data.decode()
        if source.endswith(".json") or content.lstrip().startswith("{"):
            return json.loads(content, object_pairs_hook=_once)
        return tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if source.endswith(".json") else "TOML or JSON"
        raise invalid(source, f"is not {kind}: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, in which each name is there once, as TOML wants it too."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f'"{name}" is there twice')
        found[name] = value
    return found


def _checked(where: str, given: Any, known: Mapping[str, f.Check]) -> dict[str, Any]:
    """The fields that are given, each as it has to be."""
    if not isinstance(given, dict):
        raise invalid(where, f"must be a table of fields, not {f.named(given)}")
    found = {}
    for name, value in given.items():
        if name not in known:
            fields = f.meant(name, known) or f"; there are {', '.join(known)}"
            raise invalid(f"{where}: {name}", f"there is no such field{fields}")
        try:
            found[name] = known[name](value)
        except f.WrongValue as error:
            raise invalid(f"{where}: {name}", str(error)) from None
    return found


def _work(
    here: str, name: str, given: Mapping[str, Any], defaults: Mapping[str, Any], now: float
) -> task_pb2.TaskSpec:
    """What a task runs, and its options."""
    if ("command" in given) == ("function" in given):
        raise invalid(here, "needs either a command or a function")
    kind, others = ("command", _OF_FUNCTIONS) if "command" in given else ("function", _OF_COMMANDS)
    for field in others:
        if field in given:
            raise invalid(f"{here}: {field}", f"does not go with a {kind}")
    options = OptionArgs(name=name)
    for field in f.OPTIONS:
        if field in given or field in defaults:
            options[field] = given.get(field, defaults.get(field))  # type: ignore[literal-required]
    try:
        bound = TaskOptions().but(options)
        bound.check_for_graph()
        if kind == "command":
            work = {"env": given.get("env"), "cwd": given.get("cwd", "")}
            return command_spec(given["command"], bound, now, stdin=given.get("stdin", ""), **work)
        arguments = {"args": given.get("args", []), "kwargs": given.get("kwargs", {})}
        return json_spec(given["function"], arguments, bound, now)
    except QuorateError as error:
        raise invalid(here, error.message) from None
    except (TypeError, ValueError) as error:
        # Such as a date among the arguments, which JSON does not have.
        raise invalid(f"{here}: {kind}", str(error)) from None


def _array(
    here: str, given: Mapping[str, Any], template: task_pb2.TaskSpec
) -> job_pb2.GraphArray | None:
    """What makes a task an array: `count` or `items`, and the fields that go with them."""
    fields = [name for name in f.ARRAY if name in given]
    if not fields:
        return None
    if ("count" in given) == ("items" in given):
        raise invalid(f"{here}: {fields[0]}", "is for arrays: give either count or items, too")
    made = job_pb2.GraphArray()
    encode = encoder_of(template, GREATEST_PAYLOAD_LIMIT)
    for name in fields:
        if name == "items":
            continue
        try:
            setattr(made, name, given[name])
        except ValueError:
            raise invalid(f"{here}: {name}", f"{given[name]} is out of range") from None
    try:
        made.items.extend(encode(one, place) for place, one in enumerate(given.get("items", [])))
    except (QuorateError, TypeError, ValueError) as error:
        raise invalid(f"{here}: items", str(error)) from None
    return made


def _after(here: str, given: Any, tasks: Iterable[str]) -> Iterable[job_pb2.Dependency]:
    """The dependencies: names, or tables with `task`, `on` and `cleanup`."""
    many = given if isinstance(given, list) else [given]
    for number, one in enumerate(many):
        where = f"{here}: after" if len(many) == 1 else f"{here}: after[{number}]"
        if isinstance(one, str):
            one = {"task": one}
        found = _checked(where, one, {"task": f.text, "on": f.text, "cleanup": f.yes_or_no})
        if "task" not in found:
            raise invalid(f"{where}: task", "is required")
        on = found.get("on", "success")
        if on not in _CONDITIONS:
            raise invalid(f"{where}: on", f"must be {', '.join(_CONDITIONS)}; it is {f.named(on)}")
        _known(where, found["task"], tasks)
        yield job_pb2.Dependency(
            task=found["task"], condition=_CONDITIONS[on], cleanup=found.get("cleanup", False)
        )


def _known(where: str, name: str, tasks: Iterable[str]) -> None:
    if name not in tasks:
        near = f.meant(name, tasks)
        raise invalid(where, f'the graph has no task "{name[:80]}"{near}')
