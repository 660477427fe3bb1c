"""Arrays through the death of a leader and of a node: every subtask is accepted once, and none that
was accepted runs again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from quorate.internal.v1 import jobs_pb2
from quorate.v1 import job_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.arrays.positions import BLOCK
from tests.support.cluster import Cluster
from tests.support.server import until


async def create(cluster: Cluster, count: int, file: Path) -> str:
    """An array whose subtasks write their index into a file."""
    request = pb.CreateJobRequest(spec=job_pb2.JobSpec(count=count), request_id=file.name)
    work = request.spec.template.python
    work.entrypoint, work.json = "tests.support.drill_work:note", json.dumps([str(file)])
    return str((await cluster.call(request)).job.id)


async def job(cluster: Cluster, name: str) -> job_pb2.Job:
    found: job_pb2.Job = (await cluster.call(pb.GetJobRequest(id=name))).job
    return found


async def under_way(cluster: Cluster, name: str, least: int) -> None:
    """Until so many subtasks have succeeded."""

    async def look() -> bool:
        return (await job(cluster, name)).counts.succeeded >= least

    await until(look, f"{least} subtasks")


async def finished(cluster: Cluster, name: str, count: int) -> None:
    async def look() -> bool:
        return (await job(cluster, name)).HasField("finish_time")

    await until(look, "the end of the job")
    done = await job(cluster, name)
    assert done.counts == job_pb2.JobCounts(succeeded=count)


async def accepted(cluster: Cluster, name: str) -> set[int]:
    """The positions that are on record as succeeded."""
    found: set[int] = set()
    for kv in await cluster.read(f"job-blocks/{name}/".encode()):
        record = jobs_pb2.JobBlockRecord.FromString(kv.value)
        first = int(kv.key.rpartition(b"/")[2]) * BLOCK
        mask = int.from_bytes(record.succeeded, "little")
        mask = (1 << BLOCK) - 1 if record.all_succeeded else mask
        found.update(first + place for place in range(BLOCK) if mask >> place & 1)
    return found


def runs(file: Path) -> list[tuple[int, str]]:
    """Who ran which subtask, in order."""
    lines = [line.split() for line in file.read_text().splitlines()]
    return [(int(index), node) for index, node in lines]


async def results(cluster: Cluster, name: str, count: int) -> dict[int, bytes]:
    """The result of each position; none is there twice."""
    found: dict[int, bytes] = {}
    leader = (await cluster.leader())[1]
    stream = cluster.stub(leader).ReadJobResults(pb.ReadJobResultsRequest(id=name), timeout=60)
    async for answer in stream:
        for run in answer.runs:
            for position, value in enumerate(run.values, run.first):
                assert position not in found
                found[position] = value
    assert len(found) == count
    return found


async def test_accepted_subtasks_never_run_again(tmp_path: Path) -> None:
    count, file = 100_000, tmp_path / "leader-killed"
    async with Cluster(tmp_path, agents=1, slots=2) as cluster:
        await cluster.in_session("n1")
        await cluster.standby()
        name = await create(cluster, count, file)
        await under_way(cluster, name, count // 5)
        epoch, leader = await cluster.leader()
        leader.kill()
        await leader.gone()
        await cluster.leader(after=epoch)
        await finished(cluster, name, count)
        # The agent lived: it went on with what it had, and reported what was not on record.
        assert Counter(index for index, _ in runs(file)) == Counter(range(count))
        assert await results(cluster, name, count) == {n: b"%d" % n for n in range(count)}

        count, file = 50_000, tmp_path / "node-killed"
        name = await create(cluster, count, file)
        cluster.add_agent("n2").launch()
        await under_way(cluster, name, count // 5)
        before = await accepted(cluster, name)
        first = cluster.agents["n1"]
        first.kill()
        await first.gone()
        await finished(cluster, name, count)
        by_first = {index for index, node in runs(file) if node == "n1"}
        by_second = {index for index, node in runs(file) if node == "n2"}
        repeated = before & by_first & by_second
        assert before & by_first
        assert not repeated, f"accepted, and run again: {sorted(repeated)[:10]}"
        assert len(await results(cluster, name, count)) == count
