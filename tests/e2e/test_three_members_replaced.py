"""Each of etcd's three members is lost with its disk and replaced, under load: nothing is lost."""

from __future__ import annotations

from tests.support.drills import SHORT
from tests.support.load import Load
from tests.support.runbook import Runbook
from tests.support.three_members import NAMES, Members, cluster_of_three


async def test_each_member_killed_in_turn_and_replaced_by_the_runbook(tmp_path):
    async with cluster_of_three(tmp_path) as cluster:
        members = cluster.etcd
        assert isinstance(members, Members)
        load = Load(cluster)
        await cluster.in_session()
        async with load.stream(SHORT):
            for name in NAMES:
                await load.more_starts(10)
                runbook = Runbook(
                    "member-replacement.md",
                    __file__,
                    tmp_path,
                    QUORATE_ETCD=members.endpoint,
                    ETCDCTL_ENDPOINTS=members.endpoint,
                )
                await members.members[name].kill()
                # Two of three have the quorum: work goes on without a hand.
                await load.more_starts(10)
                assert "not well" in await runbook.step()
                ill = next(m for m in (await members.health()).members if m.trouble)
                assert ill.name == name
                await runbook.step(MEMBER_ID=ill.id, within=10)
                await runbook.step(MEMBER_NAME=name, PEER_URL=members.peer_url(name), within=10)
                await members.join(name)
                await members.all_well()
                assert "not well" not in await runbook.step()
                runbook.done()
            await load.more_starts(10)
        await load.all_finished()
        await load.check()
        assert len(load.acknowledged) > 60
