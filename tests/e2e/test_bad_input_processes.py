"""Processes that cannot start say why in one sentence, end with an error, and change nothing.

Most are forks of a process that has imported the program: see `tests.support.forked`.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from aetcd import rpc

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.server.launcher import EtcdProcess
from quorate.runtime.network.free_port import free_port
from tests.support.forked import Ended, run, run_from_scratch
from tests.support.served import serve
from tests.support.tls import etcd_flags, open_etcd

ROOT = Path(__file__).parents[2]
SECONDS = 60
_LOG = re.compile(r"[EWI]\d{4} \S+ +\d+ \S+\.cc:\d+\] |\{.*\}$")


def quorate(*words: str, **environment: str) -> Ended:
    return run("quorate", *words, **environment)


# What the tests' clients are told about TLS is not for the processes that are started here, none of
# which comes to serve anybody (see `tests.support.lock_guard`).
REFUSES = {f"QUORATE_TLS_{name}_FILE": "" for name in ("CA", "CERT", "KEY")} | {
    "QUORATE_TEST_PLAIN": "refuses to start"
}


def agent(*flags: str) -> Ended:
    return run("node_agent", *flags, **REFUSES)


def scheduler(*flags: str) -> Ended:
    return run("scheduler", *flags, **REFUSES)


def sentence(result: Ended, *words: str, code: int = 1) -> str:
    """The one line on standard error, which holds `words`; no traceback anywhere.

    Logs do not count: the process's own (an agent tells on what terms tasks will run), and gRPC's,
    in which a port that cannot be had is an error.
    """
    status, out, err = result
    assert status == code, (status, err)
    assert "Traceback" not in out + err
    lines = [line for line in err.splitlines() if line.strip() and not _LOG.match(line)]
    said = lines[-1]
    assert len(lines) == 1, lines
    for word in words:
        assert word in said
    return said


@contextmanager
def listening() -> Iterator[int]:
    """A port that somebody else uses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@contextmanager
def etcd_of_version(version: str) -> Iterator[tuple[str, list[str]]]:
    """A server that says it is such an etcd; its endpoint, and the calls it got beside that."""
    calls: list[str] = []
    status = rpc.StatusResponse(version=version, dbSize=1, leader=1)
    members = rpc.MemberListResponse(members=[rpc.Member(ID=1)])
    answers = {
        "/etcdserverpb.Maintenance/Status": status.SerializeToString(),
        "/etcdserverpb.Cluster/MemberList": members.SerializeToString(),
    }

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> Any:
            answer = answers.get(details.method)
            if answer is None:
                calls.append(details.method)
                return None
            return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}", calls
    finally:
        server.stop(None).wait()


@pytest.fixture(scope="module", autouse=True)
def lonely_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """An agent without etcd: it tries for a while, meanwhile the other tests run."""
    data = tmp_path_factory.mktemp("lonely")
    flags = ("--name", "n", "--listen", "127.0.0.1:0", "--data-dir", str(data))
    with subprocess.Popen(
        [sys.executable, "-m", "node_agent", "--etcd", "127.0.0.1:1", *flags],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **REFUSES},
    ) as process:
        yield process
        process.kill()


def keys_of(etcd: EtcdProcess, cluster: str) -> list[bytes]:
    """The keys of a cluster."""
    prefix = f"/quorate/{cluster}/".encode()

    async def read() -> list[bytes]:
        async with open_etcd(etcd.endpoint) as client:
            found = await client.range(Range(prefix, prefix_end(prefix), keys_only=True))
            return [kv.key for kv in found.kvs]

    return asyncio.run(read())


def fake_etcd(folder: Path, version: str) -> Path:
    path = folder / "etcd"
    path.write_text(f"#!/bin/sh\ntouch {folder}/ran-$#\necho 'etcd Version: {version}'\n")
    path.chmod(0o755)
    return path


# -- an etcd that is not there, or not to be trusted


