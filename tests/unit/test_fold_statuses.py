"""A standby reads from status records what the leader keeps of a task, and nothing of others."""

from __future__ import annotations

import pytest

from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import task_pb2
from scheduler.core.model.indexes.usage import UNIT
from scheduler.core.values import TaskState
from scheduler.storage.records import recorded_spec, task_spec
from scheduler.storage.replica.fold import Fold
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec
from tests.support.same_state import differences


@pytest.mark.parametrize("size", [0, UNIT - 60, UNIT - 4, UNIT - 3, UNIT, 5 * UNIT])
def test_a_result_weighs_the_same_on_a_standby_however_long_it_is(size):
    log = Log()
    c = Cluster(log=log)
    node = c.node("n1")
    task = c.submit()
    node.succeed(task, result=task_pb2.TaskResult(json="x" * size))
    log.flush()
    assert differences(c.state, log.fold.state) == []
    assert log.fold.state.finished[task].units == c.state.finished[task].units


@pytest.mark.parametrize("size", [0, 5 * UNIT])
def test_an_error_weighs_the_same_on_a_standby_and_is_found_by_its_words(size):
    log = Log()
    c = Cluster(log=log)
    node = c.node("n1")
    task = c.submit()
    node.fail(task, "ValueError", traceback="x" * size)
    log.flush()
    done = log.fold.state.finished[task]
    assert (done.units, done.text) == (c.state.finished[task].units, c.state.finished[task].text)
    assert "valueerror" in done.text


def test_tasks_whose_records_are_equal_are_moved_apart():
    """Assigned to one node at once, they have the same record; then one of them comes back."""
    log = Log()
    c = Cluster(log=log)
    tasks = [c.submit() for _ in range(3)]
    node = c.node("n1", credit=3)
    log.flush()
    assert len({value for key, value in log.kept.items() if key.startswith(b"runs/")}) == 1
    node.credit(0)
    node.give_back(tasks[1])
    log.flush()
    states = [log.fold.state.tasks[task].state for task in tasks]
    assert states == [TaskState.RUNNING, TaskState.PENDING, TaskState.RUNNING]
    assert differences(c.state, log.fold.state) == []


def test_a_process_that_is_gone_is_forgotten_with_its_last_task_that_ends_elsewhere():
    """Cancelled when its process was given up: the record names no process any more."""
    fold = Fold()
    fold.put(b"queues/q", r.QueueRecord(name="q").SerializeToString(), 1)
    fold.put(b"tasks/q/1", r.TaskRecord(spec=spec().spec, create_time=1.0).SerializeToString(), 1)
    fold.at(1)
    run = r.RunRecord(state=TaskState.RUNNING, attempt=1, node="n", instance="i")  # type: ignore[arg-type]
    fold.put(b"runs/q/1", run.SerializeToString(), 2)
    assert list(fold.state.allocations) == ["i"]
    end = r.RunRecord(state=TaskState.CANCELLED, attempt=1, finish_time=2.0)  # type: ignore[arg-type]
    fold.put(b"runs/q/1", end.SerializeToString(), 3)
    assert not fold.state.allocations


@pytest.mark.parametrize("name", ["short", "long" * 1_000])
def test_a_spec_on_record_is_described_as_a_new_one(name):
    message = task_pb2.TaskSpec(
        python=task_pb2.PythonWork(entrypoint="m:f", json=f'["{name}"]'),
        name=name[:100],
        priority=3,
    )
    data = message.SerializeToString()
    assert recorded_spec(data) == recorded_spec(bytes(data)) == task_spec(message, data)
