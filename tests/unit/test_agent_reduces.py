"""Reduces at the agent: which results the leader is asked for, and whose answer counts."""

from __future__ import annotations

from node_agent.core.attempts import Attempt, Ref
from node_agent.core.chunks.chunk import Chunk
from node_agent.core.chunks.inputs import ReduceInput, ResultsPage, Wanted
from node_agent.session import chunk_messages
from node_agent.session.chunk_messages import Templates
from node_agent.session.outgoing import Outgoing
from node_agent.task.work import ArrayCall, Unreadable
from quorate.runtime.ids import Epoch
from quorate.runtime.ranges import Ranges
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import node_agent_pb2 as pb
from tests.support.agent_machine import Node

REF = Ref("c", 1)


def reduce_of(node: Node) -> Attempt:
    chunk = Chunk("level", Ranges.span(0, 2), reduce=ReduceInput(10, 5, False))
    attempt = Attempt("c", 1, work=None, warm=True, waited=True, chunk=chunk)
    assert node.assign(attempt).start == [attempt]
    node.machine.on_began(attempt, node.now)
    return attempt


def test_the_leader_is_asked_once_and_again_in_each_new_session():
    node = Node(1)
    attempt = reduce_of(node)
    node.machine.on_results_wanted(attempt, Wanted(5, 0))
    assert node.settle().wanted == [attempt]
    assert node.tick().wanted == []
    node.machine.on_session_closed()
    node.machine.on_results_wanted(attempt, Wanted(6, 4))
    assert node.settle().wanted == []
    node.machine.on_session_opened(Epoch(9))
    assert node.settle().wanted == [attempt]


def test_only_the_answer_to_the_newest_request_counts():
    node = Node(1)
    attempt = reduce_of(node)
    node.machine.on_results_wanted(attempt, Wanted(5, 0))
    node.machine.on_results_wanted(attempt, Wanted(6, 0))
    assert node.machine.on_results(REF, 5) is None
    assert node.machine.on_results(Ref("c", 2), 6) is None
    assert node.machine.on_results(Ref("other", 1), 6) is None
    assert node.machine.on_results(REF, 6) is attempt
    assert node.machine.on_results(REF, 6) is None


def test_requests_and_pages_as_messages():
    node = Node(1)
    attempt = reduce_of(node)
    node.machine.on_results_wanted(attempt, Wanted(5, 7))
    outgoing = Outgoing("i")
    outgoing.add(node.settle(), 1.0, 1.0, hold=True)
    response = outgoing.next(1.0)
    assert response is not None
    [request] = response.read_results
    assert (request.task_id, request.attempt, request.number) == ("c", 1, 5)
    assert request.first_position == 7
    page = pb.ResultsPage(task_id="c", attempt=1, number=5, first_position=7, next_position=9)
    page.runs.add(first=7, kind=job_pb2.ResultRun.KIND_PICKLE, values=[b"p", b""])
    assert chunk_messages.page_of(page) == (
        REF,
        5,
        ResultsPage(7, 9, ((7, True, (b"p", b"")),), ""),
    )
    page.runs[0].first = 8
    assert chunk_messages.page_of(page)[2] == ResultsPage(
        7, 7, (), "the leader sent results of other positions"
    )


def test_a_reduce_is_a_python_function():
    item = pb.Assignment(task_id="c", attempt=1)
    item.chunk.job_id = "level"
    item.chunk.ranges.add(first=0, last=0)
    item.reduce.count, item.reduce.fan_in = 10, 5
    spec = task_pb2.TaskSpec()
    spec.python.entrypoint = "m:f"
    item.spec = spec.SerializeToString()
    attempt = Templates().attempt_of(item)
    assert attempt is not None
    assert type(attempt.work) is ArrayCall
    assert attempt.chunk is not None
    assert attempt.chunk.reduce == ReduceInput(10, 5, False)
    spec.command.argv.append("true")
    item.spec = spec.SerializeToString()
    attempt = Templates().attempt_of(item)
    assert attempt is not None
    assert isinstance(attempt.work, Unreadable)
