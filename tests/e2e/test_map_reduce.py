"""Map-reduce with real processes: results stream in order, level follows level, a leader dies."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

import quorate
from quorate.client.transport.discovery import LocalCluster, LocalProcess, read_local_cluster
from quorate.local.plan import LocalPlan
from tests.support import tls
from tests.support.local import running
from tests.support.waiting import until


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    data = tmp_path_factory.mktemp("map-reduce") / "data"
    plan = LocalPlan(data_dir=data, schedulers=2, nodes=2, slots=2, secure=tls.ON)
    with running(plan) as local:
        yield local


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[quorate.Client]:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        yield client


def process(local: LocalCluster, name: str) -> LocalProcess:
    found = read_local_cluster(Path(local.data_dir))
    assert found is not None
    return next(one for one in found.processes if one.name == name)


def in_order(results: Iterable[int]) -> tuple[int, int]:
    """How many there are, and how often one does not follow the one before; twice read."""
    first = list(itertools.islice(results, 3))
    assert first == [0, 1, 2]
    breaks, count, before = 0, 0, -1
    for value in results:
        breaks += value != before + 1
        before, count = value, count + 1
    assert count == len(results)  # type: ignore[arg-type]
    return count, breaks


def test_one_reduce_gets_all_results_in_order(client: quorate.Client) -> None:
    job = client.map_reduce("builtins:int", None, in_order, count=20_000)
    assert job.result(120) == (20_000, 0)
    assert job.job().reduce.levels == 1


def test_levels_of_reduces(client: quorate.Client) -> None:
    job = client.map_reduce(len, ("x" * n for n in range(1_000)), sum, fan_in=10)
    assert job.result(120) == sum(range(1_000))
    levels = job.job().reduce
    assert [level.count for level in levels.started] == [100, 10, 1]
    assert job.status() == "SUCCEEDED"
    assert [one.id for one in client.jobs(text="len")][:1] == [job.id]


def test_a_failed_reduce_fails_the_job_and_runs_again(
    client: quorate.Client, tmp_path: Path
) -> None:
    mended = tmp_path / "mended"

    def reduce(results: Iterable[int], file: str) -> int:
        if not os.path.exists(file):
            raise KeyError("not yet")
        return max(results)

    job = client.array(abs, [-3, 2], reduce=reduce, reduce_args=[str(mended)])
    with pytest.raises(KeyError, match="not yet"):
        job.result(60)
    assert job.status() == "FAILED"
    assert job.job().reason == "1 reduce failed"
    assert [group.type for group in job.errors()] == ["KeyError"]
    mended.touch()
    job.retry()
    assert job.result(60) == 3
    assert job.job().round == 1


def test_reduces_of_nothing_of_none_and_of_large_results(client: quorate.Client) -> None:
    assert client.map_reduce(abs, [], list).result(60) == []
    assert client.map_reduce("time:sleep", [0, 0], list).result(60) == [None, None]
    assert client.map_reduce(["true"], [1, 2], sum, fan_in=2).result(60) == 0
    big = client.map_reduce(lambda n: str(n) * 100_000, range(30), lambda all: [s[:2] for s in all])
    assert big.result(60) == [(str(n) * 2)[:2] for n in range(30)]


def test_reading_goes_on_through_the_death_of_a_leader(
    client: quorate.Client, cluster: LocalCluster, tmp_path: Path
) -> None:
    reached, go_on = tmp_path / "reached", tmp_path / "go-on"

    def reduce(results: Iterable[int]) -> int:
        import time

        total = 0
        for place, value in enumerate(results):
            if place == 5_000:
                reached.touch()
                while not go_on.exists():
                    time.sleep(0.01)
            total += value
        return total

    job = client.map_reduce("builtins:int", None, reduce, count=20_000)
    until(lambda: reached.exists() or job.done(), 60)
    assert reached.exists()
    leader = next(one.name for one in client.cluster().schedulers if one.leader)
    os.kill(process(cluster, leader).pid, signal.SIGKILL)
    go_on.touch()
    assert job.result(120) == sum(range(20_000))
