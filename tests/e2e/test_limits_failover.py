"""Limits hold while leaders are killed: by what the log says of every attempt."""

from __future__ import annotations

import signal

from quorate.internal.v1.records_pb2 import RunRecord
from quorate.v1 import limit_pb2, queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.cluster import Cluster
from tests.support.server import until

PER_SECOND, BURST, SEATS = 20, 2, 3
TASKS, SEATED = 100, 60


async def test_rates_and_permits_hold_through_three_killed_leaders(tmp_path):
    async with Cluster(tmp_path, slots=4) as cluster:
        await cluster.in_session()
        rate = limit_pb2.RateLimit(count=PER_SECOND, burst=BURST)
        await cluster.call(pb.CreateQueueRequest(queue=queue_pb2.Queue(name="paced", rate=rate)))
        seats = limit_pb2.Limit(name="seats", max_running=SEATS)
        await cluster.call(limit_pb2.CreateLimitRequest(limit=seats))
        await submit(cluster, "paced", TASKS, ["true"])
        await submit(cluster, "default", SEATED, ["sleep", "0.1"], limits=["seats"])
        for begun in (20, 40, 60):
            await cluster.standby()
            _, leader = await cluster.leader()
            await finished(cluster, "paced", begun)
            leader.send(signal.SIGKILL)
            await leader.gone()
            await leader.start()
        paced = await finished(cluster, "paced", TASKS)
        seated = await finished(cluster, "default", SEATED)
        starts = sorted(start for run in paced for start in assigned(run))
        assert len(starts) >= TASKS
        for place, first in enumerate(starts):
            within = sum(1 for start in starts[place:] if start < first + 1.0)
            assert within <= PER_SECOND + BURST, f"{within} starts in the second from {first}"
        spans = [(run.assign_time, run.finish_time) for run in seated]
        for begin, _ in spans:
            together = sum(1 for start, end in spans if start <= begin < end)
            assert together <= SEATS, f"{together} tasks had {SEATS} permits"
        used = (await cluster.call(limit_pb2.GetLimitRequest(name="seats"))).limit
        assert (used.running, used.live_tasks) == (0, 0)


async def submit(cluster: Cluster, queue: str, count: int, argv: list[str], **fields) -> None:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=argv), **fields)
    request = pb.BatchCreateTasksRequest(queue=queue, specs=[spec] * count, request_id=queue)
    await cluster.call(request)


async def finished(cluster: Cluster, queue: str, count: int) -> list[RunRecord]:
    """The records of finished tasks, once there are so many."""

    async def look() -> list[RunRecord]:
        records = await cluster.read(f"runs/{queue}/".encode())
        runs = [RunRecord.FromString(record.value) for record in records]
        done = [run for run in runs if run.finish_time]
        return done if len(done) >= count else []

    runs: list[RunRecord] = await until(look, f"{count} tasks of {queue} have finished", 30.0)
    return runs


def assigned(run: RunRecord) -> list[float]:
    """When each attempt of a task was assigned."""
    return [run.assign_time, *(past.assign_time for past in run.past)]
