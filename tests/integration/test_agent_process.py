"""Agents as processes, registered in a real etcd: started, killed, told to leave, replaced.

They are forks of a process that has imported the agent (`tests.support.forked`), but for those of
another interpreter.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest
import pytest_asyncio

from node_agent.task.user import find_user
from quorate.etcd.api import KeyValue, Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.v1 import task_pb2
from tests.support import forked
from tests.support.agent import Leader, command, eventually, python, task_id

PATIENCE = 30.0
CHECKOUT = Path(__file__).resolve().parents[2]


class Cluster:
    """Starts agents of one cluster, and reads their records."""

    def __init__(self, server: EtcdProcess, client: EtcdClient, name: str, folder: Path) -> None:
        self.client = client
        self._server = server
        self._name = name
        self._folder = folder
        self._agents: list[AgentProcess] = []
        # The interpreter of agents started from now on, when it is not ours.
        self.python = ""
        self.epoch = 0

    async def start(self, *flags: str, name: str = "n1", data: str = "") -> AgentProcess:
        said = self._folder / f"said-{len(self._agents)}"
        given = (
            *("--name", name, "--cluster", self._name, "--etcd", self._server.endpoint),
            *("--data-dir", str(self._folder / (data or name))),
            *("--slots", "2", "--lease-ttl", "2", *flags),
        )
        with said.open("wb") as error:
            started = await asyncio.to_thread(self._start, given, error.fileno())
        agent = AgentProcess(*started, said)
        self._agents.append(agent)
        return agent

    def _start(self, flags: Sequence[str], error: int) -> tuple[forked.Running, IO[str]]:
        if not self.python:
            return forked.start_piped("node_agent", *flags, error=error)
        command = (self.python, "-m", "node_agent", *flags)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=error)
        assert process.stdout is not None
        return process, io.TextIOWrapper(process.stdout)

    async def ready(self, *flags: str, name: str = "n1", data: str = "") -> AgentProcess:
        agent = await self.start(*flags, name=name, data=data)
        await agent.until_ready()
        return agent

    async def elect(self) -> None:
        """Have etcd name the tests as the leader, of `epoch`."""
        key = f"/quorate/{self._name}/election/scheduler/1".encode()
        self.epoch = await self.client.put(key, b"")

    async def record(self, name: str = "n1") -> tuple[NodeRecord, KeyValue] | None:
        found = await self.client.range(Range(f"/quorate/{self._name}/nodes/{name}".encode()))
        for kv in found.kvs:
            return NodeRecord.FromString(kv.value), kv
        return None

    async def close(self) -> None:
        for agent in self._agents:
            await agent.kill()
            agent.output.close()


class AgentProcess:
    """One agent's process."""

    def __init__(self, process: forked.Running, output: IO[str], said: Path) -> None:
        self.process = process
        self.output = output
        self.said = said
        self.address = ""
        self.instance = ""

    async def until_ready(self) -> None:
        line = await asyncio.to_thread(self.output.readline)
        assert line.startswith("node_agent ready name="), line
        fields = dict(word.split("=", 1) for word in line.split()[2:])
        self.address, self.instance = fields["address"], fields["instance"]

    async def end(self) -> tuple[int, str]:
        """Exit code and the last line it said."""
        code = await asyncio.to_thread(self.process.wait, PATIENCE)
        return code, self.said.read_text().strip().splitlines()[-1]

    async def kill(self) -> None:
        """It is gone when this returns."""
        self.process.kill()
        await asyncio.to_thread(self.process.wait, PATIENCE)


@pytest_asyncio.fixture
async def cluster(
    etcd_server: EtcdProcess, etcd_client: EtcdClient, key_prefix: bytes, tmp_path: Path
) -> AsyncIterator[Cluster]:
    name = "agents" + key_prefix.decode().replace("/", "-").rstrip("-")
    cluster = Cluster(etcd_server, etcd_client, name, tmp_path)
    await cluster.elect()
    yield cluster
    await cluster.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users reach, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        folder.chmod(0o711)
        yield folder


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


async def test_an_agent_whose_record_is_overwritten_ends_with_one_sentence(cluster: Cluster):
    agent = await cluster.ready()
    found = await cluster.record()
    assert found is not None
    other = NodeRecord(name="n1", instance="other", address="127.0.0.1:1")
    await cluster.client.put(found[1].key, other.SerializeToString())
    code, said = await agent.end()
    assert code == 1
    assert said.startswith("node_agent: another agent registered as node 'n1'")
    assert (await cluster.record() or found)[0].instance == "other"


