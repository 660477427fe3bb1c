"""Graphs that are being built with the SDK."""

from __future__ import annotations

import pickle

import pytest

from quorate.client.errors import ArgumentNotSerialisable
from quorate.client.graphs import outcomes
from quorate.client.graphs.plan import Plan
from quorate.client.work.inputs import WithInputs
from quorate.client.work.options import TaskOptions
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2, task_pb2


def plan(limit: int = 10_000) -> Plan:
    return Plan(TaskOptions(queue="q"), "g", {"team": "a"}, 3, limit)


def needs(spec: job_pb2.JobSpec, place: int) -> list[tuple[str, int, bool]]:
    return [
        (need.task, need.condition, need.cleanup) for need in spec.graph.tasks[place].depends_on
    ]


def test_a_task_among_the_arguments_is_an_input_at_any_depth():
    graph = plan()
    a = graph.add(len, "x", name="a")
    b = graph.add(len, "y", name="b")
    graph.add(dict, [("k", [a, a])], kwargs={"more": {"b": b}})
    task = graph.spec.graph.tasks[2]
    assert dict(task.inputs) == {"input_0": "a", "input_1": "b"}
    results = (("input_0", "json", "1"), ("input_1", "json", "2"))
    call = pickle.loads(pickle.dumps(WithInputs(task.task.python.pickle, results)))
    assert call == (([("k", [1, 1])],), {"more": {"b": 2}})


def test_a_function_by_value_gets_inputs_too():
    graph = plan()
    a = graph.add(len, "x")
    graph.add(lambda value: value + 1, a)
    task = graph.spec.graph.tasks[1]
    assert dict(task.inputs) == {"input_0": "len"}


def test_names_are_unique():
    graph = plan()
    names = [graph.add(len, "x").name for _ in range(3)]
    assert names == ["len", "len-2", "len-3"]
    graph.add(len, "x", name="mine")
    with pytest.raises(QuorateError, match="'mine' is the name of another task"):
        graph.add(len, "x", name="mine")


def test_a_unique_key_says_what_happens_when_it_is_taken():
    graph = plan()
    graph.add(len, "x", unique_key="k", unique_replaces=True)
    assert graph.spec.graph.tasks[0].task.unique.on_conflict == task_pb2.UNIQUE_CONFLICT_REPLACE
    with pytest.raises(QuorateError, match="needs unique_rejects or unique_replaces") as caught:
        graph.add(len, "x", unique_key="k2")
    assert caught.value.field == "unique_key"
    assert len(graph.spec.graph.tasks) == 1


def test_what_a_task_waits_for_has_conditions():
    graph = plan()
    a, b = graph.add(len, "x", name="a"), graph.add(len, "y", name="b")
    graph.add(len, "z", after=a)
    graph.add(len, "z", after=[a, (b, "always")], on="failure", cleanup=True)
    graph.add_command(["true"], after=(a, "failure"), inputs={"B": b})
    assert needs(graph.spec, 2) == [("a", 1, False)]
    assert needs(graph.spec, 3) == [("a", 2, True), ("b", 3, True)]
    assert needs(graph.spec, 4) == [("a", 2, False)]
    assert dict(graph.spec.graph.tasks[4].inputs) == {"B": "b"}
    with pytest.raises(QuorateError, match="on: 'done' must be one of success, failure"):
        graph.add(len, "z", after=a, on="done")  # type: ignore[arg-type]


def test_options_are_those_of_tasks():
    graph = plan()
    graph.add(len, "x", retries=2, priority=3, name="n")
    spec = graph.spec.graph.tasks[0].task
    assert (spec.name, spec.priority, spec.retry.max_attempts) == ("n", 3, 3)
    with pytest.raises(QuorateError, match="queue: is of the whole graph"):
        graph.add(len, "x", queue="other")
    assert (graph.spec.name, graph.spec.max_failures, graph.spec.labels["team"]) == ("g", 3, "a")


def test_tasks_of_another_graph_are_refused():
    one, other = plan(), plan()
    a = other.add(len, "x")
    with pytest.raises(QuorateError, match="is no task of this graph"):
        one.add(len, "y", after=a)
    with pytest.raises(ArgumentNotSerialisable, match="tasks of its own graph only"):
        one.add(len, a)
    with pytest.raises(TypeError, match="elsewhere pass"):
        pickle.dumps(a)
    assert not one.spec.graph.tasks


def test_large_arguments_beside_inputs_are_refused():
    graph = plan(limit=1_000)
    a = graph.add(len, "x")
    graph.add(len, "x" * 2_000)
    assert list(graph.held) == [1]
    with pytest.raises(QuorateError, match="too large beside results"):
        graph.add(max, a, "x" * 2_000)


def test_arrays_are_tasks_too():
    graph = plan()
    paths = ["a", "b", "c"]
    parts = graph.add_array(len, paths, max_parallel=2, max_failures=0, retries=1, name="parts")
    sums = graph.add_array(["sum", "{index}"], count=3, after=parts, on="each")
    graph.add(len, "x", after=[parts, (sums, "always")])
    first, second = graph.spec.graph.tasks[0], graph.spec.graph.tasks[1]
    assert [pickle.loads(item) for item in first.array.items] == paths
    assert (first.array.max_parallel, first.array.HasField("max_failures")) == (2, True)
    assert first.task.retry.max_attempts == 2
    assert (second.array.count, second.array.HasField("max_failures")) == (3, False)
    assert needs(graph.spec, 1) == [("parts", job_pb2.DEPENDENCY_CONDITION_EACH, False)]
    assert not graph.spec.graph.tasks[2].HasField("array")
    graph.add(max, parts)
    assert dict(graph.spec.graph.tasks[3].inputs) == {"input_0": "parts"}
    with pytest.raises(QuorateError, match="open: is not of arrays in a graph"):
        graph.add_array(len, paths, open=True)
    with pytest.raises(QuorateError, match="queue: is of the whole graph"):
        graph.add_array(len, paths, queue="other")
    with pytest.raises(QuorateError, match="give items, a count"):
        graph.add_array(len)
    assert outcomes.array_id_of("0" * 32, sums) == f"{2:032x}"
    with pytest.raises(QuorateError, match="'parts' is an array"):
        outcomes.id_of("0" * 32, parts)
    with pytest.raises(QuorateError, match="'len' is no array"):
        outcomes.array_id_of("0" * 32, graph.tasks[2])
