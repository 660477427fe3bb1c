"""A backup is taken under load, etcd is lost, and the backup restored beside agents that live."""

from __future__ import annotations

import base64

import grpc
import pytest

from quorate.etcd.generation import split
from quorate.runtime.errors import from_rpc_error
from quorate.v1 import scheduler_pb2
from scheduler.core.values import TaskState
from tests.support.cluster import NAME
from tests.support.drills import SHORT
from tests.support.load import Load
from tests.support.runbook import Runbook
from tests.support.server import until
from tests.support.three_members import Members, cluster_of_three


async def watch_token(cluster, token: str = "") -> str:
    """The first resume token of a watch that begins at `token`."""
    server = next(iter(cluster.schedulers.values()))
    request = scheduler_pb2.WatchTasksRequest(resume_token=token)
    # Its process has been another one meanwhile.
    call = cluster.stub(server).WatchTasks(request, wait_for_ready=True, timeout=60)
    try:
        return str((await call.read()).resume_token)
    finally:
        call.cancel()


async def test_a_backup_restored_into_a_fresh_etcd_beside_agents_that_lived_on(tmp_path):
    async with cluster_of_three(tmp_path, slots=3) as cluster:
        members = cluster.etcd
        assert isinstance(members, Members)
        runbook = Runbook(
            "backup-restore.md",
            __file__,
            tmp_path,
            QUORATE_ETCD=members.endpoint,
            QUORATE_CLUSTER=NAME,
        )
        load = Load(cluster)
        await cluster.in_session()
        held = [await load.submit(load.hold()) for _ in range(4)]
        for task in held:
            await load.started(task, 1)
        # A leader whose epoch is beyond what the restored etcd begins with: one that stood late.
        async with load.stream(0.0, pause=0.0):
            await load.more_starts(60)
        before = 0
        for _ in range(2):
            before, leader = await cluster.leader(after=before)
            leader.kill()
            await leader.gone()
            await leader.start()
        before, _ = await cluster.leader(after=before)
        await cluster.in_session()
        token = await watch_token(cluster)
        # At the time of the backup some have finished, some run, and some wait.
        await load.backlog(300, SHORT)
        async with load.stream(SHORT):
            kept = list(load.acknowledged)
            assert "at revision" in await runbook.step()
        lost = set(load.acknowledged) - set(kept)
        agents = {server.pid for server in cluster.agents.values()}

        for server in cluster.schedulers.values():
            server.term()
            await server.gone()
        await members.exchange()
        assert f"Cluster {NAME} is as it was" in await runbook.step()
        runbook.done()
        for server in cluster.schedulers.values():
            server.launch()

        await cluster.in_session()
        assert {server.pid for server in cluster.agents.values()} == agents
        answer = await cluster.call(scheduler_pb2.GetClusterRequest())
        generation, revision = split(answer.cluster.epoch)
        assert generation == 2
        assert revision < before, "the agents would have taken this leader without a generation"
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await watch_token(cluster, token)
        assert from_rpc_error(gone.value).reason == "RESUME_TOKEN_GONE"
        assert base64.urlsafe_b64decode(await watch_token(cluster)).endswith(b".2")

        load.open_gate()
        for task in [*kept, await load.submit(load.stamp(SHORT))]:

            async def succeeded(task: str = task) -> bool:
                return bool((await cluster.task(task)).state == TaskState.SUCCEEDED)

            await until(succeeded, f"{task} has succeeded")
        assert len(kept) > 300
        assert lost, "nothing was submitted after the backup"
