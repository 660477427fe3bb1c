"""An etcd of three members that runs full, and is shrunk, by the runbooks."""

from __future__ import annotations

import pytest

from quorate.etcd.api import EtcdNoSpace
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.maintenance import ClusterHealth, Defragmented, Maintenance
from quorate.runtime.errors import QuorateError
from tests.support.runbook import Runbook
from tests.support.server import until
from tests.support.three_members import Members

_MIB = 1 << 20
_QUOTA_MIB = 16


async def fill(client: EtcdClient, mib: int, keys: int = 1) -> None:
    """Write keys; what is written over is what compaction frees."""
    for number in range(mib * 2):
        await client.put(b"/k%d" % (number % keys), bytes([number % 256]) * (_MIB // 2))


async def grown(members: Members, size: int) -> ClusterHealth | None:
    """How the members are, once the file of each is that large."""
    health = await members.all_well()
    return health if all(member.db_size > size for member in health.members) else None


async def test_files_shrink_one_member_at_a_time_the_leader_last(tmp_path):
    async with (
        Members(tmp_path / "etcd") as members,
        EtcdClient(members.endpoint.split(",")) as client,
    ):
        await fill(client, 8)
        before = await until(lambda: grown(members, 6 * _MIB), "the files have grown")
        (leader,) = (member.name for member in before.members if member.leader)
        runbook = Runbook(
            "compaction-defragmentation.md", __file__, tmp_path, QUORATE_ETCD=members.endpoint
        )
        assert leader in await runbook.step()
        assert "Compacted up to revision" in await runbook.step()
        shrunk = (await runbook.step()).splitlines()
        runbook.done()
        assert [line.partition(":")[0] for line in shrunk][-1] == leader
        assert len(shrunk) == 3
        after = await members.all_well()
        assert all(member.db_size < 3 * _MIB for member in after.members)


async def test_no_member_is_stopped_while_another_is_away(tmp_path):
    """It would cost the quorum."""
    async with Members(tmp_path / "etcd") as members:
        await members.all_well()
        await members.members["etcd-1"].kill()
        async with Maintenance(members.endpoint.split(",")) as maintenance:
            told: list[Defragmented] = []
            with pytest.raises(QuorateError, match=r"etcd-1: .*cannot be reached") as rejection:
                await maintenance.defragment(told.append)
        assert rejection.value.reason == "ETCD_UNHEALTHY"
        assert not told


async def test_no_space_is_recovered_from(tmp_path):
    quota = _QUOTA_MIB * _MIB
    async with (
        Members(tmp_path / "etcd", quota_bytes=quota) as members,
        EtcdClient(members.endpoint.split(",")) as client,
    ):
        with pytest.raises(EtcdNoSpace):
            await fill(client, 2 * _QUOTA_MIB)
        runbook = Runbook(
            "nospace.md",
            __file__,
            tmp_path,
            QUORATE_ETCD=members.endpoint,
            QUORATE_ETCD_QUOTA_MIB=str(_QUOTA_MIB),
        )
        assert "alarm NOSPACE" in await runbook.step()
        assert "NOSPACE" not in (await runbook.step()).rpartition("MEMBER")[2]
        runbook.done()
        assert (await members.all_well()).alarms == ()
        await fill(client, 1)


async def test_the_alarm_stays_while_there_is_no_space(tmp_path):
    """What fills it is in use: only a larger quota helps."""
    async with (
        Members(tmp_path / "etcd", quota_bytes=64 * _MIB) as members,
        EtcdClient(members.endpoint.split(",")) as client,
    ):
        with pytest.raises(EtcdNoSpace):
            await fill(client, 128, keys=1_000)
        # How full etcd is when it refuses depends on how its file grew, by a quarter: what the
        # command gets is a quota that leaves no room, and at most the real one.
        full = min(one.db_size_in_use for one in (await members.health()).members)
        told = min(full // _MIB + 1, 64)
        runbook = Runbook(
            "nospace.md",
            __file__,
            tmp_path,
            QUORATE_ETCD=members.endpoint,
            QUORATE_ETCD_QUOTA_MIB=str(told),
        )
        await runbook.step()
        with pytest.raises(AssertionError, match="The alarm stays"):
            await runbook.step()
        assert (await members.health()).no_space
