"""A validated graph as the core gets it: its tasks and arrays, and what each waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quorate.runtime.ids import TaskId
from quorate.v1 import job_pb2
from scheduler.core.arrays.spec import GraphArray
from scheduler.core.graphs.members import Condition, edge, place_of
from scheduler.core.values import MemberOf, TaskSpec
from scheduler.storage.records.jobs import job_spec, kept_spec
from scheduler.storage.records.tasks.specs import task_spec

# Conditions as callers name them.
CONDITIONS: Final[Mapping[int, Condition]] = {
    job_pb2.DEPENDENCY_CONDITION_UNSPECIFIED: Condition.ON_SUCCESS,
    job_pb2.DEPENDENCY_CONDITION_ON_SUCCESS: Condition.ON_SUCCESS,
    job_pb2.DEPENDENCY_CONDITION_ON_FAILURE: Condition.ON_FAILURE,
    job_pb2.DEPENDENCY_CONDITION_ALWAYS: Condition.ALWAYS,
    job_pb2.DEPENDENCY_CONDITION_EACH: Condition.EACH,
}
Spec = TaskSpec | GraphArray


def specs_of(graph: job_pb2.JobGraph, job: TaskId) -> tuple[Spec, ...]:
    """The tasks of a graph, with the items of its arrays.

    Args:
        job: the id that the graph gets.
    """
    places = {task.name: place for place, task in enumerate(graph.tasks)}
    found: list[Spec] = []
    for task in graph.tasks:
        of = member_of(task, places, job)
        data = task.task.SerializeToString(deterministic=True)
        if not task.HasField("array"):
            found.append(task_spec(task.task, data)._replace(member=of))
            continue
        items = tuple(task.array.items)
        array = array_of(task, data, of)
        array = array._replace(items=items, size=len(items) or array.size, loading=False)
        found.append(array._replace(coming=0, coming_bytes=0))
    return tuple(found)


def member_of(task: job_pb2.GraphTask, places: Mapping[str, int], job: TaskId) -> MemberOf:
    """What a task is in its graph; `places` by name."""
    edges: dict[int, None] = {}
    for need in task.depends_on:
        condition = CONDITIONS[need.condition]
        edges[edge(places[need.task], condition, cleanup=need.cleanup)] = None
    inputs = []
    for parameter, name in sorted(task.inputs.items()):
        other = places[name]
        if not any(place_of(code) == other for code in edges):
            edges[edge(other, Condition.ON_SUCCESS)] = None
        inputs.append((parameter, other))
    return MemberOf(job, task.name, True, tuple(edges), tuple(inputs))


def array_of(task: job_pb2.GraphTask, template: bytes, of: MemberOf) -> GraphArray:
    """A task that is an array, whose items follow."""
    array = task.array
    spec = job_pb2.JobSpec(template=task.task, name=task.name)
    for field, value in array.ListFields():
        if field.name != "items":
            setattr(spec, field.name, value)
    kept = kept_spec(spec)
    items = bool(array.items)
    what = job_spec(kept, kept.SerializeToString(deterministic=True), items=items)
    size = sum(map(len, array.items))
    return GraphArray(
        *(of, what, template, 0 if items else array.count),
        loading=items,
        coming=len(array.items),
        coming_bytes=size,
    )
