"""Retrying and deleting many tasks from the SDK and the command line."""

import json

import pytest

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.mapping.counts import Deleted, Retried
from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer

FAILED = task_pb2.TASK_STATE_FAILED
PENDING = task_pb2.TASK_STATE_PENDING


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    yield cluster
    cluster.close()


@pytest.fixture
def address(cluster):
    return FakeServer(cluster).address


@pytest.fixture
def quorate(address, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("QUORATE_ADDRESS", address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments):
        code = run(list(arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return call


def put(cluster, count: int, state: task_pb2.TaskState = FAILED) -> list[str]:
    ids = [f"{len(cluster.tasks) + number:032x}" for number in range(count)]
    for task in ids:
        cluster.tasks[task] = task_pb2.Task(id=task, queue="q", state=state)
    return ids


def test_ids_and_filters_are_retried_and_counted(address, cluster):
    ids = put(cluster, 3)
    with Client(address) as client:
        assert client.retry_tasks([ids[0], "unknown"]) == Retried(retried=1, not_found=1)
        assert client.retry_tasks(queue="q", dry_run=True) == Retried(retried=2)
        answer = client.retry_tasks(queue="q", rate=2.0)
        assert (answer.retried, answer.last_start is not None) == (2, True)
        assert client.retry_tasks([]) == Retried()
        with pytest.raises(QuorateError):
            client.retry_tasks()
    assert [request.max_rate for request in cluster.bulk_retries] == [0.0, 0.0, 2.0]
    assert {task.state for task in cluster.tasks.values()} == {PENDING}


def test_finished_tasks_are_deleted(address, cluster):
    ids = put(cluster, 2)
    put(cluster, 1, PENDING)
    with Client(address) as client:
        assert client.delete_tasks([ids[0]]) == Deleted(deleted=1)
        assert client.delete_tasks(queue="q", dry_run=True) == Deleted(deleted=1)
        assert client.delete_tasks(queue="q", states=["failed"]) == Deleted(deleted=1)
    assert len(cluster.tasks) == 1


async def test_the_asynchronous_client_does_the_same(address, cluster):
    ids = put(cluster, 3)
    async with AsyncClient(address) as client:
        assert await client.retry_tasks(ids[:1]) == Retried(retried=1)
        assert (await client.retry_tasks(queue="q", rate=1)).retried == 2
        assert await client.delete_tasks(queue="q") == Deleted()
        assert await client.delete_tasks(ids) == Deleted(not_finished=3)


def test_counts_of_pages_are_joined(address):
    later = Retried(retried=1, over_quota=1)
    assert Retried(retried=2, skipped=1) + later == Retried(3, 0, 1, 0, 1)
    assert Deleted(1) + Deleted(2, 3) == Deleted(3, 3)


def test_a_filter_is_counted_first_and_retried_with_yes(quorate, cluster):
    put(cluster, 3)
    code, out, err = quorate("retry", "--queue", "q")
    assert (code, out) == (1, "3 failed or expired\n")
    assert "--yes" in err
    code, out, _ = quorate("retry", "--all", "--rate", "5", "--yes")
    assert code == 0
    assert out.startswith("3 will run again; the last of them starts at ")
    assert quorate("retry", "--queue", "q", "--json")[1] == (
        json.dumps(
            {"retried": 0, "not_finished": 0, "skipped": 0, "not_found": 0, "over_quota": 0},
            indent=2,
        )
        + "\n"
    )


def test_some_ids_are_retried_one_by_one_and_many_by_one_call(quorate, cluster):
    ids = put(cluster, 12)
    code, out, _ = quorate("retry", ids[0])
    assert (code, out) == (0, f"{ids[0]} will run again\n")
    code, out, _ = quorate("retry", *ids)
    assert (code, out) == (5, "11 will run again, 1 not finished\n")
    assert len(cluster.bulk_retries) == 1


def test_one_task_is_retried_with_the_spec_of_a_file(quorate, cluster, tmp_path):
    ids = put(cluster, 2)
    file = tmp_path / "spec.json"
    file.write_text('{"command": {"argv": ["true"]}, "priority": 4}')
    assert quorate("retry", ids[0], "--spec", str(file))[0] == 0
    assert cluster.retries[-1].spec.priority == 4
    assert quorate("retry", *ids, "--spec", str(file))[0] == 2
    file.write_text("{")
    code, _, err = quorate("retry", ids[1], "--spec", str(file))
    assert (code, "cannot be read" in err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--all"),
        (("f" * 32, "--queue", "q"), "not both"),
        (("f" * 32, "--all"), "not both"),
        (("--state", "running"), "--state running: "),
    ],
)
def test_what_cannot_be_meant_is_refused(quorate, words, said):
    code, out, err = quorate("retry", *words)
    assert (code, out) == (2, "")
    assert said in err
