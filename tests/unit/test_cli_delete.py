"""`quorate delete` removes finished tasks, and nothing without being asked twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from quorate.cli.app import run
from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    cluster = FakeCluster()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)

    def call(*words: str) -> tuple[int, str, str]:
        code = run(list(words))
        out, err = capfd.readouterr()
        return code, out, err

    return call


def put(cluster: FakeCluster, count: int, state: task_pb2.TaskState, queue: str = "q") -> list[str]:
    ids = [f"{len(cluster.tasks) + number:032x}" for number in range(count)]
    for id in ids:
        cluster.tasks[id] = task_pb2.Task(id=id, queue=queue, state=state)
    return ids


def test_tasks_are_deleted_by_id_and_others_go_on(quorate: Command, cluster: FakeCluster) -> None:
    [done] = put(cluster, 1, task_pb2.TASK_STATE_SUCCEEDED)
    [busy] = put(cluster, 1, task_pb2.TASK_STATE_RUNNING)
    code, out, err = quorate("delete", busy, done, "f" * 32)
    assert (code, out) == (5, f"{done} deleted\n")
    assert "not finished" in err
    assert "does not exist" in err
    assert list(cluster.tasks) == [busy]


def test_a_queue_is_emptied_of_finished_tasks_once_confirmed(
    quorate: Command, cluster: FakeCluster
) -> None:
    put(cluster, 300, task_pb2.TASK_STATE_SUCCEEDED)
    failed = put(cluster, 2, task_pb2.TASK_STATE_FAILED)
    kept = put(cluster, 1, task_pb2.TASK_STATE_RUNNING)
    kept += put(cluster, 1, task_pb2.TASK_STATE_FAILED, "other")
    code, out, err = quorate("delete", "--queue", "q")
    assert (code, out) == (1, "302 finished tasks\n")
    assert "--yes" in err
    assert len(cluster.tasks) == 304
    assert quorate("delete", "--queue", "q", "--state", "failed", "--yes")[1] == "2 deleted\n"
    assert not set(failed) & set(cluster.tasks)
    assert quorate("delete", "--queue", "q", "--yes")[1] == "300 deleted\n"
    assert list(cluster.tasks) == kept
    assert quorate("delete", "--queue", "q")[:2] == (0, "0 finished tasks\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "either ids or --queue"),
        (("--queue", "q", "f" * 32), "either ids or --queue"),
        (("--queue", "q", "--state", "running"), "running tasks are not finished"),
        (("--state", "failed"), "--state: needs --queue"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    quorate: Command, words: tuple[str, ...], said: str
) -> None:
    code, out, err = quorate("delete", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_everything_is_deleted_only_with_all(quorate: Command, cluster: FakeCluster) -> None:
    put(cluster, 2, task_pb2.TASK_STATE_SUCCEEDED)
    put(cluster, 1, task_pb2.TASK_STATE_FAILED, "other")
    [busy] = put(cluster, 1, task_pb2.TASK_STATE_RUNNING)
    code, out, err = quorate("delete", "--yes")
    assert (code, out) == (2, "")
    assert "by --all" in err
    assert quorate("delete", "--all")[:2] == (1, "3 finished tasks\n")
    assert len(cluster.tasks) == 4
    assert quorate("delete", "--all", "--yes")[:2] == (0, "3 deleted\n")
    assert list(cluster.tasks) == [busy]
