"""Topic `cluster`: rates come from a watch of all tasks, which the cluster may refuse."""

from __future__ import annotations

import grpc
import pytest

from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.calls import GET_CLUSTER
from gateway.live.cluster.entries import Specs
from gateway.live.cluster.leader import Leader
from gateway.live.cluster.watches import Watches
from gateway.live.messages.filters import NameFilter
from gateway.live.topics.polled import Polled
from gateway.live.topics.throttle import Throttle
from quorate.v1 import scheduler_pb2
from tests.support.live import FakeCluster, Seat, fault, updated
from tests.support.server import until


class ShyCluster(FakeCluster):
    """Does not tell of tasks while `shy`."""

    shy = True
    asked = 0

    async def _WatchTasks(self, request):
        self.asked += 1
        if self.shy:
            raise fault(grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN")
        async for answer in super()._WatchTasks(request):
            yield answer


@pytest.fixture
async def background():
    background = BackgroundTasks()
    yield background
    await background.close()


async def test_a_watch_that_was_refused_is_let_go_and_asked_for_again(background):
    cluster = ShyCluster()
    watches = Watches(cluster, background, Specs())
    leader = Leader(cluster, lambda *_: None, lambda _: None)
    answer = await cluster.unary(GET_CLUSTER, scheduler_pb2.GetClusterRequest(), timeout=1)
    leader.seen = answer.cluster
    polled = Polled(cluster, background, Throttle(interval=0.0), leader, watches)

    first, second = Seat(), Seat()
    refused = watches.of("")
    polled.subscribe(first, "cluster", NameFilter())
    await until(lambda: refused.failed, "it was refused")
    assert not refused.holders
    assert not refused.observers
    await until(lambda: first.told, "the rest is told all the same")

    cluster.shy = False
    polled.subscribe(second, "cluster", NameFilter())
    await until(lambda: cluster.watches, "it is watched")
    await cluster.happen(updated(1, "RUNNING"))
    await until(lambda: any(map(started, second.told)), "it is counted")
    polled.unsubscribe(first, "cluster")
    assert cluster.watches == 1
    polled.unsubscribe(second, "cluster")
    assert cluster.asked == 2


def started(told):
    """Tasks a second."""
    return sum(one["rates"]["started"] for one in told.get("changed", ()))
