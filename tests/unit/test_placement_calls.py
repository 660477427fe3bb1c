"""Calls with placement rules and taints: bounds, answers, what a retried call does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import placement_pb2 as p
from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.model import events as e
from scheduler.core.place_rules import Taint
from tests.support.core_specs import node_row
from tests.support.one_leader import Leader, leading

LONG = "x" * 129


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        leader.driver.handle((e.NodeRegistered(node_row("n1", "i1", taints=[Taint("gpu")])),))
        yield leader


def rules(**fields: object) -> p.PlacementRules:
    return p.PlacementRules(**fields)  # type: ignore[arg-type]


def rule(label: str = "disk", operator: int = 0, *values: str) -> p.PlacementRules:
    return rules(nodes=[p.NodeRule(label=label, operator=operator, values=values)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("placement", "field"),
    [
        (rule("", 1, "ssd"), "nodes[0].label"),
        (rule(LONG, 1, "ssd"), "nodes[0].label"),
        (rule("disk", 9, "ssd"), "nodes[0].operator"),
        (rule("disk", 1), "nodes[0].values"),
        (rule("disk", 3, "ssd"), "nodes[0].values"),
        (rule("disk", 1, LONG), "nodes[0].values"),
        (rule("disk", 1, *("x" for _ in range(65))), "nodes[0].values"),
        (rules(tolerations=[p.Toleration()]), "tolerations[0].key"),
        (rules(tolerations=[p.Toleration(key="*", value="x")]), "tolerations[0].value"),
        (rules(near=[p.TaskRule(value="x")]), "near[0].label"),
        (rules(apart=[p.TaskRule(label="x", value=LONG)]), "apart[0].value"),
        (rules(distinct=["app"]), "distinct[0]"),
        (rules(strategy=7), "strategy"),
        (rules(spread="zone"), "spread"),
        (rules(near=[p.TaskRule(label="x")] * 33), ""),
    ],
)
async def test_rules_out_of_bounds_are_refused(
    leader: Leader, placement: p.PlacementRules, field: str
) -> None:
    spec = task_pb2.TaskSpec(command={"argv": ["true"]}, placement=placement)
    with pytest.raises(QuorateError) as error:
        await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.metadata["field"] == f"spec.placement{field and f'.{field}'}"


async def test_a_task_that_no_node_suits_is_accepted_with_the_reason(leader: Leader) -> None:
    spec = task_pb2.TaskSpec(command={"argv": ["true"]})
    made = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task
    assert made.pending_reason.startswith("every node has a taint that the task does not tolerate")
    spec.placement.CopyFrom(rules(tolerations=[p.Toleration(key="gpu")]))
    made = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task
    assert not made.pending_reason
    read = (await leader.call("GetTask", pb.GetTaskRequest(id=made.id))).task
    assert read.spec.placement == spec.placement


async def test_taints_are_set_and_removed(leader: Leader) -> None:
    async def taint(key: str, value: str = "") -> list[tuple[str, str]]:
        request = pb.TaintNodeRequest(name="n1", taint=p.Taint(key=key, value=value))
        node = (await leader.call("TaintNode", request)).node
        assert [one.key for one in node.agent_taints] == ["gpu"]
        return [(one.key, one.value) for one in node.taints]

    async def untaint(key: str, value: str | None = None) -> list[tuple[str, str]]:
        request = pb.UntaintNodeRequest(name="n1", key=key, value=value)
        node = (await leader.call("UntaintNode", request)).node
        return [(one.key, one.value) for one in node.taints]

    assert await taint("dedicated", "ml") == [("dedicated", "ml")]
    assert await taint("dedicated", "ml") == [("dedicated", "ml")]
    assert await taint("dedicated", "web") == [("dedicated", "ml"), ("dedicated", "web")]
    await leader.call("CordonNode", pb.CordonNodeRequest(name="n1"))
    await leader.call("UncordonNode", pb.UncordonNodeRequest(name="n1"))
    assert await untaint("dedicated", "ml") == [("dedicated", "web")]
    assert await untaint("dedicated") == []
    assert await untaint("dedicated") == []


@pytest.mark.parametrize(
    ("key", "field"), [("", "taint.key"), ("*", "taint.key"), ("a=b", "taint.key"), (LONG, "")]
)
async def test_a_taint_out_of_bounds_is_refused(leader: Leader, key: str, field: str) -> None:
    with pytest.raises(QuorateError) as error:
        await leader.call("TaintNode", pb.TaintNodeRequest(name="n1", taint=p.Taint(key=key)))
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.metadata["field"] == (field or "taint.key")


async def test_a_node_has_so_many_taints_and_no_more(leader: Leader) -> None:
    for number in range(16):
        taint = p.Taint(key=f"k{number}")
        await leader.call("TaintNode", pb.TaintNodeRequest(name="n1", taint=taint))
    with pytest.raises(QuorateError) as error:
        await leader.call("TaintNode", pb.TaintNodeRequest(name="n1", taint=p.Taint(key="more")))
    assert error.value.metadata == {"field": "taint", "limit": "16", "value": "17"}


async def test_a_taint_of_the_agent_is_not_removed_by_a_call(leader: Leader) -> None:
    with pytest.raises(QuorateError) as error:
        await leader.call("UntaintNode", pb.UntaintNodeRequest(name="n1", key="gpu"))
    assert error.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.reason == "TAINT_OF_AGENT"


async def test_no_node_no_taint(leader: Leader) -> None:
    with pytest.raises(QuorateError) as error:
        await leader.call("TaintNode", pb.TaintNodeRequest(name="n9", taint=p.Taint(key="x")))
    assert error.value.code is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"placement": 7}, "placement"),
        ({"spread_label": "zone"}, "spread_label"),
        ({"placement": 5, "spread_label": LONG}, "spread_label"),
        ({"filters": ["not a name"]}, "filters[0]"),
        ({"filters": ["x"] * 9}, "filters"),
        ({"score": "not a name"}, "score"),
    ],
)
async def test_settings_of_a_queue_out_of_bounds_are_refused(
    leader: Leader, fields: dict[str, object], field: str
) -> None:
    queue = queue_pb2.Queue(name="q", **fields)  # type: ignore[arg-type]
    with pytest.raises(QuorateError) as error:
        await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue))
    assert error.value.metadata["field"] == f"queue.{field}"


async def test_settings_of_a_queue_are_kept_and_changed(leader: Leader) -> None:
    queue = queue_pb2.Queue(name="q", placement=5, spread_label="zone", filters=["a", "b"])  # type: ignore[arg-type]
    made = (await leader.call("CreateQueue", pb.CreateQueueRequest(queue=queue))).queue
    assert (made.spread_label, list(made.filters), made.score) == ("zone", ["a", "b"], "")
    update = pb.UpdateQueueRequest(queue=queue_pb2.Queue(name="q", score="cheap"))
    update.update_mask.paths.extend(["score", "filters"])
    await leader.call("UpdateQueue", update)
    read = (await leader.call("GetQueue", pb.GetQueueRequest(name="q"))).queue
    assert (read.spread_label, list(read.filters), read.score) == ("zone", [], "cheap")
