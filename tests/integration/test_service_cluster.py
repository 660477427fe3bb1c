"""What each call about queues, nodes and the cluster promises."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from quorate.v1 import node_agent_pb2, node_pb2, scheduler_pb2
from quorate.v1 import queue_pb2 as q
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.served import Caller, Refused, Served, caller_of_served, served_by

served = served_by(nodes=2)
caller = caller_of_served


async def test_a_queue_from_creation_to_deletion_with_repeats(caller: Caller) -> None:
    asked = q.Queue(
        name="a.b-c_1",
        placement=q.PLACEMENT_STRATEGY_ROUND_ROBIN,
        disconnect=q.DISCONNECT_POLICY_STOP,
        retention=q.Retention(age=Duration(seconds=90, nanos=500_000_000), count=7),
        paused=True,
    )
    create = pb.CreateQueueRequest(queue=asked, request_id="create")
    made = (await caller.call("CreateQueue", create)).queue
    before = await caller.dump()
    assert (await caller.call("CreateQueue", create)).queue == made
    assert await caller.dump() == before
    assert (made.name, made.placement, made.disconnect) == (asked.name, 2, 2)
    assert made.retention == asked.retention
    # Output only: not taken from the request.
    assert not made.paused
    assert made.create_time.seconds > 1_700_000_000
    assert (await caller.call("GetQueue", pb.GetQueueRequest(name=asked.name))).queue == made
    delete = pb.DeleteQueueRequest(name=asked.name, request_id="delete")
    await caller.call("DeleteQueue", delete)
    before = await caller.dump()
    await caller.call("DeleteQueue", delete)
    assert await caller.dump() == before
    with pytest.raises(Refused) as answer:
        await caller.call("GetQueue", pb.GetQueueRequest(name=asked.name))
    assert answer.value.reason == "QUEUE_NOT_FOUND"


async def test_the_default_queue_exists_and_stays(caller: Caller) -> None:
    found = (await caller.call("GetQueue", pb.GetQueueRequest(name="default"))).queue
    assert (found.placement, found.disconnect) == (1, 1)
    assert (found.retention.age.seconds, found.retention.count) == (86_400, 100_000)
    with pytest.raises(Refused) as answer:
        await caller.call("DeleteQueue", pb.DeleteQueueRequest(name="default"))
    assert answer.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert answer.value.metadata == {"queue": "default"}


async def test_pausing_holds_back_and_resuming_lets_go(caller: Caller) -> None:
    await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name="pausing")))
    pause = pb.PauseQueueRequest(name="pausing", request_id="pause")
    assert (await caller.call("PauseQueue", pause)).queue.paused
    before = await caller.dump()
    assert (await caller.call("PauseQueue", pause)).queue.paused
    assert (await caller.call("PauseQueue", pb.PauseQueueRequest(name="pausing"))).queue.paused
    assert await caller.dump() == before
    spec = t.TaskSpec(command=t.CommandWork(argv=["true"]))
    made = await caller.call("CreateTask", pb.CreateTaskRequest(queue="pausing", spec=spec))
    found = (await caller.call("GetQueue", pb.GetQueueRequest(name="pausing"))).queue
    assert found.counts.pending == 1
    assert found.oldest_pending_time == made.task.create_time
    resumed = await caller.call("ResumeQueue", pb.ResumeQueueRequest(name="pausing"))
    assert not resumed.queue.paused
    # The repeat of the pause that was done is no new pause.
    assert not (await caller.call("PauseQueue", pause)).queue.paused
    done = await caller.call("WaitTask", pb.WaitTaskRequest(id=made.task.id))
    assert done.task.state == t.TASK_STATE_SUCCEEDED
    counts = (await caller.call("GetQueue", pb.GetQueueRequest(name="pausing"))).queue.counts
    assert (counts.pending, counts.succeeded, counts.finished_total) == (0, 1, 1)


async def names(caller: Caller, method: str, kind: str, size: int) -> list[list[str]]:
    """The names on each page."""
    found, token = [], ""
    while True:
        request = getattr(pb, f"{method}Request")(page_size=size, page_token=token)
        answer = await caller.call(method, request)
        found.append([item.name for item in getattr(answer, kind)])
        token = answer.next_page_token
        if not token:
            return found


async def test_lists_of_names_come_in_pages(caller: Caller) -> None:
    for name in ("zz3", "zz1", "zz2"):
        await caller.call("CreateQueue", pb.CreateQueueRequest(queue=q.Queue(name=name)))
    (whole,) = await names(caller, "ListQueues", "queues", 1_000)
    assert whole == sorted(whole)
    assert whole[-3:] == ["zz1", "zz2", "zz3"]
    paged = await names(caller, "ListQueues", "queues", 2)
    assert [name for page in paged for name in page] == whole
    assert {len(page) for page in paged[:-1]} == {2}
    # A queue that goes between two pages is no obstacle.
    first = await caller.call("ListQueues", pb.ListQueuesRequest(page_size=len(whole) - 2))
    await caller.call("DeleteQueue", pb.DeleteQueueRequest(name="zz1"))
    await caller.call("DeleteQueue", pb.DeleteQueueRequest(name="zz2"))
    request = pb.ListQueuesRequest(page_token=first.next_page_token)
    rest = await caller.call("ListQueues", request)
    assert [queue.name for queue in rest.queues] == ["zz3"]
    assert await names(caller, "ListNodes", "nodes", 1) == [["n1"], ["n2"]]


async def test_a_node_cordoned_drained_and_given_back(caller: Caller) -> None:
    async def state() -> Any:
        return (await caller.call("GetNode", pb.GetNodeRequest(name="n2"))).node.state

    node = (await caller.call("GetNode", pb.GetNodeRequest(name="n2"))).node
    assert (node.state, node.slots) == (node_pb2.NODE_STATE_READY, 2)
    assert node.address == caller.served.nodes["n2"]
    assert node.capacity.cpu > 0
    cordon = pb.CordonNodeRequest(name="n2", request_id="cordon")
    answer = (await caller.call("CordonNode", cordon)).node
    assert answer.state == node_pb2.NODE_STATE_CORDONED
    before = await caller.dump()
    await caller.call("CordonNode", cordon)
    await caller.call("CordonNode", pb.CordonNodeRequest(name="n2"))
    assert await caller.dump() == before
    spec = t.TaskSpec(command=t.CommandWork(argv=["true"]))
    made = await caller.call("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=[spec] * 6))
    for task in made.ids:
        done = (await caller.call("WaitTask", pb.WaitTaskRequest(id=task))).task
        assert [attempt.node for attempt in done.attempts] == ["n1"]
    drain = pb.DrainNodeRequest(name="n2", grace=Duration(seconds=1), request_id="drain")
    assert (await caller.call("DrainNode", drain)).node.state == node_pb2.NODE_STATE_DRAINED
    # Cordoning a node that drains does not end that.
    await caller.call("CordonNode", pb.CordonNodeRequest(name="n2"))
    assert await state() == node_pb2.NODE_STATE_DRAINED
    uncordon = pb.UncordonNodeRequest(name="n2", request_id="uncordon")
    answer = (await caller.call("UncordonNode", uncordon)).node
    assert answer.state == node_pb2.NODE_STATE_READY
    # The repeat of a drain that was done is no new drain.
    await caller.call("DrainNode", drain)
    assert await state() == node_pb2.NODE_STATE_READY
    with pytest.raises(Refused) as rejection:
        await caller.call("UncordonNode", pb.UncordonNodeRequest(name="n1", request_id="uncordon"))
    assert rejection.value.reason == "REQUEST_ID_REUSED"


async def test_the_cluster_describes_itself(caller: Caller) -> None:
    cluster = (await caller.call("GetCluster", pb.GetClusterRequest())).cluster
    assert cluster.name == caller.served.cluster
    assert cluster.nodes == 2
    (replica,) = cluster.schedulers
    assert (replica.name, replica.address, replica.leader) == ("s1", caller.served.address, True)
    assert cluster.epoch > 0
    assert cluster.etcd.members == 1
    assert cluster.etcd.version.startswith("3.")
    assert cluster.version


async def test_every_server_tells_its_health(caller: Caller) -> None:
    serving = health_pb2.HealthCheckResponse.SERVING
    for address, service in (
        (caller.served.address, "quorate.v1.Scheduler"),
        (caller.served.nodes["n1"], "quorate.v1.NodeAgent"),
    ):
        async with grpc.aio.insecure_channel(address) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            for name in ("", service):
                request = health_pb2.HealthCheckRequest(service=name)
                assert (await stub.Check(request, timeout=60)).status == serving
            with pytest.raises(grpc.aio.AioRpcError) as answer:
                await stub.Check(health_pb2.HealthCheckRequest(service="no.such"), timeout=10)
            assert answer.value.code() is grpc.StatusCode.NOT_FOUND


def test_every_server_lists_its_services(served: Served) -> None:
    for address, ours in (
        (served.address, scheduler_pb2.DESCRIPTOR.services_by_name["Scheduler"]),
        (served.nodes["n1"], node_agent_pb2.DESCRIPTOR.services_by_name["NodeAgent"]),
    ):
        with grpc.insecure_channel(address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            assert {ours.full_name, "grpc.health.v1.Health"} <= set(database.get_services())
            service = DescriptorPool(database).FindServiceByName(ours.full_name)
            assert set(service.methods_by_name) == set(ours.methods_by_name)