def test_a_scheduler_without_etcd() -> None:
    endpoint = f"127.0.0.1:{free_port()}"
    flags = ("--etcd", endpoint, "--etcd-wait", "0.2", "--listen", "127.0.0.1:0")
    result = run_from_scratch("scheduler", *flags, **REFUSES)
    sentence(result, "scheduler: no etcd answers", endpoint)


@pytest.mark.parametrize("version", ["3.5.0", "3.5.1", "3.5.2", "3.3.27"])
def test_a_scheduler_refuses_an_etcd_that_loses_writes(version: str) -> None:
    with etcd_of_version(version) as (endpoint, calls):
        result = scheduler("--etcd", endpoint, "--listen", "127.0.0.1:0")
        sentence(result, "scheduler: ", version)
        assert calls == []


@pytest.mark.parametrize("version", ["3.5.0", "3.5.1", "3.5.2"])
def test_an_agent_refuses_an_etcd_that_loses_writes(tmp_path: Path, version: str) -> None:
    with etcd_of_version(version) as (endpoint, calls):
        flags = ("--etcd", endpoint, "--listen", "127.0.0.1:0", "--data-dir", str(tmp_path))
        sentence(agent(*flags), "node_agent: ", version)
        assert calls == []


def test_a_member_that_loses_writes_behind_one_that_does_not_is_refused(tmp_path: Path) -> None:
    with etcd_of_version("3.5.9") as (sound, calls), etcd_of_version("3.5.1") as (bad, others):
        flags = ("--etcd", f"{sound},{bad}", "--listen", "127.0.0.1:0")
        sentence(scheduler(*flags), "scheduler: ", bad, "3.5.1")
        sentence(agent(*flags, "--data-dir", str(tmp_path)), "node_agent: ", bad, "3.5.1")
        assert (calls, others) == ([], [])


def test_a_scheduler_whose_ca_file_is_missing(tmp_path: Path) -> None:
    missing = str(tmp_path / "ca.pem")
    result = scheduler("--etcd", "127.0.0.1:1", "--etcd-ca-file", missing)
    sentence(result, "scheduler: ", missing)


@pytest.mark.parametrize("version", ["3.5.0", "3.5.1", "3.5.2"])
@pytest.mark.parametrize("detach", [True, False])
def test_up_refuses_an_etcd_that_loses_writes(tmp_path: Path, version: str, detach: bool) -> None:
    data = tmp_path / "data"
    program = fake_etcd(tmp_path, version)
    words = ["up", "--data-dir", str(data), *(["--detach"] if detach else [])]
    result = quorate(*words, QUORATE_ETCD_BIN=str(program))
    sentence(result, f"etcd {version}", "lose acknowledged writes")
    assert not (data / "cluster.json").exists()
    assert not (data / "etcd").exists()
    # Asked for its version, never started.
    assert [path.name for path in tmp_path.glob("ran-*")] == ["ran-1"]


@pytest.mark.parametrize("detach", [True, False])
def test_up_without_an_etcd(tmp_path: Path, detach: bool) -> None:
    data, missing = tmp_path / "data", tmp_path / "missing"
    words = ["up", "--data-dir", str(data), *(["--detach"] if detach else [])]
    sentence(quorate(*words, QUORATE_ETCD_BIN=str(missing)), "QUORATE_ETCD_BIN", str(missing))
    assert not (data / "cluster.json").exists()


def test_up_with_an_etcd_that_does_not_start(tmp_path: Path) -> None:
    program = tmp_path / "etcd"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "etcd Version: 3.5.9" && exit\n')
    program.chmod(0o755)
    data = tmp_path / "data"
    result = quorate("up", "--data-dir", str(data), QUORATE_ETCD_BIN=str(program))
    sentence(result, "etcd did not start")
    assert not (data / "cluster.json").exists()


# -- a port in use


