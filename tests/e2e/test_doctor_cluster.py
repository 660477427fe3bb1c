"""`quorate doctor` on a cluster that is well, and on one that is not."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quorate.cli.app import run
from quorate.client.transport.discovery import LocalCluster
from quorate.etcd.api import EtcdNoSpace, Range, prefix_end
from quorate.etcd.client import EtcdClient
from quorate.local.plan import LocalPlan
from quorate.runtime.network.free_port import free_port
from tests.support import tls
from tests.support.local import environment_of, open_etcd_of, running
from tests.support.small_disk import mend, spoil


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    folder = tmp_path_factory.mktemp("doctor") / "cluster"
    plan = LocalPlan(data_dir=folder, nodes=1, gateway=True, secure=tls.ON)
    with running(plan) as local:
        yield local


Doctor = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def doctor(
    local: LocalCluster, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Doctor:
    """Exit code and findings. How fast this machine's disk is today is no test's business."""
    monkeypatch.setattr("quorate.doctor.etcd_checks.SLOW_PUT", 10.0)
    monkeypatch.setattr("quorate.doctor.etcd_checks.TOO_SLOW_PUT", 10.0)
    for name in ("QUORATE_ADDRESS", "QUORATE_ETCD"):
        monkeypatch.delenv(name, raising=False)
    # For those that are named by address.
    for name, value in environment_of(local).items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
        capsys.readouterr()
        code = run(["doctor", "--json", *arguments])
        return code, json.loads(capsys.readouterr().out)["findings"]

    return call


def bad(findings: list[dict[str, Any]]) -> list[str]:
    return [f"{one['subject']}: {one['text']}" for one in findings if one["level"] != "ok"]


def test_a_cluster_that_is_well(local: LocalCluster, doctor: Doctor) -> None:
    code, findings = doctor("--data-dir", local.data_dir)
    assert code == 0, bad(findings)
    subjects = {one["subject"] for one in findings}
    addresses = {f"scheduler {address}" for address in local.addresses}
    assert subjects >= {"etcd", "schedulers", "nodes", "s1", "s2", "n1", "gateway", *addresses}
    assert any("(p99)" in one["text"] for one in findings)


def test_for_people_it_prints_lines(
    local: LocalCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["doctor", "--data-dir", local.data_dir])
    assert "is the leader" in capsys.readouterr().out


async def test_it_leaves_nothing_behind_in_etcd(local: LocalCluster) -> None:
    async with open_etcd_of(local) as client:
        start = b"/quorate-doctor/"
        found = await client.range(Range(start, prefix_end(start)))
    assert not found.kvs


def test_a_cordoned_node_leaves_nobody_to_work(local: LocalCluster, doctor: Doctor) -> None:
    assert run(["cordon", "n1", "--data-dir", local.data_dir]) == 0
    try:
        code, findings = doctor("--data-dir", local.data_dir)
    finally:
        assert run(["uncordon", "n1", "--data-dir", local.data_dir]) == 0
    assert code == 2
    (error,) = [one for one in findings if one["level"] == "error"]
    assert (error["subject"], error["text"]) == ("nodes", "none of 1 takes work")
    assert "uncordon" in error["advice"]


def test_tasks_that_fit_no_node_are_warned_of_by_what_they_lack(
    local: LocalCluster, doctor: Doctor
) -> None:
    where = ("--data-dir", local.data_dir)
    flags = (("--memory", "900G"), ("--cpu", "1000"), ("--resource", "gpu=1"), ("--label", "a=b"))
    assert run(["queue", "create", "unplaceable", *where]) == 0
    try:
        for flag in flags:
            words = ["submit", *where, "--queue", "unplaceable", *flag, "--", "true"]
            assert run(words) == 0
        code, findings = doctor(*where)
    finally:
        cancel = ["cancel", *where, "--queue", "unplaceable", "--state", "pending", "--yes"]
        assert run(cancel) == 0
    assert code == 1
    texts = [one["text"] for one in findings if one["subject"] == "tasks"]
    for lacks in ("900 GiB of memory", "1000 cores", "1 gpu"):
        assert sum(f"no node has {lacks} (the most is" in text for text in texts) == 1
    # Labels are for people: no node is chosen by them.
    assert len(texts) == 3
    code, findings = doctor(*where)
    assert code == 0, bad(findings)


def test_a_node_that_cannot_write_is_named_with_the_reason(
    local: LocalCluster, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(local.data_dir) / "n1"

    def nodes() -> tuple[str, str]:
        capsys.readouterr()
        assert run(["nodes", "--data-dir", local.data_dir]) == 0
        said = capsys.readouterr()
        return said.out, said.err

    def until(word: str) -> None:
        end = time.monotonic() + 60
        while word not in nodes()[0]:
            assert time.monotonic() < end, nodes()
            time.sleep(0.2)

    spoil(data)
    try:
        until("UNWRITABLE")
        assert "n1 cannot write to its disk (Is a directory) and takes no work." in nodes()[1]
        capsys.readouterr()
        assert run(["submit", "--data-dir", local.data_dir, "--", "true"]) == 0
        task = capsys.readouterr().out.strip()
        assert run(["task", task, "--data-dir", local.data_dir]) == 0
        assert "node n1 cannot write to its disk" in capsys.readouterr().out
        code, findings = doctor("--data-dir", local.data_dir)
    finally:
        mend(data)
    assert code == 2
    assert "nodes: none of 1 takes work" in bad(findings)
    why = "cannot write to the disk and take no work: n1: Is a directory"
    assert f"nodes: {why}" in bad(findings)
    assert any(task in said and "cannot start on any node" in said for said in bad(findings))
    until("READY")
    assert run(["wait", task, "--data-dir", local.data_dir]) == 0


def test_processes_that_do_not_answer_are_errors_with_advice(
    local: LocalCluster, doctor: Doctor
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    code, findings = doctor(
        *("--schedulers", f"{local.addresses[0]},{nowhere}"),
        *("--etcd", nowhere, "--health", nowhere),
    )
    errors = [one for one in findings if one["level"] == "error"]
    assert code == 2
    assert {one["subject"] for one in errors} == {
        f"scheduler {nowhere}",
        f"etcd {nowhere}",
        nowhere,
    }
    assert all(one["advice"] for one in errors)
    # The other scheduler is found by the one that was named.
    assert f"scheduler {local.addresses[1]}" in {one["subject"] for one in findings}


def test_a_process_that_is_stopped_is_found_by_its_health(
    local: LocalCluster, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quorate.doctor.process_checks._TIMEOUT", 0.3)
    node = next(one for one in local.processes if one.name == "n1")
    os.kill(node.pid, signal.SIGSTOP)
    try:
        code, findings = doctor("--health", node.health)
    finally:
        os.kill(node.pid, signal.SIGCONT)
    assert code == 2
    assert "does not answer" in findings[0]["text"]


def test_a_frozen_node_is_lost_named_and_dismissed_and_comes_back(
    local: LocalCluster, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--data-dir", local.data_dir)

    def said(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run([*arguments, *where]) == code
        found = capsys.readouterr()
        return found.out + found.err

    def until(command: str, text: str) -> None:
        end = time.monotonic() + 60
        while text not in said(command):
            assert time.monotonic() < end, said(command)
            time.sleep(0.2)

    node = next(one for one in local.processes if one.name == "n1")
    assert "not lost" in said("node", "dismiss", "n1", code=5)
    os.kill(node.pid, signal.SIGSTOP)
    try:
        until("nodes", "LOST")
        assert "its lease ended" in said("nodes")
        assert "; 1 lost" in said("status")
        # Within a second: the verdict is made once a second.
        until("status", "Node n1 is lost: its lease ended.")
        findings = doctor(*where)[1]
        assert any(one.startswith("node n1: is lost: ") for one in bad(findings))
        assert said("node", "dismiss", "n1") == "n1 dismissed\n"
        assert "LOST" not in said("nodes")
    finally:
        os.kill(node.pid, signal.SIGCONT)
    until("nodes", "READY")
    assert "LOST" not in said("nodes")
    until("status", "All is well.")


def test_without_a_cluster_it_says_so(tmp_path: Path, doctor: Doctor) -> None:
    code, findings = doctor("--data-dir", str(tmp_path))
    assert code == 2
    assert "no cluster is running" in findings[0]["text"]


async def fill(client: EtcdClient) -> None:
    for number in range(50):
        await client.put(b"full/%d" % number, bytes(500_000))


async def test_etcd_out_of_space_is_an_error(
    own_etcd, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await own_etcd(quota_bytes=2 << 20)
    for name, value in tls.etcd_environment().items():
        monkeypatch.setenv(name, value)
    async with tls.open_etcd(server.endpoint) as client:
        with pytest.raises(EtcdNoSpace):
            await fill(client)
    results: list[tuple[int, list[dict[str, Any]]]] = []
    # The command runs an event loop of its own.
    thread = threading.Thread(target=lambda: results.append(doctor("--etcd", server.endpoint)))
    thread.start()
    end = time.monotonic() + 60
    while thread.is_alive() and time.monotonic() < end:
        thread.join(0.1)
    ((code, findings),) = results
    assert code == 2
    alarm = next(one for one in findings if "NOSPACE" in one["text"])
    assert "defragment" in alarm["advice"]
    assert any("a write failed" in one["text"] for one in findings)
    # One member, and not a local cluster's.
    assert any(one["level"] == "warning" and "one member" in one["text"] for one in findings)


def test_with_etcd_named_the_schedulers_of_the_environment_are_looked_at_too(
    local: LocalCluster, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = next(one.address for one in local.processes if one.role == "etcd")
    monkeypatch.setenv("QUORATE_ADDRESS", ",".join(local.addresses))
    _, findings = doctor("--etcd", store)
    assert "schedulers" in {one["subject"] for one in findings}
    monkeypatch.delenv("QUORATE_ADDRESS")
    _, findings = doctor("--etcd", store)
    assert "schedulers" not in {one["subject"] for one in findings}
