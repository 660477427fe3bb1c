"""Topic `jobs`: the newest ones and those that are named, asked for only while somebody listens."""

from __future__ import annotations

import grpc
import pytest

from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.cluster.entries import Specs
from gateway.live.cluster.leader import Leader
from gateway.live.cluster.watches import Watches
from gateway.live.messages.filters import NameFilter
from gateway.live.topics.polled import Polled
from gateway.live.topics.throttle import Throttle
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2
from tests.support.live import FakeCluster, Seat, fault
from tests.support.server import until


class Jobs(FakeCluster):
    """A cluster with so many jobs, the first of them the oldest."""

    refuses = False

    def __init__(self, count: int) -> None:
        super().__init__()
        for number in range(count):
            job = job_pb2.Job(id=f"{number:032x}", state=job_pb2.JOB_STATE_ACTIVE)
            job.spec.template.name = "t"
            job.spec.template.command.argv.append("secret")
            self.jobs[job.id] = job

    def _ListJobs(self, request):
        if self.refuses:
            return fault(grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN")
        return super()._ListJobs(request)


@pytest.fixture
async def background():
    background = BackgroundTasks()
    yield background
    await background.close()


def polled(cluster: FakeCluster, background: BackgroundTasks) -> Polled:
    leader = Leader(cluster, lambda *_: None, lambda _: None)
    watches = Watches(cluster, background, Specs())
    return Polled(cluster, background, Throttle(interval=0.0), leader, watches)


async def test_the_newest_are_sent_and_then_what_changes(background):
    cluster = Jobs(limits.JOBS + 5)
    topics = polled(cluster, background)
    seat = Seat()
    topics.subscribe(seat, "jobs", NameFilter())
    await until(lambda: seat.told, "a snapshot")
    ids = {one["id"] for one in seat.told[0]["items"]}
    assert ids == {f"{number:032x}" for number in range(5, limits.JOBS + 5)}
    changed = f"{50:032x}"
    cluster.jobs[changed].state = job_pb2.JOB_STATE_SUCCEEDED
    del cluster.jobs[f"{60:032x}"]
    await until(lambda: len(seat.told) > 1, "a delta")
    assert [one["id"] for one in seat.told[1]["changed"]].count(changed) == 1
    assert f"{60:032x}" in seat.told[1]["removed"]
    topics.unsubscribe(seat, "jobs")


async def test_one_that_is_named_is_sent_however_old_and_without_what_it_runs(background):
    cluster = Jobs(limits.JOBS + 5)
    topics = polled(cluster, background)
    seat, gone = Seat(), Seat()
    topics.subscribe(seat, "jobs", NameFilter(frozenset((f"{1:032x}",))))
    topics.subscribe(gone, "jobs", NameFilter(frozenset(("f" * 32,))))
    await until(lambda: seat.told and gone.told, "snapshots")
    (job,) = seat.told[0]["items"]
    assert job["id"] == f"{1:032x}"
    assert "secret" not in str(job)
    assert gone.told[0]["items"] == []
    assert cluster.calls.count("GetJob") == 2


async def test_who_may_not_read_jobs_hears_of_queues_all_the_same(background):
    cluster = Jobs(1)
    cluster.refuses = True
    topics = polled(cluster, background)
    jobs, queues = Seat(), Seat()
    topics.subscribe(queues, "queues", NameFilter())
    topics.subscribe(jobs, "jobs", NameFilter())
    await until(lambda: jobs.told and queues.told, "both have an answer")
    assert isinstance(jobs.told[0], QuorateError)
    assert queues.told[0]["kind"] == "snapshot"