async def test_the_name_of_a_living_agent_is_refused_with_one_sentence(cluster: Cluster):
    first = await cluster.ready()
    second = await cluster.start(data="elsewhere")
    code, said = await second.end()
    assert code == 1
    assert said.startswith(f"node_agent: another agent runs as node 'n1' (at {first.address})")
    assert "--name" in said
    found = await cluster.record()
    assert found is not None
    assert found[0].instance == first.instance
    assert first.process.poll() is None


async def test_a_restarted_agent_takes_over_the_record_within_the_ttl(cluster: Cluster):
    first = await cluster.ready()
    await first.kill()
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
    assert (
        said
        == f"node_agent: cannot listen on {address}: the port is in use, or the address is not "
        "one of this machine"
    )


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


async def test_flags_say_what_tasks_get_of_the_agents_environment(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("SHOWN_A", "HIDDEN", "LENT"):
        monkeypatch.setenv(name, f"value of {name}")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "pw").write_text("hunter2\n")
    agent = await cluster.ready(
        *("--task-env", "PATH,SHOWN_*,PYTHON*", "--secret-env", "LEN?"),
        *("--secrets-dir", str(tmp_path / "secrets"), "--task-cgroups", "off"),
        "--task-new-privileges",
    )
    script = 'echo "$SHOWN_A,$HIDDEN,$LENT,$PW,$KEY"; grep NoNewPrivs /proc/self/status'
    refs = {"PW": task_pb2.SecretRef(file="pw"), "KEY": task_pb2.SecretRef(env="LENT")}
    async with Leader(agent.address) as leader:
        session = await leader.open(cluster.epoch, agent.instance)
        task = task_id()
        await session.assign(task, command("sh", "-c", script, secrets=refs))
        assert (await session.finished(task)).WhichOneof("outcome") == "result"
        said = (await leader.logs(task))["stdout"].decode()
    assert said == "value of SHOWN_A,,,hunter2,value of LENT\nNoNewPrivs:\t0\n"
    # Neither on disk nor in what the agent said.
    kept = [path.read_bytes() for path in (tmp_path / "n1").rglob("*") if path.is_file()]
    kept.append(agent.said.read_bytes())
    assert [b"hunter2" in data for data in kept].count(True) == 1  # the task's own output


async def test_tasks_are_the_users_who_is_named(
    cluster: Cluster, open_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    user = find_user("nobody") if os.geteuid() == 0 else find_user(str(os.geteuid()))
    if user.can_enter(Path(sys.executable).resolve().parent) is not None:
        # Root's own interpreter may be in root's home: Debian's, with our packages.
        cluster.python = "/usr/bin/python3"
        ours = [str(CHECKOUT), *(path for path in sys.path if path.endswith("site-packages"))]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(ours))
    flags, data = ("--task-user", user.name), str(open_folder / "node")
    if user.can_enter(CHECKOUT) is not None:
        code, said = await (await cluster.start(*flags, data=data)).end()
        assert (code, "cannot enter" in said) == (1, True)
        return
    agent = await cluster.ready(*flags, data=data)
    async with Leader(agent.address) as leader:
        session = await leader.open(cluster.epoch, agent.instance)
        report = await session.run(python("os:getuid"))
        assert report.result.json == str(user.uid)
        task = task_id()
        await session.assign(task, command("sh", "-c", "id -u; pwd; touch here"))
        assert (await session.finished(task)).WhichOneof("outcome") == "result"
        assert (await leader.logs(task))["stdout"].decode().split()[0] == str(user.uid)


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--task-user", "no-such-user"), 2, "--task-user: "),
        (("--task-pids", "-1"), 2, "--task-pids: "),
        (("--task-env", "A=B"), 2, "--task-env: "),
        (("--secret-env", "A B"), 2, "--secret-env: "),
        (("--task-cgroups", "yes"), 2, "--task-cgroups: "),
        (("--secrets-dir", "/no/such/directory"), 1, "--secrets-dir: /no/such/directory is not"),
        # Of root: it cannot enter pytest's folder. Of another: that one cannot become it.
        (("--task-user", "3999999999"), 1, "--task-user: "),
    ],
)
async def test_terms_that_the_agent_cannot_keep_are_refused(
    cluster: Cluster, flags: tuple[str, ...], code: int, said: str
):
    agent = await cluster.start(*flags)
    found, sentence = await agent.end()
    assert found == code
    assert f"node_agent: {said}" in sentence


def test_an_agents_memory_and_environment_are_its_own() -> None:
    """PR_GET_DUMPABLE is 0: /proc/<pid>/environ and mem are root's, and ptrace(2) is refused."""
    script = (
        "import ctypes; from node_agent.main import keep_private; keep_private(); "
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"0\n"
