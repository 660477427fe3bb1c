"""`quorate cancel` with a filter, and with more ids than a screen holds."""

import json

import pytest

from quorate.cli.app import run
from quorate.cli.exits import NOT_FOUND
from tests.support.fake_scheduler import FakeCluster, FakeServer


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    yield cluster
    cluster.close()


@pytest.fixture
def quorate(cluster, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("QUORATE_ADDRESS", FakeServer(cluster).address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments):
        code = run(list(arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return call


def submit(quorate, count: int) -> list[str]:
    return [quorate("submit", "--", "true")[1].strip() for _ in range(count)]


def live(cluster) -> int:
    return sum(task.state == 3 for task in cluster.tasks.values())


def test_a_filter_says_how_many_there_are_and_cancels_with_yes(quorate, cluster):
    submit(quorate, 3)
    code, out, err = quorate("cancel", "--queue", "default", "--state", "pending")
    assert (code, out) == (1, "3 scheduled or pending\n")
    assert "--yes" in err
    assert live(cluster) == 3
    assert quorate("cancel", "--queue", "default", "--state", "pending", "--yes")[:2] == (
        0,
        "3 cancelled\n",
    )
    assert live(cluster) == 0
    assert quorate("cancel", "--queue", "default")[:2] == (0, "0 scheduled or pending\n")
    states = [list(request.states) for request in cluster.bulk_cancels]
    assert states == [[3], [3], []]


def test_many_subtasks_are_one_call_too(quorate, cluster):
    ids = [f"{'a' * 32}.{index}" for index in range(12)]
    assert quorate("cancel", *ids)[0] == NOT_FOUND
    assert list(cluster.bulk_cancels[-1].ids) == ids
    assert quorate("retry", *ids)[0] == NOT_FOUND
    assert list(cluster.bulk_retries[-1].ids) == ids


def test_many_ids_are_one_call_and_one_line(quorate, cluster):
    ids = submit(quorate, 12)
    quorate("cancel", ids[0])
    code, out, _ = quorate("cancel", *ids)
    assert (code, out) == (5, "11 cancelled, 1 finished already\n")
    assert len(cluster.bulk_cancels) == 1
    assert quorate("cancel", *ids[:11], "f" * 32)[:2] == (
        3,
        "0 cancelled, 11 finished already, 1 not found\n",
    )


def test_json_has_the_counts(quorate, cluster):
    ids = submit(quorate, 2)
    code, out, _ = quorate("cancel", "--json", *ids)
    assert code == 0
    assert json.loads(out) == {"cancelled": 2, "stopping": 0, "finished": 0, "not_found": 0}


def test_ids_and_a_filter_or_neither_are_refused(quorate, cluster):
    (task,) = submit(quorate, 1)
    for words in (("cancel", task, "--queue", "default", "--yes"), ("cancel", "--yes")):
        code, out, err = quorate(*words)
        assert (code, out) == (2, "")
        assert "ID" in err
    code, _, err = quorate("cancel", "--state", "nonsense", "--yes")
    assert code == 2
    assert "nonsense" in err
    for state in ("failed", "assigned"):
        code, _, err = quorate("cancel", "--state", state, "--yes")
        assert code == 2
        assert f"--state {state}: " in err
    assert live(cluster) == 1


def test_everything_is_cancelled_only_with_all(quorate, cluster):
    submit(quorate, 3)
    code, out, err = quorate("cancel", "--yes")
    assert (code, out) == (2, "")
    assert "all of them by --all" in err
    assert quorate("cancel", "--all")[:2] == (1, "3 scheduled or pending\n")
    assert live(cluster) == 3
    assert quorate("cancel", "--all", "--yes")[:2] == (0, "3 cancelled\n")
    assert live(cluster) == 0
