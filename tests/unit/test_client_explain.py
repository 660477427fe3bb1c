"""Explanations from the SDK and the command line."""

import json

import pytest

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.v1 import explain_pb2, task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer

TASK = "f" * 32
LIMITED = "waits for limit 'seats': 1 of 1 in use"


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    task = task_pb2.Task(id=TASK, queue="q", state=task_pb2.TASK_STATE_PENDING)
    task.attempts.add(number=1, node="n1").error.type = "OSError"
    cluster.tasks[TASK] = task
    found = explain_pb2.Explanation(sentence=LIMITED, nodes_total=3)
    found.reasons.add(reason=explain_pb2.EXPLAIN_REASON_LIMIT, holders=["a" * 32])
    found.reasons.add(reason=explain_pb2.EXPLAIN_REASON_TURN, sentence="waits for its turn")
    found.nodes.add(node="n1", filter=explain_pb2.NODE_FILTER_SLOTS, sentence="node n1 is full")
    found.place.ahead, found.place.sentence = 2, "Position in queue 'q': 3rd"
    found.nodes_question = "Apart from that, could a node take it?"
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
    assert lines[0] == f"Waits for limit 'seats': 1 of 1 in use, by task {'a' * 32}"
    assert lines[1] == "Also waits for its turn"
    assert lines[2] == "Position in queue 'q': 3rd"
    assert lines[4] == "Apart from that, could a node take it?"
    assert ["n1", "no", "is", "full"] in [line.split() for line in lines]
    assert ["1", "n1"] in [line.split()[:2] for line in lines]
    assert "2 more nodes" in err


def test_nodes_that_say_nothing_more_are_not_shown(quorate, cluster):
    cluster.explanation.nodes_question = ""
    _, out, _ = quorate("explain", TASK)
    assert "could a node" not in out
    assert ["n1", "no"] not in [line.split()[:2] for line in out.splitlines()]


def test_a_node_that_would_take_the_task_answers_yes(quorate, cluster):
    cluster.explanation.nodes.add(node="n2", filter=explain_pb2.NODE_FILTER_NONE)
    cluster.explanation.nodes[1].sentence = "node n2 has room"
    _, out, _ = quorate("explain", TASK)
    assert ["n2", "yes", "has", "room"] in [line.split() for line in out.splitlines()]


def test_tasks_that_are_waited_for_are_named_once(quorate, cluster):
    [reason, _] = cluster.explanation.reasons
    reason.reason = explain_pb2.EXPLAIN_REASON_BLOCKED
    assert quorate("explain", TASK)[1].splitlines()[0].endswith(f"in use (task {'a' * 32})")
    cluster.explanation.sentence = f"waits for the end of task {'a' * 32}"
    assert quorate("explain", TASK)[1].count("a" * 32) == 1
    reason.holders[:] = [letter * 32 for letter in "abcde"]
    reason.reason = explain_pb2.EXPLAIN_REASON_LIMIT
    cluster.explanation.sentence = LIMITED
    assert f", by tasks such as {'a' * 32}, {'b' * 32}, " in quorate("explain", TASK)[1]


def test_a_task_that_fits_no_node_has_no_position_and_a_next_step(quorate, cluster):
    [reason, _] = cluster.explanation.reasons
    reason.reason = explain_pb2.EXPLAIN_REASON_NO_NODE_FITS
    cluster.explanation.nodes[0].filter = explain_pb2.NODE_FILTER_MEMORY
    _, out, err = quorate("explain", TASK)
    assert "Position" not in out
    assert "turn" not in out
    assert f"Add a node that the task fits, or cancel the task: quorate cancel {TASK}" in err
    # One that is cordoned may take work again.
    cluster.explanation.nodes[0].filter = explain_pb2.NODE_FILTER_CORDONED
    _, out, err = quorate("explain", TASK)
    assert "Position" in out
    assert "cancel" not in err


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
        assert client.get(TASK).explain().sentence == LIMITED
    async with AsyncClient(address) as client:
        assert (await client.get(TASK).explain()).place.ahead == 2
