"""`quorate up` with real processes: what runs, what is restarted, what is left behind."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import pytest

from quorate import __version__
from quorate.client.client import Client
from quorate.client.transport.discovery import read_local_cluster
from quorate.local import background
from quorate.local.plan import LocalPlan
from quorate.local.supervisor import Supervisor
from quorate.runtime.errors import QuorateError
from tests.support import forked, tls
from tests.support.fake_scheduler import wait_until
from tests.support.forked import run, run_from_scratch
from tests.support.local import start_loaded
from tools.gateway_http import ask

QUORATE = [sys.executable, "-m", "quorate"]


quorate = partial(run, "quorate", NO_COLOR="1")
installed = partial(run_from_scratch, "quorate", NO_COLOR="1")
"""The command as users have it: for the one test that goes through a cluster's whole life."""


def processes_of(folder: Path) -> list[psutil.Process]:
    """Everything that has the folder on its command line, or its errors in a file there."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = [*(process.info["cmdline"] or ())]
        with contextlib.suppress(OSError):
            words.append(os.readlink(f"/proc/{process.pid}/fd/2"))
        if any(str(folder) in word for word in words):
            found.append(process)
    return found


def children_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def gone(processes) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


@pytest.fixture
def ended():
    """What is left to do when everything has ended."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def folder(tmp_path, ended):
    """A data dir; whatever runs in it afterwards is a failure, and is killed."""
    data_dir = tmp_path / "data"
    yield data_dir
    quorate("down", "--data-dir", str(data_dir))
    left = processes_of(data_dir)
    for process in left:
        process.kill()
    assert not left


@pytest.fixture
def start_soon(folder, ended):
    """Starts what `up --detach --nodes N` does, with processes that need no time to load."""

    def call(nodes):
        plan = LocalPlan(data_dir=folder, nodes=nodes, gateway=True, secure=tls.ON)
        return background.start(plan) if forked.watched() else start_loaded(plan, ended)

    return call


def start(folder, *arguments, command=quorate):
    done = command("up", "--detach", "--data-dir", str(folder), *arguments)
    assert done.code == 0, done.err
    found = read_local_cluster(folder)
    assert found is not None
    return found


def test_a_cluster_in_the_background_works_and_down_leaves_nothing(folder):
    cluster = start(folder, "--nodes", "2", "--slots", "2", "--amqp", command=installed)
    assert [p.name for p in cluster.processes] == ["etcd", "s1", "s2", "n1", "n2", "gateway"]
    assert cluster.ready
    everything = [psutil.Process(cluster.supervisor), *children_of(cluster.supervisor)]
    at = ("--data-dir", str(folder))
    assert installed("submit", *at, "--wait", "--", "echo", "hello").out == "hello\n"
    assert installed("call", *at, "math:hypot", "[3, 4]").out == "5.0\n"
    with ask(cluster, "v1/cluster") as answer:
        assert json.load(answer)["cluster"]["nodes"] == 2
    status = installed("status", *at)
    assert cluster.dashboard in status.out
    assert cluster.amqp in status.out
    assert cluster.amqp_management in status.out
    assert "2 of 2 ready, 0 of 4 slots busy" in status.out
    processes = json.loads(installed("status", *at, "--json").out)["processes"]
    assert [p["name"] for p in processes] == [p.name for p in cluster.processes]
    roles = [p["role"] for p in processes]
    assert sorted(roles[1:3]) == ["leader", "standby"]
    assert [roles[0], *roles[3:]] == ["etcd", "node", "node", "gateway"]
    assert [p["leader"] for p in processes] == [role == "leader" for role in roles]
    for shown, started in zip(processes, cluster.processes, strict=True):
        assert (shown["pid"], shown["address"]) == (started.pid, started.address)
        assert (shown["state"], shown["restarts"]) == ("running", 0)
        # The same in the table.
        assert f"{shown['pid']}" in status.out
    # A gateway is none of the cluster's members: nobody asks it.
    assert [p["version"] for p in processes[1:5]] == [__version__] * 4
    assert processes[0]["version"].startswith("3.")
    assert installed("down", *at).code == 0
    assert gone(everything)
    assert read_local_cluster(folder) is None
    assert installed("tasks", *at).code == 4


def test_tasks_survive_a_stop_of_the_whole_cluster(folder, start_soon):
    first = start_soon(1)
    at = ("--data-dir", str(folder))
    done = quorate("submit", *at, "--wait", "--json", "--", "true")
    assert done.code == 0
    before = quorate("tasks", *at, "--json").out
    quorate("down", *at)
    again = start_soon(1)
    assert again.addresses == first.addresses
    assert quorate("tasks", *at, "--json").out == before


