"""Retention deletes what is finished and expired, and nothing that stands between."""

from __future__ import annotations

import time

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.v1 import queue_pb2, scheduler_pb2
from scheduler.core.values import TaskState
from tests.support.cluster import Cluster
from tests.support.load import Load
from tests.support.server import until

MONTH = 30 * 86_400


async def test_retention_beside_a_task_scheduled_for_next_month(tmp_path):
    async with Cluster(tmp_path, agents=1) as cluster:
        load = Load(cluster)
        retention = queue_pb2.Retention(age=Duration(seconds=1))
        queue = queue_pb2.Queue(name="short-memory", retention=retention)
        await cluster.call(scheduler_pb2.CreateQueueRequest(queue=queue, request_id="q"))
        due = Timestamp(seconds=int(time.time()) + MONTH)

        async def some() -> None:
            for _ in range(20):
                await load.submit(load.stamp(0), queue.name)

        async def only(*expected: str) -> None:
            """Until these tasks, and none of their former neighbours, are on record."""

            async def look() -> bool:
                keys = {kv.key.rpartition(b"/")[2].decode() for kv in await cluster.read(b"tasks/")}
                assert set(expected) <= keys, "retention deleted a task that waits"
                return keys == set(expected) and not await cluster.read(b"runs/")

            await until(look, f"only {expected} are on record")

        await some()
        month = await load.submit(load.stamp(0, not_before=due), queue.name)
        await some()
        await only(month)

        # The next leader knows nothing but what is on record.
        epoch, leader = await cluster.leader()
        leader.kill()
        await cluster.leader(after=epoch)
        await some()
        later = await load.submit(load.stamp(0, not_before=due), queue.name)
        await some()
        await only(month, later)
        for task in (month, later):
            seen = await cluster.task(task)
            assert seen.state == TaskState.SCHEDULED
            assert seen.schedule_time == due
        await load.check()
        assert not {month, later} & {start.task for start in load.starts()}

        await cluster.call(scheduler_pb2.CancelTaskRequest(id=month, request_id="c"))
        await only(later)
