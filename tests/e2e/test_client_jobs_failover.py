"""Arrays through the SDK and the command line while leaders and a node are killed: nothing is lost,
doubled, moved."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import quorate
from quorate.client.transport.discovery import LocalCluster, LocalProcess, read_local_cluster
from quorate.local.plan import LocalPlan
from tests.support import forked, tls
from tests.support.local import running

ITEMS = 150_000


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    plan = LocalPlan(data_dir=tmp_path / "data", schedulers=2, nodes=2, slots=2, secure=tls.ON)
    with running(plan) as local:
        yield local


def process(local: LocalCluster, name: str) -> LocalProcess:
    found = read_local_cluster(Path(local.data_dir))
    assert found is not None
    return next(one for one in found.processes if one.name == name)


def kill_leader(client: quorate.Client, local: LocalCluster) -> None:
    leader = next(one.name for one in client.cluster().schedulers if one.leader)
    os.kill(process(local, leader).pid, signal.SIGKILL)


def test_results_are_whole_and_in_order_while_processes_are_killed(cluster: LocalCluster) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:

        def items() -> Iterator[int]:
            for number in range(ITEMS):
                # Behind the first part, which makes the job: while the others are appended.
                if number == 70_000:
                    kill_leader(client, cluster)
                yield number

        job = client.array(hex, items(), crash_limit=10)
        assert job.job().count == ITEMS
        results = []
        for value in job.results():
            results.append(value)
            if len(results) == ITEMS // 3:
                kill_leader(client, cluster)
            if len(results) == ITEMS // 2:
                os.kill(process(cluster, "n2").pid, signal.SIGKILL)
        assert results == [hex(number) for number in range(ITEMS)]
        assert job.wait(60).counts.succeeded == ITEMS


def test_maps_go_on_while_leaders_are_killed(cluster: LocalCluster) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        seen = []
        for value in client.map(hex, range(60_000)):
            seen.append(value)
            if len(seen) == 10_000:
                kill_leader(client, cluster)
        assert seen == [hex(number) for number in range(60_000)]
        with quorate.Executor(client=client) as pool:
            values = pool.map(pow, range(20_000), [2] * 20_000)
            kill_leader(client, cluster)
        assert list(values) == [number * number for number in range(20_000)]


def test_items_of_two_programs_go_on_while_the_leader_is_killed(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    def shell(*arguments: str) -> str:
        done = forked.run("quorate", *arguments, "--data-dir", cluster.data_dir)
        assert done.code == 0, done
        return done.out.strip()

    options = ("--open", "--reduce", "builtins:sum", "--fan-in", "5000")
    with quorate.Client(data_dir=cluster.data_dir) as client:
        job = client.job(shell("call", *options, "builtins:abs"))
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)

        def write() -> None:
            with pipe.open("w") as lines:
                for number in range(20_000):
                    if number == 10_000:
                        lines.flush()
                        kill_leader(client, cluster)
                    lines.write(f"{number}\n")

        def append() -> None:
            # The same items as the shell's: neither is taken for a repeat of the other.
            for first in range(0, 20_000, 200):
                job.append(range(first, first + 200))

        with ThreadPoolExecutor(2) as pool:
            others = [pool.submit(write), pool.submit(append)]
            shell("job", "append", job.id, "--json-items", "--each-line", str(pipe))
            for other in others:
                other.result()
        assert job.job().count == 40_000
        shell("job", "close", job.id)
        shell("job", "wait", job.id)
        assert shell("job", "result", job.id) == str(2 * sum(range(20_000)))
