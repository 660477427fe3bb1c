"""What entity tags tell: lost updates for `If-Match`, old figures for `If-None-Match`."""

from __future__ import annotations

import grpc
import httpx
import pytest

from gateway.rest.masks import output_of
from gateway.rest.operations import operations_of
from quorate.runtime.errors import QuorateError
from quorate.v1 import node_pb2, output_pb2, queue_pb2
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import service_pb2 as services
from tests.support.rest import ScriptedUpstream, client_of, problem


@pytest.fixture
def upstream() -> ScriptedUpstream:
    return ScriptedUpstream()


@pytest.fixture
def client(upstream: ScriptedUpstream) -> httpx.AsyncClient:
    made: httpx.AsyncClient = client_of(upstream)
    return made


async def test_a_node_that_idles_keeps_what_if_match_compares(client, upstream):
    node = node_pb2.Node(name="n1", instance="i", state=node_pb2.NODE_STATE_READY, slots=4)
    upstream.answers["GetNode"] = answer = pb.GetNodeResponse(node=node)
    tag = (await client.get("/v1/nodes/n1")).headers["etag"]
    answer.node.stats.cpu = 0.25
    answer.node.running = answer.node.assigned = 1
    answer.node.idle_since.GetCurrentTime()
    moved = await client.get("/v1/nodes/n1", headers={"If-None-Match": tag})
    # The figures are new: a 304 would hide them.
    assert (moved.status_code, moved.headers["etag"] == tag) == (200, False)
    for known in (tag, moved.headers["etag"]):
        fresh = {"If-Match": known}
        assert (await client.get("/v1/nodes/n1", headers=fresh)).status_code == 200
        assert (await client.post("/v1/nodes/n1:cordon", headers=fresh)).status_code == 200
    answer.node.state = node_pb2.NODE_STATE_CORDONED
    response = await client.post("/v1/nodes/n1:drain", headers={"If-Match": tag})
    problem(response, 412, "ETAG_MISMATCH")


async def test_a_queue_at_work_keeps_what_if_match_compares(client, upstream):
    upstream.answers["GetQueue"] = answer = pb.GetQueueResponse(queue={"name": "q"})
    fresh = {"If-Match": (await client.get("/v1/queues/q")).headers["etag"]}
    answer.queue.counts.pending = 7
    answer.queue.oldest_pending_time.GetCurrentTime()
    assert (await client.post("/v1/queues/q:pause", headers=fresh)).status_code == 200
    for changed in (
        queue_pb2.Queue(name="q", paused=True),
        queue_pb2.Queue(name="q", create_time={"seconds": 5}),
    ):
        upstream.answers["GetQueue"] = pb.GetQueueResponse(queue=changed)
        problem(await client.delete("/v1/queues/q", headers=fresh), 412, "ETAG_MISMATCH")


async def test_a_list_that_stays_is_known_whatever_else_is_written(client, upstream):
    upstream.answers["ListQueues"] = answer = pb.ListQueuesResponse(queues=[{"name": "q"}])
    answer.revision = 5
    known = {"If-None-Match": (await client.get("/v1/queues")).headers["etag"]}
    answer.revision = 9
    assert (await client.get("/v1/queues", headers=known)).status_code == 304
    answer.queues[0].counts.pending = 1
    assert (await client.get("/v1/queues", headers=known)).status_code == 200


async def test_the_condition_on_a_service_is_the_services_to_check(client, upstream):
    service = services.Service(name="s", etag="7")
    upstream.answers["GetService"] = answer = services.GetServiceResponse(service=service)
    tag = (await client.get("/v1/services/s")).headers["etag"]
    answer.service.ready = 1
    assert (await client.get("/v1/services/s", headers={"If-None-Match": tag})).status_code == 200
    for known in (tag, '"7"'):
        upstream.calls.clear()
        body = {"spec": {"replicas": 2}}
        await client.patch("/v1/services/s", json=body, headers={"If-Match": known})
        ((name, request, _),) = upstream.calls
        assert (name, request.service.etag) == ("UpdateService", "7")
    error = QuorateError(grpc.StatusCode.ABORTED, "ETAG_MISMATCH", "another version")
    upstream.answers["UpdateService"] = error
    response = await client.patch("/v1/services/s", json=body, headers={"If-Match": tag})
    problem(response, 412, "ETAG_MISMATCH")


async def test_the_cluster_is_another_answer_for_somebody_else(client, upstream):
    upstream.answers["GetCluster"] = answer = pb.GetClusterResponse(cluster={"name": "c"})
    answer.caller.name = "viewer:eve"
    tag = (await client.get("/v1/cluster")).headers["etag"]
    same = {"If-None-Match": tag}
    assert (await client.get("/v1/cluster", headers=same)).status_code == 304
    answer.caller.name = "admin:alice"
    other = await client.get("/v1/cluster", headers=same)
    assert (other.status_code, other.headers["etag"] == tag) == (200, False)
    # It is the same cluster.
    assert (await client.get("/v1/cluster", headers={"If-Match": tag})).status_code == 200


def test_nothing_that_a_call_changes_is_taken_for_a_figure():
    live = {
        field.full_name.removeprefix("quorate.v1.")
        for operation in operations_of()
        if operation.reads and (resource := operation.resource_field) is not None
        for field in resource.message_type.fields  # type: ignore[union-attr]
        if output_of(field) == output_pb2.OUTPUT_LIVE
    }
    assert live == {
        *("Node.stats", "Node.assigned", "Node.running", "Node.idle_since", "Node.leaving_since"),
        "Node.fault",
        *("Queue.counts", "Queue.durations", "Queue.oldest_pending_time"),
        *("Service.instances", "Service.ready", "Service.updated", "Service.pending_reason"),
        *("Limit.running", "Limit.live_tasks"),
        *("Cluster.revision", "Cluster.clock_offset", "Cluster.problems", "Cluster.problems_time"),
        *("Schedule.state", "Schedule.next_ticks", "Schedule.last_runs", "Schedule.last_misses"),
        *("Schedule.runs", "Schedule.missed_ticks", "Schedule.live_runs"),
        *("Schedule.waiting_ticks", "Schedule.remaining_runs", "Schedule.backfill"),
        "Schedule.blocked_reason",
    }
