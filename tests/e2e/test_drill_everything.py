"""etcd dies, or all schedulers and agents at once: nothing acknowledged is lost, all goes on."""

from __future__ import annotations

from tests.support.cluster import Cluster
from tests.support.drills import Figures, kill_etcd, kill_everything


async def test_etcd_killed_and_started_again_under_load(tmp_path):
    async with Cluster(tmp_path, slots=3) as cluster:
        await kill_etcd(cluster, rounds=2, figures=Figures())


async def test_all_schedulers_and_agents_killed_at_once_and_started_again(tmp_path):
    async with Cluster(tmp_path, slots=3) as cluster:
        await kill_everything(cluster, rounds=1, figures=Figures())