def test_a_scheduler_whose_port_is_in_use(etcd_server: EtcdProcess) -> None:
    with listening() as port:
        flags = ("--cluster", "nobody", "--listen", f"127.0.0.1:{port}", *etcd_flags())
        result = scheduler("--etcd", etcd_server.endpoint, *flags)
    sentence(result, f"scheduler: cannot listen on 127.0.0.1:{port}", "in use")
    assert keys_of(etcd_server, "nobody") == []


def test_an_agent_whose_port_is_in_use(etcd_server: EtcdProcess, tmp_path: Path) -> None:
    with listening() as port:
        where = ("--listen", f"127.0.0.1:{port}", "--data-dir", str(tmp_path / "n"))
        flags = (*where, *etcd_flags())
        result = agent("--etcd", etcd_server.endpoint, "--cluster", "nobody", *flags)
    sentence(result, f"node_agent: cannot listen on 127.0.0.1:{port}", "in use")
    assert keys_of(etcd_server, "nobody") == []


@pytest.mark.parametrize("detach", [True, False])
def test_up_whose_port_is_in_use(tmp_path: Path, detach: bool) -> None:
    data = tmp_path / "data"
    with listening() as port:
        words = ["up", "--data-dir", str(data), "--port", str(port)]
        result = quorate(*words, *(["--detach"] if detach else []))
    sentence(result, f"port {port}", "in use", "--port")
    assert not (data / "cluster.json").exists()
    assert not (data / "etcd").exists()


# -- a data dir that is somebody else's


def test_an_agent_whose_data_dir_is_in_use(etcd_server: EtcdProcess) -> None:
    with serve(etcd_server.endpoint, nodes=1) as served:
        before = keys_of(etcd_server, served.cluster)
        data = str(served.folder / "n1")
        flags = ("--name", "n9", "--listen", "127.0.0.1:0", "--data-dir", data)
        common = ("--etcd", etcd_server.endpoint, "--cluster", served.cluster, *etcd_flags())
        sentence(agent(*common, *flags), "node_agent: data directory", data, "in use")
        assert keys_of(etcd_server, served.cluster) == before


@pytest.mark.parametrize("detach", [True, False])
def test_up_in_a_data_dir_of_another_cluster(tmp_path: Path, detach: bool) -> None:
    data = tmp_path / "data"
    data.mkdir()
    layout = '{"cluster": "other", "ports": {}}\n'
    (data / "layout.json").write_text(layout)
    words = ["up", "--data-dir", str(data), "--cluster", "mine"]
    result = quorate(*words, *(["--detach"] if detach else []))
    sentence(result, str(data), "'other'", "'mine'")
    assert (data / "layout.json").read_text() == layout
    assert not (data / "etcd").exists()


def test_up_in_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    sentence(quorate("up", "--data-dir", str(tmp_path)), "is not empty", "thesis.tex")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_up_where_nothing_can_be_written() -> None:
    sentence(quorate("up", "--data-dir", "/proc/nothing"), "/proc/nothing", "cannot be used")


def test_up_with_an_unreadable_layout(tmp_path: Path) -> None:
    (tmp_path / "layout.json").write_text("[")
    sentence(quorate("up", "--data-dir", str(tmp_path)), "layout.json", "cannot be read")


def test_up_beside_another_up(tmp_path: Path) -> None:
    data = tmp_path / "data"
    size = ("--schedulers", "1", "--nodes", "1", "--slots", "1")
    assert quorate("up", "--detach", "--data-dir", str(data), *size).code == 0
    try:
        before = (data / "cluster.json").read_text()
        for detach in ([], ["--detach"]):
            result = quorate("up", "--data-dir", str(data), *size, *detach)
            sentence(result, str(data), "in use", "quorate down")
        assert (data / "cluster.json").read_text() == before
        status, out, _ = quorate("status", "--data-dir", str(data))
        assert (status, "local" in out) == (0, True)
    finally:
        assert quorate("down", "--data-dir", str(data)).code == 0


