"""Repeated requests across leaders, with the network between a leader and etcd in our hands."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from quorate.runtime.errors import from_rpc_error
from quorate.v1 import queue_pb2, scheduler_pb2
from tests.support.cluster import Cluster
from tests.support.fault_proxy import ErrorKind, FaultProxy
from tests.support.load import Load
from tests.support.server import Server, until

# Parts of 3/8 of it: a batch of BATCH takes many Txns.
MAX_TXN_OPS = 128
BATCH = 500


@asynccontextmanager
async def behind_proxy(folder: Path) -> AsyncIterator[tuple[Cluster, FaultProxy, Server, Server]]:
    """No agent; s1 leads and reaches etcd through the proxy, s2 stands by."""
    async with (
        Cluster(folder, schedulers=0, agents=0, max_txn_ops=MAX_TXN_OPS) as cluster,
        FaultProxy(cluster.etcd.endpoint) as proxy,
    ):
        first = cluster.add_scheduler("s1", etcd=proxy.endpoint)
        await first.start()
        await cluster.leader()
        second = cluster.add_scheduler("s2")
        await second.start()
        await cluster.standby()
        yield cluster, proxy, first, second


async def has_read_all_before(cluster: Cluster, server: Server) -> None:
    """Until a server has begun with every call sent to it so far.

    A call that is refused at once: it waits for no commit, and calls of one connection begin in
    their order.
    """
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await cluster.stub(server).CreateTask(scheduler_pb2.CreateTaskRequest(), timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("arrives", ["before the next leader", "after the next leader"])
async def test_a_repeated_request_id_answered_while_the_first_is_uncommitted_and_the_leader_killed(
    tmp_path, arrives
):
    async with behind_proxy(tmp_path) as (cluster, proxy, first, second):
        epoch, leader = await cluster.leader()
        assert leader is first
        request = scheduler_pb2.CreateTaskRequest(
            spec=Load(cluster).stamp(0), request_id=uuid.uuid4().hex
        )
        proxy.script("Txn", ErrorKind.HOLD)
        calls = [asyncio.ensure_future(cluster.stub(first).CreateTask(request, timeout=30))]
        held = await proxy.next_held()
        calls.append(asyncio.ensure_future(cluster.stub(first).CreateTask(request, timeout=30)))
        await has_read_all_before(cluster, first)
        assert not any(call.done() for call in calls), "answered while nothing was committed"
        assert not await cluster.read(b"tasks/")

        # Stopped first, so that it cannot answer even what does commit.
        first.stop()
        if arrives == "before the next leader":
            await held.deliver()
            (committed,) = await cluster.read(b"tasks/")
        first.kill()
        await asyncio.wait(calls)
        for call in calls:
            error = call.exception()
            assert isinstance(error, grpc.aio.AioRpcError), error
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error
        await cluster.leader(after=epoch)
        if arrives == "after the next leader":
            await held.deliver()
            assert not await cluster.read(b"tasks/"), "the fence let a deposed leader's Txn pass"

        answers = {(await cluster.stub(second).CreateTask(request)).task.id for _ in range(2)}
        (record,) = await cluster.read(b"tasks/")
        assert answers == {record.key.rpartition(b"/")[2].decode()}
        if arrives == "before the next leader":
            assert record == committed
        other = scheduler_pb2.CreateTaskRequest(
            spec=Load(cluster).stamp(1), request_id=request.request_id
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await cluster.stub(second).CreateTask(other)
        assert from_rpc_error(refused.value).reason == "REQUEST_ID_REUSED"
        await cluster.history.read()
        cluster.history.check()


async def test_a_batch_repeated_after_its_first_half_ran_and_was_deleted_by_retention_makes_no_duplicate(  # noqa: E501 (the issue's name)
    tmp_path,
):
    async with behind_proxy(tmp_path) as (cluster, proxy, first, second):
        epoch, _ = await cluster.leader()
        load = Load(cluster)
        retention = queue_pb2.Retention(age=Duration(seconds=1))
        queue = queue_pb2.Queue(name="short-memory", retention=retention)
        await cluster.call(scheduler_pb2.CreateQueueRequest(queue=queue, request_id="q"))
        request = scheduler_pb2.BatchCreateTasksRequest(
            queue=queue.name, specs=[load.stamp(0)] * BATCH, request_id=uuid.uuid4().hex
        )
        proxy.script("Txn", ErrorKind.PASS, ErrorKind.PASS, ErrorKind.HOLD)
        call = asyncio.ensure_future(cluster.stub(first).BatchCreateTasks(request, timeout=30))
        held = await proxy.next_held()
        made = {kv.key.rpartition(b"/")[2].decode() for kv in await cluster.read(b"tasks/")}
        assert 0 < len(made) < BATCH
        first.kill()
        await asyncio.wait((call,))
        assert isinstance(call.exception(), grpc.aio.AioRpcError)
        await cluster.leader(after=epoch)
        await held.deliver()

        await cluster.add_agent("n1").start()
        await until(lambda: len(load.starts()) == len(made), "the first half has run")

        async def deleted() -> bool:
            return not await cluster.read(b"tasks/") and not await cluster.read(b"runs/")

        await until(deleted, "retention has deleted the first half")
        ids = list((await cluster.stub(second).BatchCreateTasks(request, timeout=30)).ids)
        assert len(set(ids)) == BATCH
        assert made == set(ids[: len(made)])
        assert list((await cluster.stub(second).BatchCreateTasks(request)).ids) == ids
        load.acknowledged += ids
        await load.all_finished()
        await load.check()
        assert sorted(start.task for start in load.starts()) == sorted(ids)
