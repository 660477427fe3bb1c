"""ExplainTask: what waits, and how tasks ended; typed errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1 import explain_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.tasks.explaining import ended, nodes_question, place_in_words
from scheduler.core.model import events as e
from scheduler.core.placement.explain import Filter, Why
from tests.support.core_specs import node_row
from tests.support.one_leader import Leader, leading

NODE = InstanceId("n1-1")


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


async def create(leader: Leader, **fields: Any) -> TaskId:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]), **fields)
    return TaskId((await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task.id)


async def explain(leader: Leader, task: str) -> explain_pb2.Explanation:
    answer = await leader.call("ExplainTask", pb.ExplainTaskRequest(id=task))
    assert isinstance(answer, pb.ExplainTaskResponse)
    return answer.explanation


def node(leader: Leader, credit: int = 4) -> None:
    row = node_row("n1", NODE)
    leader.driver.handle(
        (
            e.NodeRegistered(row),
            e.SessionOpened(row.name, NODE, (), ()),
            e.CreditReported(row.name, NODE, credit),
        )
    )


async def test_a_waiting_task_has_reasons_nodes_and_a_place(leader: Leader) -> None:
    node(leader, credit=0)
    first = await create(leader)
    task = await create(leader, labels={"a": "b"})
    found = await explain(leader, task)
    assert [one.reason for one in found.reasons] == [
        explain_pb2.EXPLAIN_REASON_NODES_BUSY,
        explain_pb2.EXPLAIN_REASON_TURN,
    ]
    assert found.sentence == found.reasons[0].sentence
    assert (found.place.ahead, found.place.exact, found.place.next) == (1, True, first)
    among = "Position among the tasks of queue 'default' with the same priority, needs and limits"
    assert found.place.sentence == f"{among}: 2nd"
    # The reason has what the only node says.
    assert not found.nodes_question
    assert [(one.node, one.filter) for one in found.nodes] == [
        ("n1", explain_pb2.NODE_FILTER_SLOTS)
    ]
    assert (found.task.id, found.nodes_total) == (task, 1)


@pytest.mark.parametrize(
    ("ahead", "exact", "words"),
    [
        *((0, True, "1st"), (1, True, "2nd"), (2, False, "about 3rd"), (10, True, "11th")),
        *((11, True, "12th"), (20, True, "21st"), (1_110, True, "1,111th")),
    ],
)
def test_the_position_is_an_ordinal(ahead: int, exact: bool, words: str) -> None:
    place = explain_pb2.ExplanationPlace(ahead=ahead, exact=exact)
    among = "Position among the tasks of queue 'q' with the same priority, needs and limits"
    assert place_in_words(place, "q") == f"{among}: {words}"


def test_the_position_counts_all_that_wait_and_a_tenants_own() -> None:
    place = explain_pb2.ExplanationPlace(higher_priority=1, other_lanes=1, other_tenants=5)
    words = place_in_words(place, "q")
    among = (
        "the tasks of queue 'q' and of its fairness key with the same priority, needs and limits"
    )
    assert words == (
        f"Position among {among}: about 1st. 1 task with a higher priority goes first. 1 task with "
        "other needs or limits waits too and may go first"
    )
    place.higher_priority, place.other_lanes = 2, 3
    assert place_in_words(place, "q").endswith(
        ". 2 tasks with a higher priority go first. 3 tasks with other needs or limits wait too "
        "and may go first"
    )


@pytest.mark.parametrize(
    ("reason", "total", "question"),
    [
        ("NODES_BUSY", 2, "Could a node take it?"),
        ("LIMIT", 2, "Apart from that, could a node take it?"),
        ("LIMIT", 1, "Apart from that, could a node take it?"),
        # Its sentence has what the only node says.
        ("NODES_BUSY", 1, ""),
        ("QUEUE_PAUSED", 2, ""),
    ],
)
def test_what_nodes_are_asked(reason: str, total: int, question: str) -> None:
    answer = explain_pb2.Explanation(nodes_total=total)
    sentence = "all are busy: node n1 is full" if reason == "NODES_BUSY" else "wait"
    number = explain_pb2.ExplainReason.Value(f"EXPLAIN_REASON_{reason}")
    answer.reasons.add(reason=number, sentence=sentence)
    answer.nodes.add(node="n1", sentence="node n1 is full")
    assert nodes_question(answer) == question


async def test_a_running_task_and_its_end_attempt_by_attempt(leader: Leader) -> None:
    node(leader)
    task = await create(leader)
    assert (await explain(leader, task)).reasons[0].reason == explain_pb2.EXPLAIN_REASON_ASSIGNED
    row = leader.driver.state.tasks[task]
    error = task_pb2.TaskError(type="OSError", message="no\nspace")
    leader.driver.handle(
        (e.AttemptFailed(NODE, task, row.attempt, 1.0, 2.0, "OSError", "no\nspace", error),)
    )
    found = await explain(leader, task)
    assert found.reasons[0].reason == explain_pb2.EXPLAIN_REASON_FAILED
    assert "attempt 1 failed on node n1 at " in found.sentence
    assert found.sentence.endswith("with OSError: no space; no attempt is left")
    assert [one.error.type for one in found.task.attempts] == ["OSError"]
    assert not found.nodes


async def test_a_cancelled_task(leader: Leader) -> None:
    task = await create(leader)
    await leader.call("CancelTask", pb.CancelTaskRequest(id=task))
    found = await explain(leader, task)
    assert found.reasons[0].reason == explain_pb2.EXPLAIN_REASON_CANCELLED


@pytest.mark.parametrize(
    ("state", "error", "why"),
    [
        (task_pb2.TASK_STATE_SUCCEEDED, "", Why.SUCCEEDED),
        (task_pb2.TASK_STATE_FAILED, "ValueError", Why.FAILED),
        (task_pb2.TASK_STATE_FAILED, "CRASH_LIMIT", Why.CRASH_LIMIT),
        (task_pb2.TASK_STATE_FAILED, "QUEUE_FULL", Why.DROPPED),
        (task_pb2.TASK_STATE_CANCELLED, "CANCELLED", Why.CANCELLED),
        (task_pb2.TASK_STATE_EXPIRED, "START_DEADLINE", Why.EXPIRED),
    ],
)
def test_each_reason_of_a_finished_task(state: task_pb2.TaskState, error: str, why: Why) -> None:
    view = task_pb2.Task(
        id="t", state=state, attempt=1, error=task_pb2.TaskError(type=error, message="it broke")
    )
    found = ended(view)
    assert found.why is why
    assert found.sentence


def test_the_numbers_are_those_of_the_contract() -> None:
    for enum, kind, prefix in (
        (Why, explain_pb2.ExplainReason, "EXPLAIN_REASON_"),
        (Filter, explain_pb2.NodeFilter, "NODE_FILTER_"),
    ):
        known = {name.removeprefix(prefix): number for name, number in kind.items() if number}
        assert {one.name: one.value for one in enum} == known


async def test_an_unknown_task_is_not_found(leader: Leader) -> None:
    with pytest.raises(QuorateError) as error:
        await explain(leader, "0" * 32)
    assert error.value.reason == "TASK_NOT_FOUND"
    with pytest.raises(QuorateError) as error:
        await explain(leader, "")
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
