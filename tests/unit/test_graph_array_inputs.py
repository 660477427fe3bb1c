"""The results of an array as an input of another task: one list, within the bounds of inputs."""

from __future__ import annotations

import json
import pickle

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import jobs_pb2 as r
from quorate.runtime.ids import QueueName, TaskId
from quorate.v1 import task_pb2
from scheduler.agents import array_inputs
from scheduler.agents.array_inputs import list_of
from scheduler.agents.inputs import InputError
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.model.indexes.usage import Usage
from scheduler.core.model.rows import JobRow, QueueRow
from scheduler.core.values import JobState
from scheduler.storage import keys
from tests.support.core_jobs import job_spec

PREFIX = b"/q/"
JOB = TaskId("1" * 32)
JSON, PICKLE = 1, 2


def array(count: int, *, programs: bool = False, state: JobState = JobState.SUCCEEDED) -> JobRow:
    spec = job_spec()._replace(programs=programs)
    row = JobRow(JOB, QueueRow(QueueName("q"), 0.0), spec, 0.0, Usage("c"), state=state)
    row.array.grow(count)
    return row


async def read(row: JobRow, *runs: tuple[int, int, list[bytes]]) -> task_pb2.TaskResult | None:
    etcd = MemoryEtcd()
    for first, kind, values in runs:
        record = r.JobResultsRecord()
        record.runs.add(first=first, kind=kind, values=values)
        key = keys.job_results_key(JOB, first // BLOCK, first)
        await etcd.put(PREFIX + key, record.SerializeToString())
    return await list_of(row, "a", etcd, PREFIX)


async def test_json_results_are_one_list_in_the_order_of_the_indexes():
    found = await read(array(BLOCK + 2), (BLOCK, JSON, [b'"x"', b"[1]"]), (1, JSON, [b"2"]))
    assert found is not None
    values = json.loads(found.json)
    assert values[:3] == [None, 2, None]
    assert values[-2:] == ["x", [1]]


async def test_pickled_results_are_unpickled_with_the_list_alone():
    data = pickle.dumps({"a": 1})
    of_the_user = pickle.dumps(ZeroDivisionError).replace(
        b"ZeroDivisionError", b"NobodyKnowsThisEr"
    )
    found = await read(array(4), (0, PICKLE, [data]), (2, JSON, [b"3"]))
    assert found is not None
    assert pickle.loads(found.pickle) == [{"a": 1}, None, 3, None]
    found = await read(array(1), (0, PICKLE, [of_the_user]))
    assert found is not None
    with pytest.raises(AttributeError, match="NobodyKnowsThis"):
        pickle.loads(found.pickle)


async def test_programs_give_zeros_and_an_empty_array_nothing():
    found = await read(array(3, programs=True))
    assert found is not None
    assert found.json == "[0,0,0]"
    nothing = await read(array(0))
    assert nothing is not None
    assert nothing.json == "[]"


async def test_an_array_that_has_not_succeeded_has_no_result():
    assert await read(array(3, state=JobState.FAILED)) is None


async def test_too_large_results_are_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="have more than"):
        await read(array(5_000_000))
    monkeypatch.setattr(array_inputs, "MOST_BYTES", 10)
    with pytest.raises(InputError) as error:
        await read(array(3), (0, JSON, [b'"0123456789"']))
    assert error.value.kind == "INPUTS_TOO_LARGE"
    assert "array 'a'" in error.value.message