def test_whatever_is_killed_comes_back_under_its_name_and_port(folder, start_soon):
    cluster = start_soon(2)
    for victim in ("s1", "n1", "etcd", "gateway"):
        before = next(p for p in cluster.processes if p.name == victim)
        os.kill(before.pid, signal.SIGKILL)

        def back(victim=victim, before=before):
            found = read_local_cluster(folder)
            assert found is not None
            now = next(p for p in found.processes if p.name == victim)
            same = now.address == before.address
            return now.state == "running" and now.pid not in (0, before.pid) and same

        wait_until(back, 30)
    with Client(data_dir=folder, retry_for=30) as client:
        assert client.submit(pow, 2, 10).result(30) == 1024


def test_a_full_disk_under_its_logs_and_its_description_does_not_take_it_down(folder):
    logs = folder / "logs"
    logs.mkdir(parents=True)
    for name in ("s1", "s2", "n1", "gateway"):
        (logs / f"{name}.log").symlink_to("/dev/full")
    cluster = start(folder, "--nodes", "1")
    at = ("--data-dir", str(folder))
    assert quorate("submit", *at, "--wait", "--", "echo", "hello").out == "hello\n"
    # As on a full disk: cluster.json cannot be written.
    in_the_way = folder / "cluster.new"
    in_the_way.mkdir()
    before = next(p for p in cluster.processes if p.name == "n1")
    os.kill(before.pid, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(before.pid), 30)
    assert quorate("submit", *at, "--wait", "--", "echo", "again").out == "again\n"
    assert psutil.pid_exists(cluster.supervisor)
    in_the_way.rmdir()

    def told():
        found = read_local_cluster(folder)
        assert found is not None
        now = next(p for p in found.processes if p.name == "n1")
        return now.state == "running" and now.pid not in (0, before.pid)

    wait_until(told, 30)


def test_a_supervisor_that_is_killed_leaves_nothing_running(folder, start_soon):
    cluster = start_soon(1)
    at = ("--data-dir", str(folder))
    quorate("submit", *at, "--", "sleep", "300")
    with Client(data_dir=folder) as client:
        wait_until(lambda: any(client.tasks(states=["running"])))
    everything = children_of(cluster.supervisor)
    assert len(everything) > 4
    os.kill(cluster.supervisor, signal.SIGKILL)
    wait_until(lambda: gone(everything), 15)
    assert quorate("tasks", *at).code == 4


def test_ctrl_c_stops_everything(folder):
    process = subprocess.Popen(
        [*QUORATE, "up", "--data-dir", str(folder), "--nodes", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            lines: list[str] = []
            assert process.stdout is not None
            assert process.stderr is not None
            while not any(line.startswith("ready ") for line in lines):
                lines.append(process.stdout.readline())
                assert lines[-1], process.stderr.read()
            everything = children_of(process.pid)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, out + err
    assert "Traceback" not in err
    assert gone(everything)


def test_ctrl_c_while_starting_stops_everything(folder):
    process = subprocess.Popen(
        [*QUORATE, "up", "--data-dir", str(folder), "--nodes", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert not processes_of(folder)


def test_what_cannot_be_run_is_one_sentence_and_exit_code_1(folder, start_soon, tmp_path):
    cluster = start_soon(1)
    refused = quorate("up", "--data-dir", str(folder))
    assert refused.code == 1
    assert refused.err.count("\n") == 1
    assert f"process {cluster.supervisor}" in refused.err
    quorate("down", "--data-dir", str(folder))
    # Another cluster's data dir.
    refused = quorate("up", "--data-dir", str(folder), "--cluster", "other")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "'local'" in refused.err
    # No etcd.
    refused = quorate("up", "--data-dir", str(tmp_path / "x"), QUORATE_ETCD_BIN="/no/etcd")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "/no/etcd" in refused.err
    # An etcd that loses writes.
    unsafe = tmp_path / "etcd"
    unsafe.write_text("#!/bin/sh\necho 'etcd Version: 3.5.1'\n")
    unsafe.chmod(0o755)
    refused = quorate("up", "-d", "--data-dir", str(tmp_path / "y"), QUORATE_ETCD_BIN=str(unsafe))
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "3.5.1" in refused.err


def test_a_service_that_cannot_start_is_named_with_its_last_words(tmp_path):
    broken = (sys.executable, "-c", "import sys; sys.exit('the disk is on fire')")
    plan = LocalPlan(data_dir=tmp_path / "d", nodes=1, node_command=broken, secure=tls.ON)
    began = time.monotonic()
    with pytest.raises(QuorateError, match=r"n1 did not start: the disk is on fire"):
        asyncio.run(Supervisor(plan, lambda cluster: None).run())
    assert time.monotonic() - began < 30
    assert not processes_of(tmp_path / "d")
