"""Agents as processes, registered in a real etcd: started, killed, told to leave, replaced."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from quorate.etcd.api import KeyValue, Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import NodeRecord
from tests.support.agent import Leader, command, eventually, python, task_id

PATIENCE = 30.0


class Cluster:
    """Starts agents of one cluster, and reads their records."""

    def __init__(self, server: EtcdProcess, client: EtcdClient, name: str, folder: Path) -> None:
        self.client = client
        self._server = server
        self._name = name
        self._folder = folder
        self._agents: list[AgentProcess] = []

    async def start(self, *flags: str, name: str = "n1", data: str = "") -> AgentProcess:
        said = self._folder / f"said-{len(self._agents)}"
        with said.open("wb") as error:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "node_agent", "--name", name, "--cluster", self._name),
                *(
                    "--etcd",
                    self._server.endpoint,
                    "--data-dir",
                    str(self._folder / (data or name)),
                ),
                *("--slots", "2", "--lease-ttl", "2", *flags),
                stdout=asyncio.subprocess.PIPE,
                stderr=error,
            )
        agent = AgentProcess(process, said)
        self._agents.append(agent)
        return agent

    async def ready(self, *flags: str, name: str = "n1", data: str = "") -> AgentProcess:
        agent = await self.start(*flags, name=name, data=data)
        await agent.until_ready()
        return agent

    async def record(self, name: str = "n1") -> tuple[NodeRecord, KeyValue] | None:
        found = await self.client.range(Range(f"/quorate/{self._name}/nodes/{name}".encode()))
        for kv in found.kvs:
            return NodeRecord.FromString(kv.value), kv
        return None

    async def close(self) -> None:
        for agent in self._agents:
            if agent.process.returncode is None:
                agent.process.kill()
            await agent.process.communicate()


class AgentProcess:
    """One agent's process."""

    def __init__(self, process: asyncio.subprocess.Process, said: Path) -> None:
        self.process = process
        self._said = said
        self.address = ""
        self.instance = ""

    async def until_ready(self) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = (await self.process.stdout.readline()).decode()
        assert line.startswith("node_agent ready name="), line
        fields = dict(word.split("=", 1) for word in line.split()[2:])
        self.address, self.instance = fields["address"], fields["instance"]

    async def end(self) -> tuple[int, str]:
        """Exit code and the last line it said."""
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
        return code, self._said.read_text().strip().splitlines()[-1]


@pytest_asyncio.fixture
async def cluster(
    etcd_server: EtcdProcess, etcd_client: EtcdClient, key_prefix: bytes, tmp_path: Path
) -> AsyncIterator[Cluster]:
    name = "agents" + key_prefix.decode().replace("/", "-").rstrip("-")
    cluster = Cluster(etcd_server, etcd_client, name, tmp_path)
    yield cluster
    await cluster.close()


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
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
        session = await leader.open(instance=agent.instance)
        tasks = [task_id(), task_id()]
        await session.assign(tasks[0], command("sh", "-c", script))
        code = f"__import__('os').system('echo $$ >> {pids}; sleep 1000; true')"
        await session.assign(tasks[1], python("builtins:eval", code))
        await eventually(lambda: pids.exists() and len(pids.read_text().split()) == 4)
        below = descendants(agent.process.pid)
        started = {int(word) for word in pids.read_text().split()}
        assert started <= below
        assert len(below) >= 7
        agent.process.kill()
        await agent.process.wait()
    await eventually(lambda: not any(map(alive, below)))


async def test_an_agent_and_its_spawner_killed_together_are_cleaned_up_by_the_next(
    cluster: Cluster, tmp_path: Path
):
    agent = await cluster.ready()
    pids = tmp_path / "pids"
    async with Leader(agent.address) as leader:
        session = await leader.open(instance=agent.instance)
        await session.assign(task_id(), command("sh", "-c", f"echo $$ > {pids}; exec sleep 1000"))
        await eventually(lambda: pids.exists() and pids.read_text().strip())
        (orphan,) = map(int, pids.read_text().split())
        spawner = int(Path(f"/proc/{orphan}/stat").read_text().rpartition(")")[2].split()[1])
        # The spawner is stopped first, so that it cannot do its work.
        os.kill(spawner, signal.SIGSTOP)
        agent.process.kill()
        await agent.process.wait()
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
        session = await leader.open(instance=agent.instance)
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
        session = await leader.open(instance=agent.instance)
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


async def test_a_revoked_lease_ends_everything_and_registers_a_new_instance(
    cluster: Cluster, tmp_path: Path
):
    agent = await cluster.ready()
    pids = tmp_path / "pids"
    async with Leader(agent.address) as leader:
        session = await leader.open(instance=agent.instance)
        await session.assign(task_id(), command("sh", "-c", f"echo $$ > {pids}; exec sleep 1000"))
        await eventually(lambda: pids.exists() and pids.read_text().strip())
        found = await cluster.record()
        assert found is not None
        await cluster.client.lease_revoke(found[1].lease)
        await eventually(lambda: not alive(int(pids.read_text())))

        async def fresh() -> str:
            async with asyncio.timeout(PATIENCE):
                while True:
                    again = await cluster.record()
                    if again is not None and again[0].instance != agent.instance:
                        return again[0].instance
                    await asyncio.sleep(0.01)

        instance = await fresh()
        session = await leader.open(epoch=2, instance=instance)
        assert (await session.run(command("true"))).result.exit_code == 0
    assert agent.process.returncode is None


async def test_an_agent_whose_name_is_taken_by_another_ends_with_one_sentence(cluster: Cluster):
    first = await cluster.ready()
    second = await cluster.ready(data="elsewhere")
    code, said = await first.end()
    assert code == 1
    assert said.startswith("node_agent: another agent registered as node 'n1'")
    found = await cluster.record()
    assert found is not None
    assert found[0].instance == second.instance


async def test_a_restarted_agent_takes_over_the_record_within_the_ttl(cluster: Cluster):
    first = await cluster.ready()
    first.process.kill()
    await first.process.wait()
    second = await cluster.ready()
    found = await cluster.record()
    assert found is not None
    assert found[0].instance == second.instance
    assert second.instance != first.instance


async def test_a_data_directory_in_use_is_refused_with_one_sentence(cluster: Cluster):
    await cluster.ready()
    other = await cluster.start(name="n2", data="n1")
    code, said = await other.end()
    assert code == 1
    assert "is in use by another agent" in said


async def test_a_port_in_use_is_refused_with_one_sentence(cluster: Cluster):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = await (await cluster.start("--listen", address)).end()
    assert code == 1
    assert said == f"node_agent: cannot listen on {address}: the port is in use or not ours"


async def test_an_address_others_can_reach_needs_insecure(cluster: Cluster):
    code, said = await (await cluster.start("--listen", "0.0.0.0:0")).end()
    assert code == 2
    assert "--insecure" in said


async def test_wrong_settings_are_refused_with_the_name_of_the_flag(cluster: Cluster):
    for flags, name in (
        (("--slots", "-1"), "--slots"),
        (("--listen", "nowhere"), "--listen"),
        (("--counters", "gpu"), "--counters"),
        (("--lease-ttl", "1"), "--lease-ttl"),
        (("--name", "N 1"), "--name"),
    ):
        code, said = await (await cluster.start(*flags)).end()
        assert code == 2
        assert said.startswith(f"node_agent: {name}: ")
