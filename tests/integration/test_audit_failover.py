"""The audit log of real processes: kept over failovers, by count, and in backups."""

from __future__ import annotations

from pathlib import Path

from quorate.etcd.api import Delete, prefix_end
from quorate.etcd.snapshot.restore import restore
from quorate.etcd.snapshot.snapshot import back_up
from quorate.v1 import queue_pb2, scheduler_pb2
from quorate.v1.audit_pb2 import AuditEntry
from tests.support.cluster import NAME, PREFIX, Cluster
from tests.support.server import until

pb = scheduler_pb2
KEPT = 6


async def entries(cluster: Cluster, **filters: str) -> list[AuditEntry]:
    answer = await cluster.call(pb.ListAuditEntriesRequest(**filters))  # type: ignore[arg-type]
    return list(answer.entries)


async def turn(cluster: Cluster, request_id: str = "") -> None:
    """Two changes."""
    again = request_id and f"{request_id}-again"
    await cluster.call(pb.PauseQueueRequest(name="default", request_id=request_id))
    await cluster.call(pb.ResumeQueueRequest(name="default", request_id=again))


async def kill_leader(cluster: Cluster) -> None:
    """SIGKILL it, and start it again as the standby of the other."""
    await cluster.standby()
    epoch, leader = await cluster.leader()
    leader.kill()
    await leader.gone()
    await cluster.leader(after=epoch)
    leader.launch()
    await leader.ready()


async def test_entries_outlive_their_leader_and_a_repeated_call_is_one(tmp_path: Path) -> None:
    async with Cluster(tmp_path, agents=0) as cluster:
        await turn(cluster, "once")
        before = await entries(cluster)
        assert [entry.caller for entry in before] == ["anonymous"] * 2
        assert {(entry.role, entry.credential) for entry in before} == {("", "")}
        assert all(entry.peer for entry in before)
        for _ in range(2):
            await kill_leader(cluster)
            await turn(cluster, "once")
            assert await entries(cluster) == before
        await turn(cluster)
        after = await entries(cluster)
        assert after[2:] == before
        assert [entry.id for entry in after] == sorted((e.id for e in after), reverse=True)


async def test_only_so_many_are_kept_also_by_the_next_leader(tmp_path: Path) -> None:
    async with Cluster(tmp_path, agents=0, scheduler_flags=(f"--audit-keep={KEPT}",)) as cluster:

        async def only_those() -> bool:
            return len(await cluster.read(b"audit/")) == KEPT

        for last in (False, True):
            for _ in range(KEPT):
                await turn(cluster)
            newest = (await entries(cluster))[:KEPT]
            await until(only_those, f"{KEPT} entries are left")
            assert await entries(cluster) == newest
            if not last:
                await kill_leader(cluster)
                assert await entries(cluster) == newest


async def test_a_log_that_is_off_is_empty(tmp_path: Path) -> None:
    async with Cluster(tmp_path, agents=0, scheduler_flags=("--audit-keep=0",)) as cluster:
        await turn(cluster)
        assert await entries(cluster) == []
        assert await cluster.read(b"audit/") == []


async def test_entries_are_in_a_backup_and_go_on_after_its_restore(tmp_path: Path) -> None:
    async with Cluster(tmp_path, agents=0, schedulers=1) as cluster:
        await turn(cluster)
        before = await entries(cluster)
        file = tmp_path / "backup"
        await back_up(cluster.store, PREFIX, NAME, file, now=0.0)
        (scheduler,) = cluster.schedulers.values()
        scheduler.kill()
        await scheduler.gone()
        await cluster.store.txn((), (Delete(PREFIX, prefix_end(PREFIX)),))
        await restore(cluster.store, PREFIX, NAME, file, now=1.0)
        scheduler.launch()
        await scheduler.ready()
        assert await entries(cluster) == before
        request = pb.CreateQueueRequest(queue=queue_pb2.Queue(name="mail"))
        await cluster.call(request)
        newest, *others = await entries(cluster)
        assert others == before
        assert (newest.resource_name, newest.id > before[0].id) == ("mail", True)
