"""Every snapshot and delta has the etcd revision up to which it tells all."""

from __future__ import annotations

import pytest

from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.calls import GET_CLUSTER
from gateway.live.cluster.entries import Specs
from gateway.live.cluster.journal import Journal
from gateway.live.cluster.leader import Leader
from gateway.live.cluster.tokens import Token
from gateway.live.cluster.watches import Watches
from gateway.live.messages.filters import NameFilter, TaskFilter
from gateway.live.topics.polled import Polled
from gateway.live.topics.services import Services
from gateway.live.topics.tasks import Tasks
from gateway.live.topics.throttle import Throttle
from quorate.v1 import node_pb2, queue_pb2, scheduler_pb2
from tests.support.live import FakeCluster, Seat, created
from tests.support.server import until


@pytest.fixture
async def background():
    background = BackgroundTasks()
    yield background
    await background.close()


async def nth(seat, number):
    """What it was told at its turn."""
    await until(lambda: len(seat.told) >= number, f"{number} messages")
    return seat.told[number - 1]


@pytest.mark.parametrize("topic", ["queues", "nodes", "cluster"])
async def test_polled_topics_have_the_revision_of_what_was_listed(background, topic, monkeypatch):
    monkeypatch.setattr(limits, "POLL", 0.05)
    cluster = FakeCluster()
    leader = Leader(cluster, lambda *_: None, lambda _: None)
    polled = Polled(
        cluster, background, Throttle(interval=0.0), leader, Watches(cluster, background, Specs())
    )

    async def ask():
        request = scheduler_pb2.GetClusterRequest()
        leader.seen = (await cluster.unary(GET_CLUSTER, request, timeout=1)).cluster

    await ask()
    seat = Seat()
    polled.subscribe(seat, topic, NameFilter())
    first = await nth(seat, 1)
    assert (first["kind"], first["revision"]) == ("snapshot", "90")
    cluster.revision = 95
    cluster.queues["new"] = queue_pb2.Queue(name="new")
    cluster.nodes["new"] = node_pb2.Node(name="new")
    await ask()
    await until(lambda: seat.told[-1]["revision"] == "95", "the newer revision")
    assert seat.told[-1]["kind"] == "delta"


async def test_services_have_the_revision_of_their_watch(background):
    services = Services(FakeCluster(), background, Throttle(interval=0.0))
    seat = Seat()
    services.subscribe(seat, NameFilter())
    assert (await nth(seat, 1))["revision"] == "7"


async def test_the_first_snapshot_of_tasks_has_the_revision_where_the_watch_begins(background):
    cluster = FakeCluster()
    await cluster.happen(created(1), created(2))
    tasks = Tasks(cluster, background, Throttle(interval=0.0))
    seat = Seat()
    tasks.subscribe(seat, TaskFilter(), "")
    first = await nth(seat, 1)
    assert (first["kind"], first["revision"]) == ("snapshot", "101")
    await cluster.happen(created(3))
    assert (await nth(seat, 2))["revision"] == "102"


def test_a_journal_knows_its_revision_as_soon_as_it_begins_anew():
    journal = Journal()
    journal.begin(Token(0, "a"), 50)
    assert journal.revision == 50
    journal.renew("b", 60)
    assert journal.revision == 60
    # Of another log: a watch that begins anew may be behind.
    journal.begin(Token(0, "c"), 40)
    assert journal.revision == 40
