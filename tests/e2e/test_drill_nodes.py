"""Agents are killed and stopped under their attempts; bounds are those of issue 2."""

from __future__ import annotations

from tests.support.cluster import Cluster
from tests.support.drills import Figures, kill_node, stop_node

TTL = 3


async def test_the_tasks_of_a_killed_agent_run_elsewhere_within_a_second(tmp_path):
    figures = Figures()
    async with Cluster(tmp_path, agents=3, slots=4) as cluster:
        await kill_node(cluster, rounds=3, figures=figures)
    assert max(figures["killed node: until its tasks run elsewhere"]) <= 1.0, figures


async def test_a_stopped_agent_loses_its_tasks_and_its_late_results_are_refused(tmp_path):
    figures = Figures()
    async with Cluster(tmp_path, agents=3, slots=4, agent_ttl=TTL) as cluster:
        await stop_node(cluster, rounds=1, figures=figures)
    assert max(figures["stopped node: until its tasks run elsewhere"]) <= TTL + 2.0, figures
