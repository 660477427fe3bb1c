"""RetryTasks outlives its leader: its repeat at the next one completes it, and counts once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc

from quorate.internal.v1.records_pb2 import DedupRecord, RunRecord
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.cluster import Cluster
from tests.support.server import until

TASKS = 4_000


async def test_the_call_is_completed_at_the_next_leader(tmp_path: Path) -> None:
    async with Cluster(tmp_path, agents=0) as cluster:
        await cluster.call(pb.CreateQueueRequest(queue=queue_pb2.Queue(name="q")))
        spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
        await cluster.call(pb.BatchCreateTasksRequest(queue="q", specs=[spec] * TASKS))
        await cluster.call(pb.CancelTasksRequest(queue="q"))
        request = pb.RetryTasksRequest(
            queue="q",
            states=[task_pb2.TASK_STATE_CANCELLED],
            max_rate=TASKS / 10,
            request_id="all of them",
        )
        await cluster.standby()
        epoch, leader = await cluster.leader()

        async def begun() -> bool:
            found = await cluster.read(b"dedup/_tasks/" + b"all of them".hex().encode())
            return bool(found) and DedupRecord.FromString(found[0].value).progress > 0

        interrupted = asyncio.ensure_future(_swallow(cluster.stub(leader).RetryTasks(request)))
        await until(begun, "a part is on record")
        leader.kill()
        await leader.gone()
        await interrupted
        await cluster.leader(after=epoch)
        answer = await cluster.call(request)
        assert (answer.retried, answer.next_page_token) == (TASKS, "")
        assert await cluster.call(request) == answer
        runs = [RunRecord.FromString(kv.value) for kv in await cluster.read(b"runs/")]
        # Each that is not due yet has an instant of its own, whichever leader retried it.
        due = sorted(run.not_before for run in runs if run.not_before)
        assert len(due) > TASKS / 2
        assert len(set(due)) == len(due)
        assert due[-1] - due[0] <= 10.0
        entries = (await cluster.call(pb.ListAuditEntriesRequest(method="RetryTasks"))).entries
        assert len(entries) == 1


async def _swallow(call: object) -> None:
    try:
        await call  # type: ignore[misc]
    except grpc.aio.AioRpcError:
        pass
