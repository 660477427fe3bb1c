"""Whoever leads puts on record that attempts began, so that the next leader knows."""

from __future__ import annotations

import asyncio
import socket

import pytest

from quorate.etcd.api import Range
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, TaskId, TaskIds
from scheduler.core.handlers import attempts
from scheduler.core.model import events as e
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import TaskState
from scheduler.engine import background
from scheduler.storage import keys
from tests.support.core_specs import node_row, spec
from tests.support.memory_term import standing_by

NODE = NodeName("n1")


async def test_a_task_whose_leader_and_node_are_killed_together_reaches_its_crash_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "LIVED", 0.02)
    monkeypatch.setattr(background, "STARTS_EVERY", 0.01)
    task = TaskIds().next(1.0)
    # An agent that is there and says nothing: what it would say is in the events below.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        await _crash_twice(task, f"127.0.0.1:{silent.getsockname()[1]}")


async def _crash_twice(task: TaskId, address: str) -> None:
    async with standing_by(MemoryEtcd()) as replica:
        for crash in range(3):
            async with replica.leading() as driver:
                if not crash:
                    token = asyncio.get_running_loop().create_future()
                    what = spec(crash_limit=2)
                    driver.handle((e.TaskSubmitted(DEFAULT_QUEUE, task, what, e.Request(), token),))
                # Its key is not in etcd: the next leader learns from the process that comes in its
                # place that it is gone.
                instance = InstanceId(f"i{crash}")
                row = node_row(NODE, instance)
                row.address = address
                driver.handle(
                    (
                        e.NodeRegistered(row),
                        e.SessionOpened(NODE, instance, [], []),
                        e.CreditReported(NODE, instance, 1),
                    )
                )
                if crash == 2:
                    assert driver.state.finished[task].state is TaskState.FAILED
                    return
                assert driver.state.tasks[task].crashes == crash
                number = driver.state.tasks[task].attempt
                driver.handle((e.AttemptStarted(instance, task, number, 0.0),))
                run = replica.settings.prefix + keys.run_key(DEFAULT_QUEUE, task)
                async with asyncio.timeout(60):
                    while True:
                        found = await replica.etcd.range(Range(run))
                        if found.kvs and r.RunRecord.FromString(found.kvs[0].value).start_time:
                            break
                        await asyncio.sleep(0)
