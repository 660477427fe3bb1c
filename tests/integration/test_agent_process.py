"""Agents as processes, registered in a real etcd: started, killed, told to leave, replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from tests.support.agent import Leader, command, eventually, python, task_id
from tests.support.agent_processes import PATIENCE, Cluster


@pytest_asyncio.fixture
async def cluster(
    etcd_server: EtcdProcess, etcd_client: EtcdClient, key_prefix: bytes, tmp_path: Path
) -> AsyncIterator[Cluster]:
    name = "agents" + key_prefix.decode().replace("/", "-").rstrip("-")
    cluster = Cluster(etcd_server, etcd_client, name, tmp_path)
    await cluster.elect()
    yield cluster
    await cluster.close()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def descendants(pid: int) -> set[int]:
    """Every process below one."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


async def test_a_killed_agent_leaves_nothing_running(cluster: Cluster, tmp_path: Path):
    agent = await cluster.ready()
    pids = tmp_path / "pids"
    script = (
        f"sleep 1000 & echo $! >> {pids}; "
        f"setsid sh -c 'echo $$ >> {pids}; sleep 1000; true' & "
        f"echo $$ >> {pids}; wait"
    )
    async with Leader(agent.address) as leader:
        session = await leader.open(cluster.epoch, agent.instance)
        tasks = [task_id(), task_id()]
        await session.assign(tasks[0], command("sh", "-c", script))
        code = f"__import__('os').system('echo $$ >> {pids}; sleep 1000; true')"
        await session.assign(tasks[1], python("builtins:eval", code))
        await eventually(lambda: pids.exists() and len(pids.read_text().split()) == 4)
        below = descendants(agent.process.pid)
        started = {int(word) for word in pids.read_text().split()}
        assert started <= below
        assert len(below) >= 7
        await agent.kill()
    await eventually(lambda: not any(map(alive, below)))


async def test_an_agent_and_its_spawner_killed_together_are_cleaned_up_by_the_next(
    cluster: Cluster, tmp_path: Path
):
    agent = await cluster.ready()
    pids = tmp_path / "pids"
    async with Leader(agent.address) as leader:
        session = await leader.open(cluster.epoch, agent.instance)
        await session.assign(task_id(), command("sh", "-c", f"echo $$ > {pids}; exec sleep 1000"))
        await eventually(lambda: pids.exists() and pids.read_text().strip())
        (orphan,) = map(int, pids.read_text().split())
        spawner = int(Path(f"/proc/{orphan}/stat").read_text().rpartition(")")[2].split()[1])
        # The spawner is stopped first, so that it cannot do its work.
        os.kill(spawner, signal.SIGSTOP)
        await agent.kill()
        os.kill(spawner, signal.SIGKILL)
    await eventually(lambda: not alive(spawner))
    assert alive(orphan)
    await cluster.ready()
    await eventually(lambda: not alive(orphan))


async def test_an_agent_told_to_stop_finishes_what_runs_and_hands_back_the_rest(
    cluster: Cluster, tmp_path: Path
):
    agent = await cluster.ready()
    go = tmp_path / "go"
    async with Leader(agent.address) as leader:
        session = await leader.open(cluster.epoch, agent.instance)
        running = [task_id(), task_id()]
        for task in running:
            await session.assign(
                task, command("sh", "-c", f"until [ -e {go} ]; do sleep 0.01; done")
            )
            await session.started(task)
        agent.process.send_signal(signal.SIGTERM)
        await session.until(lambda: session.credit == 0)
        late = task_id()
        await session.assign(late, command("true"))
        await session.until(lambda: session.returned(late))
        go.touch()
        for task in running:
            assert (await session.finished(task)).result.exit_code == 0
            await session.acknowledge(task)
        code, _ = await agent.end()
    assert code == 0
    assert await cluster.record() is None


async def test_past_the_grace_a_leaving_agent_hands_back_what_runs(cluster: Cluster):
    agent = await cluster.ready("--drain-grace", "0.2")
    async with Leader(agent.address) as leader:
        session = await leader.open(cluster.epoch, agent.instance)
        task = task_id()
        await session.assign(task, command("sleep", "1000"))
        await session.started(task)
        agent.process.send_signal(signal.SIGTERM)
        assert (await session.finished(task)).handed_back
        await session.acknowledge(task)
        code, _ = await agent.end()
    assert code == 0


async def test_the_record_says_what_the_node_is(cluster: Cluster):
    agent = await cluster.ready(
        "--counters", "gpu=2", "--labels", "zone=a,disk=ssd", "--memory", "1GiB"
    )
    found = await cluster.record()
    assert found is not None
    record, kv = found
    assert (record.name, record.instance, record.address) == ("n1", agent.instance, agent.address)
    assert (record.slots, record.capacity.memory) == (2, 1 << 30)
    assert dict(record.capacity.counters) == {"gpu": 2}
    assert dict(record.labels) == {"zone": "a", "disk": "ssd"}
    assert kv.lease


async def test_a_revoked_lease_ends_nothing_and_the_same_instance_registers_again(
    cluster: Cluster, tmp_path: Path
):
    agent = await cluster.ready()
    pids = tmp_path / "pids"
    async with Leader(agent.address) as leader:
        session = await leader.open(cluster.epoch, agent.instance)
        await session.assign(task_id(), command("sh", "-c", f"echo $$ > {pids}; exec sleep 1000"))
        await eventually(lambda: pids.exists() and pids.read_text().strip())
        found = await cluster.record()
        assert found is not None
        lease = found[1].lease
        await cluster.client.lease_revoke(lease)

        async with asyncio.timeout(PATIENCE):
            while (again := await cluster.record()) is None or again[1].lease == lease:
                await asyncio.sleep(0.01)
        # The loss of a lease is not that of the node: see ADR 11.
        assert again[0].instance == agent.instance
        assert alive(int(pids.read_text()))
        session = await leader.open(cluster.epoch, agent.instance)
        assert (await session.run(command("true"))).result.exit_code == 0
    assert agent.process.poll() is None


async def test_a_restarted_agent_takes_over_the_record_within_the_ttl(cluster: Cluster):
    first = await cluster.ready()
    await first.kill()
    second = await cluster.ready()
    found = await cluster.record()
    assert found is not None
    assert found[0].instance == second.instance
    assert second.instance != first.instance
