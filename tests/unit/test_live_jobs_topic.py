"""Topic `jobs`: the newest ones and those that are named, watched only while somebody listens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.messages.filters import NameFilter
from gateway.live.topics.jobs import Jobs
from gateway.live.topics.throttle import Throttle
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2
from tests.support.live import FakeCluster, Seat, fault
from tests.support.server import until


def name(number: int) -> str:
    return f"{number:032x}"


def named(*numbers: int) -> NameFilter:
    return NameFilter(frozenset(map(name, numbers)))


class Cluster(FakeCluster):
    """A cluster with so many jobs, the first of them the oldest."""

    refuses: grpc.StatusCode | None = None
    broken = 0

    def __init__(self, count: int) -> None:
        super().__init__()
        self.asked: list[Any] = []
        for number in range(count):
            self.jobs[name(number)] = self.job(number)

    def job(self, number: int, state: str = "ACTIVE") -> job_pb2.Job:
        return job_pb2.Job(id=name(number), state=f"JOB_STATE_{state}")

    async def _WatchJobs(self, request: Any) -> AsyncIterator[Any]:
        self.asked.append(request)
        if self.refuses is not None and not request.ids:
            raise fault(self.refuses, "FORBIDDEN")
        async for answer in super()._WatchJobs(request):
            yield answer
            if self.broken:
                self.broken -= 1
                raise fault(grpc.StatusCode.UNAVAILABLE, "NO_LEADER")


@pytest.fixture
async def background() -> AsyncIterator[BackgroundTasks]:
    background = BackgroundTasks()
    yield background
    await background.close()


def topic(cluster: FakeCluster, background: BackgroundTasks) -> Jobs:
    return Jobs(cluster, background, Throttle(interval=0.0))


def ids(message: dict[str, Any]) -> set[str]:
    return {one["id"] for one in message["items"]}


async def test_the_newest_are_sent_and_then_what_changes(background: BackgroundTasks) -> None:
    cluster = Cluster(limits.JOBS + 5)
    jobs, seat, other = topic(cluster, background), Seat(), Seat()
    jobs.subscribe(seat, NameFilter())
    await until(lambda: seat.told, "a snapshot")
    assert ids(seat.told[0]) == {name(number) for number in range(5, limits.JOBS + 5)}
    await cluster.change_job(cluster.job(50, "SUCCEEDED"))
    await until(lambda: len(seat.told) > 1, "a delta")
    assert [one["id"] for one in seat.told[1]["changed"]] == [name(50)]
    await cluster.change_job(deleted=name(60))
    await until(lambda: len(seat.told) > 2, "another one")
    assert seat.told[2]["removed"] == [name(60)]
    # One watch for all, and none without anybody.
    jobs.subscribe(other, NameFilter())
    await until(lambda: other.told, "a snapshot")
    assert [one.newest for one in cluster.asked] == [limits.JOBS]
    jobs.unsubscribe(seat)
    assert cluster.job_watches == 1
    jobs.unsubscribe(other)
    await until(lambda: not cluster.job_watches, "no watch")


async def test_a_new_one_pushes_the_oldest_out(background: BackgroundTasks) -> None:
    cluster = Cluster(limits.JOBS)
    jobs, seat = topic(cluster, background), Seat()
    jobs.subscribe(seat, NameFilter())
    await until(lambda: seat.told, "a snapshot")
    await cluster.change_job(cluster.job(limits.JOBS))
    await until(lambda: len(seat.told) > 1, "a delta")
    assert [one["id"] for one in seat.told[1]["changed"]] == [name(limits.JOBS)]
    assert seat.told[1]["removed"] == [name(0)]


async def test_those_that_are_named_are_sent_however_old_and_are_in_no_list(
    background: BackgroundTasks,
) -> None:
    cluster = Cluster(limits.JOBS + 5)
    jobs, seat, gone, everybody = topic(cluster, background), Seat(), Seat(), Seat()
    jobs.subscribe(everybody, NameFilter())
    jobs.subscribe(seat, named(1))
    await until(lambda: seat.told and everybody.told, "snapshots")
    assert ids(seat.told[0]) == {name(1)}
    assert name(1) not in ids(everybody.told[0])
    jobs.subscribe(gone, named(10**6))
    await until(lambda: gone.told, "a snapshot")
    assert gone.told[0]["items"] == []
    # The watch that began anew is of both.
    assert list(cluster.asked[-1].ids) == [name(10**6), name(1)]
    await cluster.change_job(cluster.job(1, "PAUSED"))
    await until(lambda: len(seat.told) > 1, "a delta")
    assert seat.told[1]["changed"][0]["state"] == "JOB_STATE_PAUSED"
    # What is named less often needs no other watch.
    jobs.unsubscribe(gone)
    assert len(cluster.asked) == 3
    jobs.unsubscribe(seat)
    await until(lambda: cluster.job_watches == 1, "the watch of the newest")


async def test_a_broken_watch_goes_on_with_the_difference(background: BackgroundTasks) -> None:
    cluster = Cluster(3)
    jobs, seat = topic(cluster, background), Seat()
    cluster.broken = 1
    cluster.leads.set()
    jobs.subscribe(seat, NameFilter())
    await until(lambda: seat.told, "a snapshot")
    cluster.jobs[name(1)] = cluster.job(1, "FAILED")
    del cluster.jobs[name(2)]
    await until(lambda: len(seat.told) > 1, "a delta")
    assert [one["id"] for one in seat.told[1]["changed"]] == [name(1)]
    assert seat.told[1]["removed"] == [name(2)]
    assert len(cluster.asked) == 2


async def test_who_may_not_read_all_jobs_hears_of_those_that_it_names(
    background: BackgroundTasks,
) -> None:
    cluster = Cluster(1)
    cluster.refuses = grpc.StatusCode.PERMISSION_DENIED
    jobs, everybody, seat = topic(cluster, background), Seat(), Seat()
    jobs.subscribe(seat, named(0))
    jobs.subscribe(everybody, NameFilter())
    await until(lambda: everybody.told and seat.told, "both have an answer")
    assert isinstance(everybody.told[0], QuorateError)
    assert seat.told[0]["kind"] == "snapshot"
    # Who asks again is answered again.
    again = Seat()
    jobs.subscribe(again, NameFilter())
    await until(lambda: again.told, "an answer")
    assert isinstance(again.told[0], QuorateError)
