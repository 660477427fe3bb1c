"""Graphs through the SDK, while leaders and a node are killed: each task runs when what it waits
for is there, and gets it."""

from __future__ import annotations

import math
import operator
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

import quorate
from quorate.client.errors import TaskFailed
from quorate.client.graphs.handle import GraphHandle
from quorate.client.transport.discovery import LocalCluster, LocalProcess, read_local_cluster
from quorate.local.plan import LocalPlan
from quorate.runtime.errors import QuorateError
from tests.support import tls
from tests.support.local import running
from tests.support.waiting import until

LAYERS, WIDTH = 12, 100


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    directory = tmp_path_factory.mktemp("graphs") / "data"
    plan = LocalPlan(data_dir=directory, schedulers=2, nodes=2, slots=2, secure=tls.ON)
    with running(plan) as local:
        yield local


def process(local: LocalCluster, name: str) -> LocalProcess:
    found = read_local_cluster(Path(local.data_dir))
    assert found is not None
    return next(one for one in found.processes if one.name == name)


def kill_leader(client: quorate.Client, local: LocalCluster) -> None:
    leader = next(one.name for one in client.cluster().schedulers if one.leader)
    os.kill(process(local, leader).pid, signal.SIGKILL)


def test_results_flow_and_failures_take_their_way(cluster: LocalCluster) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        graph = client.graph("flow")
        words = graph.add("builtins:sorted", ["b", "a", "c"], name="words")
        first = graph.add(operator.getitem, words, 0)
        both = graph.add(dict, [("words", words), ("first", first)], kwargs={"n": 3})
        bad = graph.add(operator.truediv, 1, 0, after=both)
        never = graph.add(len, bad)
        handler = graph.add(str, "seen", after=bad, on="failure")
        count = graph.add_json("builtins:len", [[1, 2]])
        shell = graph.add_command(["sh", "-c", 'test "$COUNT" = 2'], inputs={"COUNT": count})
        last = graph.add(max, 1, 2, after=[(never, "always"), handler, shell])
        job = graph.submit()
        assert job.wait(60).counts.skipped == 1
        assert job.status() == "FAILED"
        assert job.result(both) == {"words": ["a", "b", "c"], "first": "a", "n": 3}
        assert (job.result(shell), job.result(last), job.result("getitem")) == (0, 2, "a")
        with pytest.raises(ZeroDivisionError):
            job.result(bad)
        with pytest.raises(TaskFailed, match='"len" runs only if "truediv" succeeds'):
            job.result(never)
        values = job.values(failures="skip")
        assert list(values) == ["words", "getitem", "dict", "str", "len-2", "sh", "max"]
        assert [node.name for node in job.nodes() if node.skipped] == ["len"]
        with pytest.raises(ZeroDivisionError):
            job.values()


async def test_an_asyncio_program_builds_the_same(cluster: LocalCluster) -> None:
    async with quorate.AsyncClient(data_dir=cluster.data_dir) as client:
        graph = client.graph("async")
        a = graph.add(list, "ab")
        b = graph.add(len, a, name="length")
        job = await graph.submit()
        assert await job.values() == {"list": ["a", "b"], "length": 2}
        assert await job.result(b) == 2
        cycle = client.graph("cycle")
        one = cycle.add(len, "a")
        two = cycle.add(len, "a", after=one)
        cycle.spec.graph.tasks[one.place].depends_on.add(task=two.name)
        with pytest.raises(QuorateError) as error:
            await cycle.submit()
        assert error.value.reason == "GRAPH_CYCLE"


def test_arrays_of_a_graph_go_on_at_the_next_leader(cluster: LocalCluster) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        graph = client.options(crash_limit=10).graph("arrays")
        begin = graph.add(len, "ab")
        first = graph.add_array(time.sleep, [0.01] * 400, after=begin, name="first")
        second = graph.add_array(abs, range(-400, 0), after=first, on="each", name="second")
        logs = graph.add_array(math.log, [1, 0, 2], name="logs")
        after = graph.add_array(["echo", "{index}"], count=3, after=logs, on="each")
        handler = graph.add(str, "seen", after=after, on="failure")
        end = graph.add(len, "abc", after=second)
        total = graph.add(sum, second)
        ones = graph.add_array("builtins:len", [[1], [1, 2]], as_json=True, name="ones")
        shell = graph.add_command(["sh", "-c", 'test "$N" = "[1,2]"'], inputs={"N": ones})
        job = graph.submit()
        array = job.array(second)
        until(lambda: array.job().counts.succeeded >= 50, 60)
        kill_leader(client, cluster)
        done = job.wait(60)
        assert (job.status(), done.counts.succeeded, done.counts.failed) == ("FAILED", 8, 2)
        assert list(array.results()) == list(range(400, 0, -1))
        assert (job.result(handler), job.result(end)) == ("seen", 3)
        assert (job.result(total), job.result(shell)) == (sum(range(401)), 0)
        skipped = job.array(after).job()
        assert (skipped.counts.succeeded, skipped.counts.cancelled) == (2, 1)
        assert 'the same ones of "logs" did not succeed' in skipped.reason
        with pytest.raises(QuorateError, match="is part of job"):
            array.retry()


def test_a_schedule_runs_a_graph(cluster: LocalCluster) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        graph = client.graph("nightly")
        first = graph.add_array(["sh", "-c", 'test -n "$QUORATE_SCHEDULED_TIME"'], count=5)
        second = graph.add_array(["echo", "{}"], ["a"] * 5, after=first, on="each")
        graph.add(len, "ab", after=second, name="last")
        made = client.schedules.create("nightly-graph", graph, cron="0 0 1 1 *")
        assert len(made.spec.job.graph.tasks) == 3
        job = client.graph_job(client.schedules.run("nightly-graph").id)
        done = job.wait(60)
        assert (job.status(), done.counts.succeeded, done.spec.name) == ("SUCCEEDED", 3, "nightly")
        assert job.result("last") == 2
        (run,) = client.schedules.get("nightly-graph").last_runs
        assert run.job == job.id
        client.schedules.delete("nightly-graph")


def _has(job: GraphHandle, succeeded: float) -> bool:
    """Whether so many tasks have succeeded."""
    return job.job().counts.succeeded >= succeeded


def test_a_graph_is_whole_while_leaders_and_a_node_are_killed(cluster: LocalCluster) -> None:
    with quorate.Client(data_dir=cluster.data_dir) as client:
        graph = client.options(crash_limit=10).graph("layers")
        layer = [graph.add(abs, -1) for _ in range(WIDTH)]
        for _ in range(LAYERS - 1):
            total = graph.add(sum, layer[:50])
            layer = [graph.add(operator.floordiv, total, 50) for _ in range(WIDTH)]
        job = graph.submit()
        size = len(graph.tasks)
        for number, share in enumerate((0.2, 0.5, 0.7)):
            job.task(graph.tasks[int(share * size)]).wait(60)
            until(partial(_has, job, share * size), 60)
            if number == 1:
                os.kill(process(cluster, "n2").pid, signal.SIGKILL)
            else:
                kill_leader(client, cluster)
        done = job.wait(60)
        assert (done.counts.succeeded, done.count) == (size, size)
        assert set(job.values().values()) == {1, 50}
