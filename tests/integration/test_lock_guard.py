"""The guard of locked test runs: what is locked passes, and each kind of open door is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from quorate.etcd.server.launcher import EtcdProcess
from tests.support.auth import Locked, locked
from tests.support.lock_guard import TRIPWIRE, LockGuard, Started
from tests.support.served import serve


@pytest.fixture(scope="module")
def cluster(etcd_server: EtcdProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with locked(etcd_server.endpoint, tmp_path_factory.mktemp("locked")) as cluster:
        yield cluster


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[LockGuard]:
    with LockGuard(tmp_path) as guard:
        yield guard


def claim(guard: LockGuard, module: str, cluster: Locked, address: str, *, pid: int = 0) -> None:
    """Write down that a service with all the flags of a locked one listens there."""
    leaf = cluster.leaf("scheduler:s1")
    flags = [f"--listen={address}", *leaf.flags, "--auth=mtls,tokens"]
    flags += [f"--auth-tokens-file={cluster.tokens_file}"]
    for prefix in ("etcd", "scheduler-tls"):
        flags += [flag.replace("--tls-", f"--{prefix}-") for flag in leaf.flags]
    line = {"module": module, "pid": pid or os.getpid(), "flags": flags, "plain": ""}
    with guard.record.open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_what_is_locked_passes(guard: LockGuard, cluster: Locked) -> None:
    for address in cluster.schedulers:
        claim(guard, "scheduler", cluster, address)
    claim(guard, "node_agent", cluster, cluster.agent)
    claim(guard, "gateway", cluster, cluster.gateway)
    guard.check()
    proved = {json.loads(line)["shape"].split()[0] for line in open_lines(guard)}
    assert proved == {"scheduler", "node_agent", "gateway"}


def open_lines(guard: LockGuard) -> list[str]:
    return guard.results.read_text().splitlines()


@pytest.mark.parametrize("auth", ["none", "mtls"])
def test_a_scheduler_that_does_not_ask_who_calls_is_an_open_door(
    guard: LockGuard, cluster: Locked, etcd_server: EtcdProcess, auth: str
) -> None:
    """By certificates alone no stranger comes in: that it has no tokens its flags tell."""
    flags = ("--cluster=open", "--name=s1", "--listen=127.0.0.1:0", f"--auth={auth}")
    command = [sys.executable, "-m", "scheduler", f"--etcd={etcd_server.endpoint}", *flags]
    with subprocess.Popen(
        [*command, *cluster.leaf("scheduler:s1").flags], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        address = next(word for word in words if word.startswith("address=")).partition("=")[2]
        try:
            claim(guard, "scheduler", cluster, address)
            if auth == "none":
                said = "GetCluster by client:guard with no token was answered"
                with pytest.raises(AssertionError, match=said):
                    guard.check()
            else:
                guard.check()
        finally:
            process.kill()
    line = {"module": "scheduler", "pid": 1, "flags": command[3:], "plain": ""}
    assert "--auth-tokens-file" in Started.of(json.dumps(line)).open_by_flags


def test_a_plaintext_cluster_is_found_whoever_started_it(
    guard: LockGuard, etcd_server: EtcdProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TRIPWIRE))
    monkeypatch.setenv("QUORATE_TEST_STARTED", str(guard.record))
    with serve(etcd_server.endpoint, nodes=1):
        lines = guard.record.read_text().splitlines()
    assert {Started.of(line).module for line in lines} == {"scheduler", "node_agent"}
    with pytest.raises(AssertionError, match=r"started an open service: (scheduler|node_agent)"):
        guard.check()
    # Each file answers for its own.
    guard.check()


def test_what_ended_before_it_was_proved_is_not_taken_for_locked(
    guard: LockGuard, cluster: Locked
) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    claim(guard, "scheduler", cluster, "127.0.0.1:1", pid=ended.pid)
    with pytest.raises(AssertionError, match="never proved"):
        guard.check()


def test_a_successor_with_the_same_flags_needs_no_proof_of_its_own(
    guard: LockGuard, cluster: Locked
) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    claim(guard, "scheduler", cluster, cluster.schedulers[0])
    claim(guard, "scheduler", cluster, "127.0.0.1:1", pid=ended.pid)
    guard.check()


@pytest.mark.parametrize(("reason", "skipped"), [("refuses to start", True), ("because", False)])
def test_only_what_is_on_the_list_may_be_plaintext(
    guard: LockGuard, reason: str, skipped: bool
) -> None:
    line = {"module": "scheduler", "pid": os.getpid(), "flags": [], "plain": reason}
    guard.record.write_text(json.dumps(line) + "\n")
    if skipped:
        guard.check()
    else:
        with pytest.raises(AssertionError, match="open service"):
            guard.check()
