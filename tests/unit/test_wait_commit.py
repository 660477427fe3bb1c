"""WaitTask between a result's step and its commit, and behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from quorate.etcd.api import Compare, Op, TxnResult
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from scheduler.core.model import events as e
from tests.support.one_leader import Leader, leading


class Held(MemoryEtcd):
    """Holds Txns back while told to, and counts those that were done."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.done = 0

    async def txn(
        self,
        compares: Sequence[Compare],
        then: Sequence[Op],
        otherwise: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        await self.open.wait()
        self.done += 1
        return await super().txn(compares, then, otherwise, timeout=timeout)


async def pending(leader: Leader) -> TaskId:
    spec = t.TaskSpec(command=t.CommandWork(argv=["true"]))
    return TaskId((await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task.id)


def cancel(leader: Leader, task: TaskId) -> asyncio.Future[object]:
    token: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    leader.driver.handle((e.TaskCancelAsked(task, e.Request(), token),))
    return token


def waiting_for(leader: Leader, task: TaskId) -> asyncio.Task[Any]:
    return asyncio.ensure_future(leader.call("WaitTask", pb.WaitTaskRequest(id=task)))


async def test_a_result_under_way_to_etcd_is_answered_when_it_is_committed_without_a_read() -> None:
    etcd = Held()
    async with asyncio.timeout(60), leading(etcd) as leader:
        task = await pending(leader)
        etcd.open.clear()
        before = etcd.done
        cancelled = cancel(leader, task)
        assert task not in leader.driver.state.tasks
        waiting = waiting_for(leader, task)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not waiting.done(), "answered before the commit"
        etcd.open.set()
        found = (await waiting).task
        assert (found.id, found.queue, found.state) == (task, "default", t.TASK_STATE_CANCELLED)
        await cancelled
        assert etcd.done == before + 1, "the commit itself and nothing else"
        assert not leader.driver.waiters.final_writes_pending


async def test_a_result_on_record_is_one_read_on_an_idle_leader() -> None:
    etcd = Held()
    async with asyncio.timeout(60), leading(etcd) as leader:
        task = await pending(leader)
        await cancel(leader, task)
        before = etcd.done
        assert (await waiting_for(leader, task)).task.state == t.TASK_STATE_CANCELLED
        assert etcd.done == before + 1


async def test_a_result_that_was_not_committed_when_the_term_ended_is_not_told() -> None:
    etcd = Held()
    async with asyncio.timeout(60), leading(etcd) as leader:
        task = await pending(leader)
        etcd.open.clear()
        cancel(leader, task)
        waiting = waiting_for(leader, task)
        await asyncio.sleep(0)
        leader.driver.close()
        with pytest.raises(QuorateError) as rejection:
            await waiting
        assert rejection.value.reason == "LEADER_LOST"
        etcd.open.set()
