"""Calls upstream: failover, repeats with the same id, deadlines, streams that go on."""

import asyncio
import time
from contextlib import aclosing

import grpc
import pytest

from gateway.cluster.calls import Upstream
from gateway.cluster.methods import method_of
from gateway.cluster.upstream_errors import UpstreamError
from quorate.runtime.errors import unavailable
from quorate.v1 import scheduler_pb2 as pb
from tests.support.fake_scheduler import FakeCluster, FakeServer

SERVICE = pb.DESCRIPTOR.services_by_name["Scheduler"]
METHODS = {method.name: method_of(SERVICE, method.name) for method in SERVICE.methods}
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
COMMAND = {"command": {"argv": ["true"]}}


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    FakeServer(cluster)
    FakeServer(cluster)
    yield cluster
    cluster.close()


@pytest.fixture
async def upstream(cluster):
    upstream = Upstream([server.address for server in cluster.servers], patience=3.0)
    yield upstream
    await upstream.close()


class Breaking:
    """A piece of log whose leader is lost as it is read."""

    @property
    def stream(self):
        raise unavailable("LEADER_LOST", "lost")


def called(cluster, name):
    return [address for method, address in cluster.calls if method == name]


async def test_another_scheduler_is_asked_when_one_is_gone(cluster, upstream):
    cluster.servers[0].stop()
    answer = await upstream.unary(
        METHODS["ListQueues"], pb.ListQueuesRequest(), timeout=5, reads=True
    )
    assert answer.queues[0].name == "default"
    assert called(cluster, "ListQueues") == [cluster.servers[1].address]


async def test_a_change_is_repeated_with_the_same_id_and_happens_once(cluster, upstream):
    cluster.refuse("CreateTask", UNAVAILABLE, UNAVAILABLE, UNAVAILABLE)
    request = pb.CreateTaskRequest(spec=COMMAND)
    answer = await upstream.unary(METHODS["CreateTask"], request, timeout=60)
    assert len(called(cluster, "CreateTask")) == 4
    assert list(cluster.tasks) == [answer.task.id]
    # It had no id of its own, and got one.
    assert cluster.requests == {request.request_id: [answer.task.id]}
    assert request.request_id


async def test_a_change_without_an_id_is_not_repeated(cluster, upstream):
    cluster.refuse("ListQueues", UNAVAILABLE)
    with pytest.raises(UpstreamError) as failed:
        await upstream.unary(METHODS["ListQueues"], pb.ListQueuesRequest(), timeout=5)
    assert (failed.value.code, failed.value.reason) == (UNAVAILABLE, "ORDERED")
    assert len(called(cluster, "ListQueues")) == 1


async def test_a_rejection_is_not_repeated_and_keeps_its_details(cluster, upstream):
    with pytest.raises(UpstreamError) as failed:
        await upstream.unary(
            METHODS["ListTasks"], pb.ListTasksRequest(page_size=-1), timeout=5, reads=True
        )
    error = failed.value
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert error.violations == (("page_size", "page_size: must be 1 to 1,000"),)
    assert error.domain == "quorate"
    assert len(called(cluster, "ListTasks")) == 1


async def test_the_callers_deadline_ends_all_tries(cluster, upstream):
    cluster.hold.clear()
    task = cluster.create("", [pb.CreateTaskRequest(spec=COMMAND).spec], "r")[0]
    start = time.monotonic()
    request = pb.WaitTaskRequest(id=task, timeout={"seconds": 60})
    with pytest.raises(UpstreamError) as failed:
        await upstream.unary(METHODS["WaitTask"], request, timeout=0.3, reads=True)
    assert failed.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "0.3 s" in failed.value.message
    assert time.monotonic() - start < 3


async def test_nobody_there_is_unavailable_within_the_deadline(cluster, upstream):
    for server in cluster.servers:
        server.stop()
    start = time.monotonic()
    with pytest.raises(UpstreamError) as failed:
        await upstream.unary(METHODS["ListQueues"], pb.ListQueuesRequest(), timeout=0.5, reads=True)
    assert (failed.value.code, failed.value.reason) == (UNAVAILABLE, "NO_SCHEDULER")
    assert all(server.address in failed.value.message for server in cluster.servers)
    assert time.monotonic() - start < 3
    assert not await upstream.reachable(0.2)


async def test_reachable_when_any_scheduler_is(cluster, upstream):
    cluster.servers[0].stop()
    assert await upstream.reachable(5)


async def test_a_watch_goes_on_at_another_scheduler_without_gap_or_repeat(cluster, upstream):
    seen: list[int] = []
    watch = upstream.stream(METHODS["WatchTasks"], pb.WatchTasksRequest())
    async with asyncio.timeout(60), aclosing(watch) as answers:
        assert (await anext(answers)).resume_token == "0"
        cluster.create("", [pb.CreateTaskRequest(spec=COMMAND).spec], "first")
        while len(seen) < 3:
            seen += [event.revision for event in (await anext(answers)).events]
        # Both lose it; the first is gone for good.
        cluster.servers[0].stop()
        cluster.break_watches()
        cluster.create("", [pb.CreateTaskRequest(spec=COMMAND).spec], "second")
        while len(seen) < 6:
            seen += [event.revision for event in (await anext(answers)).events]
    assert seen == list(range(6))
    assert len(called(cluster, "WatchTasks")) > 1


async def test_a_stream_that_cannot_resume_fails_once_it_has_begun(cluster, upstream):
    task = cluster.create("", [pb.CreateTaskRequest(spec=COMMAND).spec], "r")[0]
    cluster.logs[task] = [pb.LogChunk(data=b"one"), Breaking()]
    cluster.refuse("StreamTaskLogs", UNAVAILABLE)
    logs = upstream.stream(METHODS["StreamTaskLogs"], pb.StreamTaskLogsRequest(id=task))
    async with asyncio.timeout(60), aclosing(logs) as answers:
        # Refused before anything came: asked again.
        assert (await anext(answers)).chunk.data == b"one"
        with pytest.raises(UpstreamError) as failed:
            await anext(answers)
    assert (failed.value.code, failed.value.reason) == (UNAVAILABLE, "LEADER_LOST")
    assert len(called(cluster, "StreamTaskLogs")) == 2


async def test_a_stream_has_the_callers_deadline(upstream):
    watch = upstream.stream(METHODS["WatchTasks"], pb.WatchTasksRequest(), timeout=0.3)
    async with asyncio.timeout(60):
        assert (await anext(watch)).resume_token == "0"
        with pytest.raises(UpstreamError) as failed:
            await anext(watch)
    assert failed.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_closed_upstream_fails_what_is_under_way_and_a_cancelled_call_is_cancelled(cluster):
    cluster.hold.clear()
    upstream = Upstream([cluster.servers[0].address], patience=0.1)
    task = cluster.create("", [pb.CreateTaskRequest(spec=COMMAND).spec], "r")[0]
    request = pb.WaitTaskRequest(id=task, timeout={"seconds": 60})

    def wait():
        call = upstream.unary(METHODS["WaitTask"], request, timeout=60, reads=True)
        return asyncio.create_task(call)

    first, second = wait(), wait()
    async with asyncio.timeout(60):
        while len(called(cluster, "WaitTask")) < 2:
            await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.wait((first,))
        assert first.cancelled()
        await upstream.close()
        with pytest.raises(UpstreamError) as failed:
            await second
    assert failed.value.code is UNAVAILABLE
