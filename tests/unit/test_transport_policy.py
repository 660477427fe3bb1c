"""The rules of calls to schedulers, for the SDK and the gateway alike."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import grpc
import pytest
from grpc.aio import Metadata

from gateway.cluster.calls import Upstream
from gateway.cluster.methods import method_of
from gateway.cluster.upstream_errors import UpstreamError
from quorate.client.transport.endpoints import Endpoints
from quorate.client.transport.policy import Failure, Pauses, failure_of
from quorate.runtime.errors import QuorateError, abort, from_rpc_error, to_status, unavailable
from quorate.runtime.pending import PENDING_OPTIONS
from quorate.v1 import cluster_pb2, scheduler_pb2_grpc
from quorate.v1 import scheduler_pb2 as pb

C = grpc.StatusCode
SCHEDULER = pb.DESCRIPTOR.services_by_name["Scheduler"]
CREATE = method_of(SCHEDULER, "CreateTask")


def limited(reason: str) -> QuorateError:
    error = QuorateError(C.RESOURCE_EXHAUSTED, reason, "too much")
    error.retry_delay = 0.1
    return error


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (QuorateError(C.UNAVAILABLE, "NO_LEADER", "nobody leads"), Failure.LOST),
        (QuorateError(C.UNAVAILABLE, "ETCD_SPACE_LOW", "etcd is full"), Failure.FINAL),
        (QuorateError(C.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "late"), Failure.SILENT),
        (QuorateError(C.NOT_FOUND, "TASK_NOT_FOUND", "no"), Failure.FINAL),
        (QuorateError(C.CANCELLED, "ASKED_TO", "it was"), Failure.FINAL),
        (QuorateError(C.RESOURCE_EXHAUSTED, "TOO_MANY_WATCHES", "no"), Failure.FINAL),
        (limited("CALL_RATE_EXCEEDED"), Failure.LIMITED),
        (limited("TOO_MANY_LIVE_TASKS"), Failure.FINAL),
    ],
)
def test_what_a_scheduler_answers_decides_whether_the_call_is_repeated(answer, kind):
    details = ("grpc-status-details-bin", to_status(answer).SerializeToString())
    error = grpc.aio.AioRpcError(answer.code, Metadata(), Metadata(details), answer.message, None)
    assert failure_of(error, from_rpc_error(error)) is kind


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (C.UNAVAILABLE, "failed to connect", Failure.LOST),
        (C.DEADLINE_EXCEEDED, "Deadline Exceeded", Failure.SILENT),
        (C.CANCELLED, "", Failure.SHED),
        (C.CANCELLED, "Locally cancelled by application!", Failure.FINAL),
        (C.INTERNAL, "oops", Failure.FINAL),
    ],
)
def test_what_grpc_itself_finds_decides_too(code, details, kind):
    error = grpc.aio.AioRpcError(code, Metadata(), Metadata(), details, None)
    assert failure_of(error, from_rpc_error(error)) is kind


def test_there_is_no_pause_before_all_addresses_were_asked():
    pauses = Pauses(3)
    assert [pauses.next() for _ in range(2)] == [0.0, 0.0]
    later = [pauses.next() for _ in range(20)]
    assert all(0.005 <= pause <= 1.0 for pause in later)
    assert max(later[:2]) <= 0.04


def test_a_busy_scheduler_is_left_alone_for_a_moment():
    assert 0.02 <= Pauses(3).next(busy=True) <= 0.2


def test_an_address_that_only_the_cluster_names_has_to_answer_first():
    endpoints = Endpoints(["a:1"])
    replicas = [cluster_pb2.SchedulerReplica(address=one) for one in ("a:1", "b:1", "c:1")]
    replicas[2].leader = True
    assert endpoints.unproven(replicas) == ["b:1", "c:1"]
    endpoints.on_cluster(replicas, {"b:1"})
    assert endpoints.all == ["a:1", "b:1"]
    assert endpoints.pick(0.0) == "a:1"
    endpoints.on_cluster(replicas, {"b:1", "c:1"})
    assert endpoints.pick(0.0) == "c:1"


class Server(scheduler_pb2_grpc.SchedulerServicer):
    """Creates tasks slowly, or says what it is told to."""

    def __init__(self, error: QuorateError | None = None) -> None:
        self.error = error
        self.calls = 0
        self.created: Counter[str] = Counter()

    async def CreateTask(self, request, context):
        self.calls += 1
        if self.error is not None:
            await abort(context, self.error)
        await asyncio.sleep(0.001)
        self.created[request.request_id] += 1
        return pb.CreateTaskResponse()

    async def GetCluster(self, request, context):
        return pb.GetClusterResponse()


async def serve(servicer: Server, *options: tuple[str, int]) -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0), *options))
    scheduler_pb2_grpc.add_SchedulerServicer_to_server(servicer, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    return server, address


async def test_the_gateway_repeats_what_a_busy_scheduler_dropped():
    servicer = Server()
    server, address = await serve(servicer, *((name, 5) for name, _ in PENDING_OPTIONS))
    upstream = Upstream([address])
    try:
        calls = (upstream.unary(CREATE, pb.CreateTaskRequest(), timeout=20) for _ in range(200))
        await asyncio.gather(*calls)
    finally:
        await upstream.close()
        await server.stop(None)
    assert len(servicer.created) == 200
    assert set(servicer.created.values()) == {1}


async def test_the_gateway_does_not_wait_for_an_etcd_that_is_full():
    servicer = Server(unavailable("ETCD_SPACE_LOW", "etcd is almost full"))
    server, address = await serve(servicer)
    upstream = Upstream([address], patience=3.0)
    began = time.monotonic()
    try:
        with pytest.raises(UpstreamError) as failed:
            await upstream.unary(CREATE, pb.CreateTaskRequest(), timeout=5)
    finally:
        await upstream.close()
        await server.stop(None)
    assert failed.value.reason == "ETCD_SPACE_LOW"
    assert servicer.calls == 1
    assert time.monotonic() - began < 3.0
