"""Single subtasks are cancelled and retried on a real cluster, also while its leader dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import quorate
from quorate.client.transport.discovery import LocalCluster, read_local_cluster
from quorate.local.plan import LocalPlan
from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2
from tests.support import tls
from tests.support.local import running
from tests.support.waiting import async_until, until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("subtask-changes") / "data"
    with running(LocalPlan(data_dir=data, schedulers=2, nodes=1, slots=2, secure=tls.ON)) as local:
        yield local


def kill_leader(client: quorate.Client, cluster: LocalCluster) -> None:
    leader = next(one.name for one in client.cluster().schedulers if one.leader)
    found = read_local_cluster(Path(cluster.data_dir))
    assert found is not None
    os.kill(next(one.pid for one in found.processes if one.name == leader), signal.SIGKILL)


def test_what_a_caller_cancelled_stays_so_through_the_death_of_a_leader(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    # The first two run, and end only on an order, or when they may go.
    script = f"while [ ! -e {go} ]; do sleep 0.02; done; echo {{index}} >> {tmp_path}/ran"
    with quorate.Client(data_dir=cluster.data_dir) as client:
        job = client.array(["sh", "-c", script], count=8)
        first = client.get(f"{job.id}.0")
        until(lambda: first.status() == "RUNNING", 60)
        assert first.cancel()
        assert client.get(f"{job.id}.5").cancel()
        kill_leader(client, cluster)
        assert first.wait(60).state == task_pb2.TASK_STATE_CANCELLED
        go.touch()
        ended = job.wait(60)
        assert (ended.counts.succeeded, ended.counts.cancelled) == (6, 2)
        assert job.status() == "FAILED"
        assert job.job().reason == "2 subtasks cancelled by a caller"
        first.retry()
        again = client.job(job.id)
        assert again.wait(60).counts.succeeded == 7
        assert again.status() == "FAILED"
        with pytest.raises(QuorateError, match="only FAILED and CANCELLED"):
            first.retry()
        assert not first.cancel()
        client.get(f"{job.id}.5").retry()
        again = client.job(job.id)
        again.wait(60)
        assert again.status() == "SUCCEEDED"
        assert sorted((tmp_path / "ran").read_text().split()) == [str(n) for n in range(8)]


async def test_a_call_that_hangs_is_ended_and_its_neighbours_go_on(cluster: LocalCluster) -> None:
    def hang(number: int) -> int:
        import time

        while number == 40:
            time.sleep(1)
        return number

    async with quorate.AsyncClient(data_dir=cluster.data_dir) as client:
        job = await client.array(hang, range(200))
        one = client.get(f"{job.id}.40")

        async def rest_ended() -> bool:
            # The next one may wait behind it.
            return (await job.job()).counts.succeeded >= 198

        await async_until(rest_ended, 60)
        assert await one.cancel()
        ended = await job.wait(60)
        assert (ended.counts.succeeded, ended.counts.cancelled) == (199, 1)
        assert await client.get(f"{job.id}.41").cancel() is False
