"""Updating tasks from the SDK and the command line: which fields a call names."""

import datetime as dt

import pytest

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.client.mapping.counts import Updated
from quorate.runtime.errors import QuorateError
from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    for number in range(12):
        task = f"{number:032x}"
        cluster.tasks[task] = task_pb2.Task(id=task, queue="q", state=task_pb2.TASK_STATE_PENDING)
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


def test_only_what_is_given_is_in_the_mask(address, cluster):
    ids = list(cluster.tasks)
    with Client(address) as client:
        client.get(ids[0]).update(priority=0, retries=0)
        assert client.update_tasks(ids[:2], labels={"a": "b"}) == Updated(updated=2)
        later = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
        counts = client.update_tasks(queue="q", not_before=later, timeout=None, dry_run=True)
        assert counts.updated == 12
        with pytest.raises(TypeError, match="'queu'"):
            client.update_tasks(ids, queu="x")  # type: ignore[call-arg]
        with pytest.raises(QuorateError, match="at least one is required"):
            client.update_tasks(ids)
    one, many, all_ = cluster.task_updates
    assert list(one.update_mask.paths) == ["spec.priority", "spec.retry.max_attempts"]
    assert (one.task.spec.priority, one.task.spec.retry.max_attempts) == (0, 1)
    assert list(many.update_mask.paths) == ["spec.labels"]
    assert list(all_.update_mask.paths) == ["spec.not_before", "spec.timeout"]
    assert all_.task.spec.not_before.seconds == later.timestamp()
    assert not all_.task.spec.HasField("timeout")


async def test_the_asynchronous_client_does_the_same(address, cluster):
    ids = list(cluster.tasks)
    async with AsyncClient(address) as client:
        await client.get(ids[0]).update(delay=0)
        assert await client.update_tasks(ids[:3], priority=3) == Updated(updated=3)
    assert list(cluster.task_updates[0].update_mask.paths) == ["spec.not_before"]


def test_the_command_line_updates_ids_one_by_one_many_by_one_call_and_filters(quorate, cluster):
    ids = list(cluster.tasks)
    assert quorate("update", ids[0], "--priority", "5")[:2] == (0, f"{ids[0]} updated\n")
    assert quorate("update", *ids, "--delay", "0")[:2] == (0, "12 updated\n")
    code, out, err = quorate("update", "--queue", "q", "--label", "a=b", "--retries", "2")
    assert (code, out) == (1, "12 waiting\n")
    assert "--yes" in err
    assert quorate("update", "--all", "--timeout", "9", "--yes")[:2] == (0, "12 updated\n")
    assert list(cluster.task_updates[2].update_mask.paths) == [
        "spec.labels",
        "spec.retry.max_attempts",
    ]
    assert list(cluster.task_updates[3].states) == [3, 1, 4]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--all",), "at least one of --priority"),
        (("--priority", "1"), "or all of them by --all"),
        (("f" * 32, "--queue", "q", "--priority", "1"), "not both"),
        (("--state", "running", "--priority", "1"), "--state running: only waiting tasks"),
    ],
)
def test_what_cannot_be_meant_is_refused(quorate, words, said):
    code, out, err = quorate("update", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_limits_and_keys_are_replaced_and_an_empty_value_removes_them(address, cluster):
    ids = list(cluster.tasks)
    with Client(address) as client:
        client.get(ids[0]).update(limits=["licence", "api"], limit_key="k", ordering_key="")
        client.update_tasks(ids, limits=(), fairness_key="gold", dry_run=True)
        with pytest.raises(QuorateError, match="must be a list of names of limits, not 'api'"):
            client.update_tasks(ids, limits="api")
        with pytest.raises(QuorateError) as error:
            client.update_tasks(ids, ordering_key=7)  # type: ignore[arg-type]
        assert error.value.metadata["field"] == "ordering_key"
    one, many = cluster.task_updates
    assert list(one.update_mask.paths) == ["spec.limits", "spec.limit_key", "spec.ordering_key"]
    assert (list(one.task.spec.limits), one.task.spec.limit_key) == (["licence", "api"], "k")
    assert one.task.spec.ordering_key == ""
    assert list(many.update_mask.paths) == ["spec.limits", "spec.fairness_key"]
    assert (list(many.task.spec.limits), many.task.spec.fairness_key) == ([], "gold")


def test_the_command_line_changes_and_removes_limits_and_keys(quorate, cluster):
    (task, *_) = cluster.tasks
    given = ("--limit", "licence", "--limit", "api", "--limit-key", "k", "--fairness-key", "gold")
    assert quorate("update", task, *given)[0] == 0
    assert quorate("update", task, "--limit", "", "--ordering-key", "")[0] == 0
    one, two = cluster.task_updates
    assert list(one.task.spec.limits) == ["licence", "api"]
    assert (one.task.spec.limit_key, one.task.spec.fairness_key) == ("k", "gold")
    assert set(one.update_mask.paths) == {"spec.limits", "spec.limit_key", "spec.fairness_key"}
    assert set(two.update_mask.paths) == {"spec.limits", "spec.ordering_key"}
    assert not two.task.spec.limits
