"""Graphs: the bounds of their specs as a whole, and how callers see them.

A spec is checked in slices, with turns of the event loop between them: its size first, then names,
then each task. Whether a task waits for itself is found out by `graphlib`, of a large graph in a
thread of its own. All of it takes time that grows with the size of the graph, and no faster.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Final

from quorate.runtime.errors import QuorateError, invalid
from quorate.runtime.ids import TaskId
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.jobs import validate, views
from scheduler.api.request_sizes import MAX_BATCH_BYTES
from scheduler.api.specs.check import MAX_NAME, SpecCheck, serialize
from scheduler.api.validate import at_most, known_enum
from scheduler.core.arrays.spec import GraphArray
from scheduler.core.graphs.members import (
    KEYED,
    MOST_ARRAYS,
    MOST_EDGES,
    MOST_NODES,
    Condition,
    Members,
    condition_of,
    is_cleanup,
    place_of,
)
from scheduler.core.handlers.jobs.creation import MOST_SUBTASKS
from scheduler.core.model.rows import JobRow
from scheduler.core.model.state import State
from scheduler.core.values import MemberOf
from scheduler.storage.records.graphs import CONDITIONS, Spec, array_of, member_of

MAX_INPUTS: Final = 64
MAX_PARAMETER: Final = 128
PARAMETER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Tasks checked, and nodes shown, between two turns of the event loop.
_SLICE: Final = 100
_SHOWN: Final = 500
# Dependencies from which cycles are looked for in a thread.
_MANY_EDGES: Final = 1_000
# Names of a cycle that the error has.
_NAMED: Final = 10
# Fields of a job's spec that are of arrays.
_OF_ARRAYS: Final = (
    *("template", "count", "items", "open", "close_after_idle", "first_index", "index_step"),
    *("max_parallel", "max_failure_share"),
)
# Why an array takes no input.
ARRAY_INPUT: Final = "ARRAY_INPUT"
_NAMES: Final = {condition: kind for kind, condition in CONDITIONS.items()}

Pause = Callable[[], Awaitable[None]]


async def checked(
    spec: job_pb2.JobSpec, job: TaskId, check: SpecCheck, now: float, pause: Pause
) -> list[Spec]:
    """What the core must know of the tasks of a valid graph.

    Args:
        job: the id that the job gets.
        pause: awaited now and then.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    tasks, places = _tasks_of(spec)
    found: list[MemberOf] = []
    for place, task in enumerate(tasks):
        found.append(_member(tasks, task, place, places, job))
        if place % _SLICE == _SLICE - 1:
            await pause()
    edges = sum(len(of.edges) for of in found)
    if edges > _MANY_EDGES:
        await asyncio.to_thread(_no_cycle, found)
    else:
        _no_cycle(found)
    specs: list[Spec] = []
    keys: dict[str, str] = {}
    for place, (task, of) in enumerate(zip(tasks, found, strict=True)):
        field = f"spec.graph.tasks[{place}].task"
        specs.append(_spec(task, place, of, check, now, keys))
        for _ in check.large_json(task.task, field):
            await pause()
        if place % _SLICE == _SLICE - 1:
            await pause()
    return specs


def small(spec: job_pb2.JobSpec, check: SpecCheck, now: float) -> None:
    """As `checked`, of a graph that is small enough to be checked at once: a schedule's."""
    tasks, places = _tasks_of(spec)
    found = [_member(tasks, task, n, places, TaskId("")) for n, task in enumerate(tasks)]
    _no_cycle(found)
    keys: dict[str, str] = {}
    for place, (task, of) in enumerate(zip(tasks, found, strict=True)):
        _spec(task, place, of, check, now, keys)
        for _ in check.large_json(task.task, f"spec.graph.tasks[{place}].task"):
            pass


def scheduled(spec: job_pb2.JobSpec, check: SpecCheck, now: float) -> None:
    """The bounds of a job that a schedule creates. Raises QuorateError about fields of "spec"."""
    if spec.HasField("graph"):
        small(spec, check, now)
    else:
        validate.job(spec, check, now)


def _tasks_of(
    spec: job_pb2.JobSpec,
) -> tuple[Sequence[job_pb2.GraphTask], dict[str, int]]:
    """The tasks, and the place of each name."""
    for field, _ in spec.ListFields():
        if field.name in _OF_ARRAYS:
            raise invalid(f"spec.{field.name}", "is for arrays; leave it out of a graph")
    validate.texts(spec)
    tasks = spec.graph.tasks
    _sizes(tasks, spec.ByteSize())
    return tasks, _names(tasks)


