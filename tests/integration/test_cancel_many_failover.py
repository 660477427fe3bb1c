"""CancelTasks outlives its leader: its repeat at the next one completes it, and counts once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc

from quorate.internal.v1.records_pb2 import DedupRecord, RunRecord
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.cluster import Cluster
from tests.support.server import until

TASKS = 10_000


async def test_the_call_is_completed_at_the_next_leader(tmp_path: Path) -> None:
    async with Cluster(tmp_path, agents=0) as cluster:
        spec = t.TaskSpec(command=t.CommandWork(argv=["true"]))
        made = (await cluster.call(pb.BatchCreateTasksRequest(specs=[spec] * TASKS))).ids
        request = pb.CancelTasksRequest(ids=made, request_id="all of them")
        await cluster.standby()
        epoch, leader = await cluster.leader()

        async def progress() -> int:
            found = await cluster.read(b"dedup/_tasks/")
            return DedupRecord.FromString(found[0].value).progress if found else 0

        async def begun() -> bool:
            return await progress() > 0

        interrupted = asyncio.ensure_future(_swallow(cluster.stub(leader).CancelTasks(request)))
        await until(begun, "a part is on record")
        leader.kill()
        await leader.gone()
        await interrupted
        await cluster.leader(after=epoch)
        answer = await cluster.call(request)
        assert answer == pb.CancelTasksResponse(cancelled=TASKS)
        assert await cluster.call(request) == answer
        runs = await cluster.read(b"runs/")
        assert {RunRecord.FromString(kv.value).state for kv in runs} == {t.TASK_STATE_CANCELLED}
        assert len(runs) == TASKS
        entries = (await cluster.call(pb.ListAuditEntriesRequest(method="CancelTasks"))).entries
        assert len(entries) == 1


async def _swallow(call: object) -> None:
    try:
        await call  # type: ignore[misc]
    except grpc.aio.AioRpcError:
        pass
