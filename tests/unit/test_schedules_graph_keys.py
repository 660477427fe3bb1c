"""Schedules whose graphs have tasks with unique keys."""

from __future__ import annotations

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2
from scheduler.storage import record_kinds
from tests.support.one_leader import PREFIX, leading
from tests.unit.test_schedules_api import create

PLAIN = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))


def keyed(key: str) -> task_pb2.TaskSpec:
    unique = task_pb2.UniqueKey(key=key, on_conflict=task_pb2.UNIQUE_CONFLICT_REJECT)
    spec = task_pb2.TaskSpec(unique=unique)
    spec.MergeFrom(PLAIN)
    return spec


async def test_a_task_with_a_unique_key_counts_as_four() -> None:
    async with leading(MemoryEtcd()) as leader:
        tasks = [{"name": f"t{n}", "task": keyed(f"k{n}")} for n in range(13)]
        with pytest.raises(QuorateError) as caught:
            await create(leader, job={"graph": {"tasks": tasks}})
        assert caught.value.field == "schedule.spec.job.graph.tasks"
        assert "one with a unique key counts as 4" in caught.value.message
        await create(leader, job={"graph": {"tasks": tasks[:12]}})


async def test_they_need_schedulers_that_know_them() -> None:
    async with leading(MemoryEtcd()) as leader:
        kinds = set(record_kinds.RECORD_KINDS) - {record_kinds.GRAPH_KEYS}
        old = CandidateRecord(name="s2", record_kinds=kinds)
        await leader.etcd.put(PREFIX + b"election/scheduler/2", old.SerializeToString())
        with pytest.raises(QuorateError) as caught:
            await create(leader, job={"graph": {"tasks": [{"name": "a", "task": keyed("k")}]}})
        assert caught.value.metadata["kind"] == record_kinds.GRAPH_KEYS
        await create(leader, job={"graph": {"tasks": [{"name": "a", "task": PLAIN}]}})
