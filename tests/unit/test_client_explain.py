"""Explanations from the SDK and the command line."""

import json

import pytest

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.v1 import explain_pb2, task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer

TASK = "f" * 32


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    task = task_pb2.Task(id=TASK, queue="q", state=task_pb2.TASK_STATE_PENDING)
    task.attempts.add(number=1, node="n1").error.type = "OSError"
    cluster.tasks[TASK] = task
    found = explain_pb2.Explanation(sentence="queue q: 1 tasks run", nodes_total=3)
    found.reasons.add(reason=explain_pb2.EXPLAIN_REASON_LIMIT, holders=["a" * 32])
    found.reasons.add(reason=explain_pb2.EXPLAIN_REASON_TURN, sentence="2 older tasks go first")
    found.nodes.add(node="n1", filter=explain_pb2.NODE_FILTER_SLOTS, sentence="node n1 is full")
    found.place.ahead, found.place.exact, found.place.higher_priority = 2, True, 1_000
    cluster.explanation.CopyFrom(found)
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


def test_the_first_line_is_the_answer(quorate):
    code, out, err = quorate("explain", TASK)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "Queue q: 1 tasks run"
    assert lines[1] == "Also: 2 older tasks go first"
    assert lines[2] == f"Held by: {'a' * 32}"
    place, others = lines[3].split(". ")
    assert place == "Position in line: 3rd of the tasks with the same needs and limits"
    assert others == "1,000 tasks with a higher priority also wait."
    assert lines[5] == "Apart from that, could a node take it?"
    assert ["n1", "no", "is", "full"] in [line.split() for line in lines]
    assert ["1", "n1"] in [line.split()[:2] for line in lines]
    assert "2 more nodes" in err


@pytest.mark.parametrize(
    ("sentence", "shown"), [("all are busy: node n1 is full", False), ("", True)]
)
def test_the_only_node_does_not_repeat_the_reason(quorate, cluster, sentence, shown):
    cluster.explanation.nodes_total = 1
    cluster.explanation.sentence = sentence
    _, out, _ = quorate("explain", TASK)
    assert (["n1", "no"] in [line.split()[:2] for line in out.splitlines()]) is shown
    assert "could a node" not in out or shown


def test_where_nodes_are_the_reason_the_question_is_about_them(quorate, cluster):
    cluster.explanation.reasons[0].reason = explain_pb2.EXPLAIN_REASON_NODES_BUSY
    cluster.explanation.nodes.add(node="n2", filter=explain_pb2.NODE_FILTER_NONE)
    cluster.explanation.nodes[1].sentence = "node n2 has room"
    _, out, _ = quorate("explain", TASK)
    assert "Could a node take it?" in out.splitlines()
    assert ["n2", "yes", "has", "room"] in [line.split() for line in out.splitlines()]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [(0, "1st"), (1, "2nd"), (10, "11th"), (11, "12th"), (20, "21st"), (1_110, "1,111th")],
)
def test_the_position_is_an_ordinal(quorate, cluster, ahead, words):
    cluster.explanation.place.ahead = ahead
    assert f"Position in line: {words} of the tasks" in quorate("explain", TASK)[1]


def test_json_is_the_whole_answer(quorate):
    found = json.loads(quorate("explain", TASK, "--json")[1])
    assert found["reasons"][0]["reason"] == "EXPLAIN_REASON_LIMIT"
    assert found["task"]["id"] == TASK


def test_an_unknown_task_is_said_so(quorate):
    code, out, err = quorate("explain", "0" * 32)
    assert (code, out) == (3, "")
    assert "does not exist" in err


async def test_both_clients_have_it(address):
    with Client(address) as client:
        assert client.get(TASK).explain().sentence == "queue q: 1 tasks run"
    async with AsyncClient(address) as client:
        assert (await client.get(TASK).explain()).place.ahead == 2
