"""Dead letters from the SDK and the command line."""

import json

import pytest

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.v1 import dead_letter_pb2, task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer

GROUPS = ("3f" * 8, "30" * 8, "aa" * 8)


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    for number, group in enumerate(GROUPS):
        one = dead_letter_pb2.DeadLetterGroup(
            id=group, queue="q", error_type="ValueError", error_message=f"bad\n{number}", count=3
        )
        one.last_time.GetCurrentTime()
        one.first_time.GetCurrentTime()
        cluster.dead_letters.append(one)
    for number in range(3):
        task = f"{number:032x}"
        cluster.tasks[task] = task_pb2.Task(
            id=task, queue="q", state=task_pb2.TASK_STATE_FAILED, attempt=2
        )
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


def test_groups_are_iterated_page_by_page(address, cluster):
    with Client(address) as client:
        assert [group.id for group in client.dead_letters()] == list(GROUPS)
        assert client.retry_tasks(error_group=GROUPS[0]).retried == 3
        assert client.delete_tasks(error_group=GROUPS[0], dry_run=True).deleted == 0
    assert cluster.bulk_retries[0].error_group == GROUPS[0]


async def test_the_asynchronous_client_does_the_same(address, cluster):
    async with AsyncClient(address) as client:
        assert [group.id async for group in client.dead_letters()] == list(GROUPS)
        assert (await client.retry_tasks(error_group=GROUPS[0])).retried == 3
        assert (await client.delete_tasks(error_group=GROUPS[0])).deleted == 0


def test_groups_are_listed_and_shown(quorate):
    code, out, _ = quorate("dead", "list", "-n", "2")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[1:3]] == [
        [GROUPS[0], "q", "3"],
        [GROUPS[1], "q", "3"],
    ]
    found = json.loads(quorate("dead", "list", "--json")[1])
    assert [one["id"] for one in found] == list(GROUPS)
    code, out, _ = quorate("dead", "show", "aa")
    assert code == 0
    assert out.splitlines()[0].startswith("ValueError: bad")
    assert "3 failed tasks of queue q" in out
    assert out.count("0" * 31) == 3


def test_a_group_is_counted_first_and_retried_with_yes(quorate, cluster):
    code, out, err = quorate("dead", "retry", "3f", "--rate", "2")
    assert (code, out.startswith("3 failed or expired; the last")) == (1, True)
    assert "--yes" in err
    assert quorate("dead", "retry", "3f", "--yes")[:2] == (0, "3 will run again\n")
    asked = [(request.error_group, request.queue) for request in cluster.bulk_retries]
    assert asked == [(GROUPS[0], "q")] * 2


def test_schedulers_of_an_earlier_version_have_one_id_in_several_queues(quorate, cluster):
    cluster.dead_letters.append(
        dead_letter_pb2.DeadLetterGroup(id=GROUPS[0], queue="other", error_type="E", count=1)
    )
    code, out, err = quorate("dead", "retry", "3f", "--yes")
    assert (code, out) == (2, "")
    assert "is a group of several queues; give one with --queue" in err
    assert not cluster.bulk_retries


def test_all_failed_tasks_are_deleted_with_all(quorate, cluster):
    assert quorate("dead", "delete", "--all")[:2] == (1, "3 failed or expired\n")
    assert quorate("dead", "delete", "--all", "--yes")[:2] == (0, "3 deleted\n")
    assert not cluster.tasks


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("retry",), 2, "either the id of a group, or --all"),
        (("retry", "aa", "--all"), 2, "either the id of a group, or --all"),
        (("show", "3"), 2, "the beginning of several ids"),
        (("delete", "ffff"), 3, "group 'ffff' does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused(quorate, words, code, said):
    found, out, err = quorate("dead", *words)
    assert (found, out) == (code, "")
    assert said in err
