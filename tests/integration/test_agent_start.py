"""How an agent starts: refusals in one sentence, and what its flags give to tasks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from node_agent.task.user import find_user
from quorate.etcd.client import EtcdClient
from quorate.etcd.server.launcher import EtcdProcess
from quorate.internal.v1.records_pb2 import NodeRecord
from quorate.v1 import task_pb2
from tests.support.agent import Leader, command, python, task_id
from tests.support.agent_processes import Cluster
from tests.support.confined import open_folder

CHECKOUT = Path(__file__).resolve().parents[2]


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
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


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
    cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    user = find_user("nobody") if os.geteuid() == 0 else find_user(str(os.geteuid()))
    if user.can_enter(Path(sys.executable).resolve().parent) is not None:
        # Root's own interpreter may be in root's home: Debian's, with our packages.
        cluster.python = "/usr/bin/python3"
        ours = [str(CHECKOUT), *(path for path in sys.path if path.endswith("site-packages"))]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(ours))
    flags, data = ("--task-user", user.name), str(folder / "node")
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