# -- flags


@pytest.mark.parametrize(
    ("program", "flags"),
    [
        ("scheduler", ("--lease-ttl", "abc")),
        ("node_agent", ("--slots", "-1")),
        ("node_agent", ("--data-dir", "/proc/nothing")),
        ("quorate", ("up", "--nodes", "65")),
        ("quorate", ("up", "--data-dir", "/proc/nothing")),
    ],
)
def test_a_program_that_starts_from_scratch_says_the_same(
    program: str, flags: tuple[str, ...]
) -> None:
    result = run_from_scratch(program, *flags, **REFUSES)
    assert result == run(program, *flags, **REFUSES)
    sentence(result, code=result.code)
    assert result.code != 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--lease-ttl", "abc"), ("--lease-ttl", "integer")),
        (("--lease-ttl", "1"), ("--lease-ttl", "2")),
        (("--lease-ttl", "-5"), ("--lease-ttl", "2")),
        (("--max-payload-kib", "2000"), ("--max-payload-kib", "1024")),
        (("--etcd-wait", "nan"), ("--etcd-wait",)),
        (("--etcd", "nowhere"), ("--etcd", "host:port")),
        (("--etcd", "a:70000"), ("--etcd", "host:port")),
        (("--cluster", "A/B"), ("--cluster", "pattern")),
        (("--listen", "x"), ("--listen", "host:port")),
        (("--listen", "0.0.0.0:0"), ("--listen", "--insecure")),
    ],
)
def test_a_scheduler_with_a_bad_flag(flags: tuple[str, str], words: tuple[str, ...]) -> None:
    sentence(scheduler(*flags), "scheduler: --", *words, code=2)


@pytest.mark.parametrize(
    ("flags", "words", "code"),
    [
        (("--slots", "-1"), ("--slots", "0"), 2),
        (("--lease-ttl", "1"), ("--lease-ttl", "2"), 2),
        (("--max-result-kib", "2000"), ("--max-result-kib", "1024"), 2),
        (("--name", "a/b"), ("--name", "pattern"), 2),
        (("--counters", "gpu"), ("--counters", "name=value"), 2),
        (("--listen", "x"), ("--listen", "host:port"), 2),
        (("--listen", "0.0.0.0:0"), ("--listen", "--insecure"), 2),
        (("--data-dir", "/proc/nothing"), ("/proc/nothing",), 1),
        (("--etcd-ca-file", "/no/such"), ("/no/such",), 1),
    ],
)
def test_an_agent_with_a_bad_flag(
    tmp_path: Path, flags: tuple[str, str], words: tuple[str, ...], code: int
) -> None:
    first = ("--data-dir", str(tmp_path))
    sentence(agent(*first, *flags), "node_agent: ", *words, code=code)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--schedulers", "0"), ("schedulers", "1")),
        (("--nodes", "65"), ("nodes", "64")),
        (("--slots", "-1"), ("slots",)),
        (("--port", "80"), ("port", "1,024")),
        (("--port", "65535"), ("port",)),
        (("--cluster", "A B"), ("cluster", "'A B'")),
    ],
)
def test_up_with_a_bad_flag(tmp_path: Path, flags: tuple[str, str], words: tuple[str, ...]) -> None:
    data = tmp_path / "data"
    sentence(quorate("up", "--data-dir", str(data), *flags), *words, code=2)
    assert not data.exists()


# -- last, since it takes its time


def test_an_agent_without_etcd(lonely_agent: subprocess.Popen[str]) -> None:
    out, err = lonely_agent.communicate(timeout=SECONDS)
    assert (lonely_agent.returncode, out) == (1, "")
    # Its log tells of each try; the reason for leaving is the last line.
    *log, last = err.splitlines()
    assert last.startswith("node_agent: etcd does not answer")
    assert "127.0.0.1:1" in last
    assert all(line.startswith("{") for line in log)
    assert "Traceback" not in err
