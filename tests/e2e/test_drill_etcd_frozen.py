"""etcd sleeps for longer than any lease lives; what runs goes on and nothing counts as a crash."""

from __future__ import annotations

from tests.support.cluster import Cluster
from tests.support.drills import freeze_etcd
from tests.support.three_members import Members, cluster_of_three

SECONDS = 6.0


async def test_nothing_is_lost_when_the_only_member_sleeps(tmp_path):
    async with Cluster(tmp_path, agents=2, slots=3) as cluster:

        async def members() -> list[int]:
            return [cluster.etcd.pid]

        await freeze_etcd(cluster, pids=members, seconds=SECONDS, rounds=3)


async def test_nothing_is_lost_when_the_leader_and_another_of_three_sleep(tmp_path):
    async with cluster_of_three(tmp_path, agents=2, slots=3) as cluster:
        etcd = cluster.etcd
        assert isinstance(etcd, Members)

        async def leader_and_another() -> list[int]:
            return await etcd.leader_first(2)

        await freeze_etcd(cluster, pids=leader_and_another, seconds=SECONDS, rounds=1)
