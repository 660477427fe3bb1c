"""A standby keeps what processes that are there hold, and forgets those that are gone."""

from __future__ import annotations

from quorate.internal.v1 import records_pb2 as r
from scheduler.core.values import TaskState
from scheduler.storage.replica.fold import Fold
from tests.support.core_specs import spec


def test_a_standby_forgets_processes_that_are_gone() -> None:
    """In either order: the key goes first and the tasks are given back later, or the reverse."""
    fold = Fold()
    fold.put(b"queues/q", r.QueueRecord(name="q").SerializeToString(), 1)
    fold.put(b"tasks/q/1", r.TaskRecord(spec=spec().spec, create_time=1.0).SerializeToString(), 1)
    fold.at(1)
    for number in range(50):
        instance = f"i{number}"
        node = r.NodeRecord(name="n", instance=instance, address="h:1")
        fold.put(b"nodes/n", node.SerializeToString(), 2)
        run = r.RunRecord(state=TaskState.RUNNING, attempt=number, node="n", instance=instance)  # type: ignore[arg-type]
        fold.put(b"runs/q/1", run.SerializeToString(), 3)
        back = r.RunRecord(state=TaskState.PENDING, attempt=number)  # type: ignore[arg-type]
        if number % 2:
            fold.deleted(b"nodes/n")
            fold.put(b"runs/q/1", back.SerializeToString(), 4)
        else:
            fold.put(b"runs/q/1", back.SerializeToString(), 4)
            fold.deleted(b"nodes/n")
    assert not fold.state.allocations


def test_a_standby_keeps_the_allocation_of_a_process_that_is_there() -> None:
    fold = Fold()
    for instance in ("i1", "i2"):
        node = r.NodeRecord(name="n", instance=instance, address="h:1")
        fold.put(b"nodes/n", node.SerializeToString(), 1)
    assert list(fold.state.allocations) == ["i2"]
    assert fold.state.nodes["n"].allocation is fold.state.allocations["i2"]  # type: ignore[index]


def test_a_node_whose_name_is_not_text_comes_and_goes_unnoticed() -> None:
    """Agents write these keys themselves."""
    fold = Fold()
    record = r.NodeRecord(name="\ufffd", instance="i", address="h:1").SerializeToString()
    fold.put(b"nodes/\xff\xfe", record, 2, 9)
    fold.deleted(b"nodes/\xff\xfe")
    assert not fold.state.nodes