def _sizes(tasks: Sequence[job_pb2.GraphTask], size: int) -> None:
    if not tasks:
        raise invalid("spec.graph.tasks", "at least one is required")
    at_most("spec.graph.tasks", len(tasks), MOST_NODES, "tasks")
    arrays = [task.array for task in tasks if task.HasField("array")]
    at_most("spec.graph.tasks", len(arrays), MOST_ARRAYS, "arrays")
    subtasks = sum(map(_count, arrays))
    at_most("spec.graph.tasks", subtasks, MOST_SUBTASKS, "subtasks together")
    edges = sum(len(task.depends_on) + len(task.inputs) for task in tasks)
    at_most("spec.graph.tasks", edges, MOST_EDGES, "dependencies")
    if size > MAX_BATCH_BYTES:
        raise invalid(
            "spec.graph.tasks",
            f"{size} bytes together; at most {MAX_BATCH_BYTES} are allowed",
            reason="PAYLOAD_TOO_LARGE",
            limit=MAX_BATCH_BYTES,
            value=size,
        )


def _names(tasks: Sequence[job_pb2.GraphTask]) -> dict[str, int]:
    """The place of each name."""
    places: dict[str, int] = {}
    for place, task in enumerate(tasks):
        name, field = task.name, f"spec.graph.tasks[{place}].name"
        if not name:
            raise invalid(field, "is required")
        at_most(field, len(name), MAX_NAME, "characters")
        if name in places:
            raise invalid(
                field,
                f"{name!r} is also the name of tasks[{places[name]}]; choose another one",
                reason="DUPLICATE_TASK_NAME",
            )
        places[name] = place
    return places


def _member(
    tasks: Sequence[job_pb2.GraphTask],
    task: job_pb2.GraphTask,
    place: int,
    places: dict[str, int],
    job: TaskId,
) -> MemberOf:
    field = f"spec.graph.tasks[{place}]"
    each = False
    otherwise: dict[int, None] = {}
    for number, need in enumerate(task.depends_on):
        here = f"{field}.depends_on[{number}]"
        other = _place(places, need.task, f"{here}.task")
        kind = known_enum(f"{here}.condition", need.condition, range(len(CONDITIONS)))
        condition = CONDITIONS[kind]
        if condition is Condition.EACH:
            _each(task, tasks[other], f"{here}.condition")
            if each:
                raise invalid(
                    f"{here}.condition", "an array has at most one dependency with EACH", limit=1
                )
            each = True
        if condition is not Condition.ON_SUCCESS:
            otherwise[other] = None
    at_most(f"{field}.inputs", len(task.inputs), MAX_INPUTS, "inputs")
    if task.inputs and task.HasField("array"):
        raise invalid(f"{field}.inputs", "must not be set for an array", reason=ARRAY_INPUT)
    for parameter, name in sorted(task.inputs.items()):
        here = f"{field}.inputs[{parameter[:MAX_PARAMETER]}]"
        other = _place(places, name, here)
        _input(task.task, parameter, tasks[other].task, here)
        if other in otherwise:
            raise invalid(
                here,
                f"{name!r} must succeed to have a result, and depends_on wants something else of "
                "it; leave that dependency out",
            )
    return member_of(task, places, job)


def _each(task: job_pb2.GraphTask, other: job_pb2.GraphTask, field: str) -> None:
    """Whether the subtasks of a task may wait each for one of another."""
    if not (task.HasField("array") and other.HasField("array")):
        one = task if not task.HasField("array") else other
        raise invalid(
            field,
            f"EACH is between two arrays, and {one.name!r} is none",
            reason="EACH_NEEDS_ARRAYS",
        )
    mine, there = _count(task.array), _count(other.array)
    if mine != there:
        raise invalid(
            field,
            f"EACH is between arrays of the same size: {task.name!r} has {mine} subtasks, "
            f"{other.name!r} has {there}",
            reason="EACH_COUNTS_DIFFER",
        )


def _count(array: job_pb2.GraphArray) -> int:
    return len(array.items) or max(0, array.count)


def _place(places: dict[str, int], name: str, field: str) -> int:
    place = places.get(name)
    if place is None:
        raise invalid(
            field, f"no task of the graph is named {name[:80]!r}", reason="UNKNOWN_TASK_NAME"
        )
    return place


def _input(task: task_pb2.TaskSpec, parameter: str, other: task_pb2.TaskSpec, field: str) -> None:
    if not PARAMETER.fullmatch(parameter) or len(parameter) > MAX_PARAMETER:
        raise invalid(
            field,
            f"{parameter[:80]!r} is not a parameter's name of at most {MAX_PARAMETER} characters",
            limit=MAX_PARAMETER,
        )
    if task.HasField("command"):
        if parameter.startswith("QUORATE_"):
            raise invalid(
                field, f"{parameter!r} begins with QUORATE_, which is reserved; choose another name"
            )
        if parameter in task.command.env or parameter in task.command.secrets:
            raise invalid(field, f"{parameter!r} is also in env or secrets; set it in one of them")
    if other.python.HasField("pickle") and not task.python.HasField("pickle"):
        raise invalid(
            field,
            "the result is a pickle, which only a call with pickled arguments can read; let the "
            "other task have JSON arguments",
        )


