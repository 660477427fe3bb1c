"""The leader is killed under publishes and acknowledgements of the SDK, plain stubs and pika.

Two rounds; `make drills` runs them all and prints the figures.
"""

from __future__ import annotations

from tests.support.broker_drills import kill_broker_leader
from tests.support.cluster import Cluster
from tests.support.drills import Figures


async def test_no_confirmed_message_is_lost_and_no_settled_one_comes_again(tmp_path):
    figures = Figures()
    async with Cluster(tmp_path, agents=0) as cluster:
        await kill_broker_leader(cluster, rounds=2, rate=600, figures=figures)
    assert len(figures.values) == 6