def _no_cycle(found: Sequence[MemberOf]) -> None:
    """Raises QuorateError where a task waits for itself."""
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for place, of in enumerate(found):
        sorter.add(place, *map(place_of, of.edges))
    try:
        sorter.prepare()
    except CycleError as error:
        raise _cycle(found, error.args[1]) from None


def _cycle(found: Sequence[MemberOf], places: Sequence[int]) -> QuorateError:
    """The error for a cycle: each of `places` goes before the next one, the last is the first."""
    names = [found[place].name for place in places]
    shown = names
    if len(names) > _NAMED:
        shown = [*names[: _NAMED - 2], f"... ({len(names) - _NAMED} more)", *names[-2:]]
    text = " -> ".join(shown)
    # The first of it waits for the one before.
    return invalid(
        f"spec.graph.tasks[{places[-1]}].depends_on",
        f"tasks wait for each other in a cycle: {text}",
        reason="GRAPH_CYCLE",
        cycle=text,
    )


def _spec(
    task: job_pb2.GraphTask,
    place: int,
    of: MemberOf,
    check: SpecCheck,
    now: float,
    keys: dict[str, str],
) -> Spec:
    """What the core must know of a valid task; `keys`: see `validate.unique_of_graph`."""
    field = f"spec.graph.tasks[{place}]"
    if not task.HasField("task"):
        raise invalid(f"{field}.task", "is required")
    spec = task.task
    if of.inputs and spec.HasField("payload_blob"):
        raise invalid(f"{field}.task.payload_blob", "cannot be set together with inputs")
    if not spec.name:
        spec.name = task.name
    if task.HasField("array"):
        validate.part_of_graph(task.array, spec, f"{field}.array", f"{field}.task")
    data = serialize(spec)
    what = check.serialized(spec, data, f"{field}.task", now)
    if spec.HasField("unique"):
        validate.unique_of_graph(task, f"{field}.task.unique", keys)
    return array_of(task, data, of) if task.HasField("array") else what._replace(member=of)


async def nodes(state: State, row: JobRow) -> pb.GetJobGraphResponse:
    """The tasks of a graph as they are now."""
    answer = pb.GetJobGraphResponse()
    members = row.members
    if members is None:
        return answer
    for place, member in enumerate(list(members.nodes)):
        node = answer.nodes.add(name=member.of.name)
        if member.part is None:
            node.task_id = member.task
        else:
            node.job_id, node.count = member.task, member.part.array.count
            views.add_counts(node.counts, member.part)
        node.state = int(member.state)  # type: ignore[assignment]
        node.skipped, node.cleanup = member.skipped, member.cleanup
        live = state.tasks.get(member.task)
        if live is not None:
            node.node = live.node
        for code in member.of.edges:
            node.depends_on.add(
                node=place_of(code),
                condition=_NAMES[condition_of(code)],
                cleanup=is_cleanup(code),
            )
        for parameter, other in member.of.inputs:
            node.inputs.add(parameter=parameter, node=other)
        if place % _SHOWN == _SHOWN - 1:
            await asyncio.sleep(0)
    return answer


def parts(specs: Sequence[Spec], first: int, most: int, size: int) -> Iterable[tuple[int, int]]:
    """Cut the tasks from `first` on into parts of so many tasks and about so many bytes; one with a
    unique key counts as several."""
    begin = first
    while begin < len(specs):
        end, weight, tasks = begin, 0, 0
        while end < len(specs):
            tasks += KEYED if has_key(specs[end]) else 1
            weight += size_of(specs[end]) + 300 + 8 * len(of(specs[end]).edges)
            if (tasks > most or weight > size) and end > begin:
                break
            end += 1
        yield begin, end
        begin = end


def has_key(spec: Spec) -> bool:
    """Whether it has a unique key."""
    return not isinstance(spec, GraphArray) and spec.limits is not None and bool(spec.limits.unique)


def size_of(spec: Spec) -> int:
    """Its bytes, about."""
    return len(spec.template) if isinstance(spec, GraphArray) else len(spec.spec)


def of(spec: Spec) -> MemberOf:
    """What it is in its graph."""
    assert spec.member is not None
    return spec.member


def count(members: Members[JobRow] | None) -> int:
    """How many tasks are on record."""
    return len(members.nodes) if members is not None else 0
