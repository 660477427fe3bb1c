"""Topic `tasks`, a cluster in memory behind it: loading while things happen, and who resumes."""

from __future__ import annotations

import asyncio

import pytest

from gateway.live.crew import Crew
from gateway.live.filters import TaskFilter
from gateway.live.pace import Pace
from gateway.live.tasks import Tasks
from quorate.v1 import task_pb2
from tests.support.live import FakeCluster, Seat, created, deleted, ids, updated
from tests.support.server import until

RUNNING = frozenset([task_pb2.TASK_STATE_RUNNING])
LABELS = frozenset([("team", "a")])
ALL = TaskFilter()


class SlowCluster(FakeCluster):
    """Listings and catch-ups take as long as a test wants them to."""

    def __init__(self):
        super().__init__()
        self.lists = asyncio.Event()
        self.lists.set()
        self.tells = asyncio.Event()
        self.tells.set()
        self.telling = 0

    async def unary(self, method, request, *, timeout, reads=False):
        answer = await super().unary(method, request, timeout=timeout, reads=reads)
        if method.name == "ListTasks":
            answer = type(answer).FromString(answer.SerializeToString())
            await self.lists.wait()
        return answer

    async def stream(self, method, request, *, timeout=None):
        self.telling += 1
        try:
            if timeout is not None:
                # A catch-up.
                await self.tells.wait()
            async for answer in super().stream(method, request, timeout=timeout):
                yield answer
        finally:
            self.telling -= 1


@pytest.fixture
async def cluster():
    return SlowCluster()


@pytest.fixture
async def crew():
    crew = Crew()
    yield crew
    await crew.close()


@pytest.fixture
async def tasks(cluster, crew):
    return Tasks(cluster, crew, Pace(interval=0.0))


async def told(seat, number):
    await until(lambda: len(seat.told) >= number, f"{number} messages")
    return seat.told[number - 1]


async def sit(tasks, wanted=ALL, resume=""):
    seat = Seat()
    tasks.subscribe(seat, wanted, resume)
    return seat


async def live(tasks, wanted=ALL):
    """Somebody who has the snapshot."""
    seat = await sit(tasks, wanted)
    assert (await told(seat, 1))["kind"] == "snapshot"
    return seat


# -- loading


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_happens_during_a_load_is_in_its_snapshot(cluster, tasks, restarts):
    await cluster.happen(updated(1, "RUNNING"), updated(2, "RUNNING"))
    cluster.lists.clear()
    seat = await sit(tasks)
    await until(lambda: "ListTasks" in cluster.calls, "the tasks are listed")
    feed = tasks._feeds[ALL].feed
    before = feed.position
    # The watch is told of it, or has to begin anew behind it.
    cluster.oldest = 4 if restarts else 0
    await cluster.happen(updated(1, "SUCCEEDED"), deleted(2))
    await until(lambda: feed.position > before, "it was flushed, or the feed began anew")
    cluster.lists.set()
    snapshot = await told(seat, 1)
    assert snapshot["kind"] == "snapshot"
    assert ids(snapshot["items"]) == [1]
    assert snapshot["items"][0]["state"] == "TASK_STATE_SUCCEEDED"


# -- resuming


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("by", ["state", "label"])
async def test_a_resumed_client_of_a_partial_filter_has_exactly_what_matches(
    cluster, tasks, crew, same, by
):
    wanted = TaskFilter(states=RUNNING) if by == "state" else TaskFilter(labels=LABELS)
    await cluster.happen(*(created(n, team="a") for n in (1, 2, 3)))
    await cluster.happen(*(updated(n, "RUNNING") for n in (1, 2, 3)))
    first = await live(tasks, wanted)
    await cluster.happen(updated(3, "RUNNING"))
    token = (await told(first, 2))["resume"]
    has = Held(first)
    assert has.ids == {1, 2, 3}
    tasks.unsubscribe(first)
    # While it is away; specs are not told again.
    await cluster.happen(updated(1, "SUCCEEDED"))
    second = tasks if same else Tasks(cluster, crew, Pace(interval=0.0))
    if not same:
        # It has a watch already, which began behind the token.
        other = await live(second)
        await cluster.happen(created(9))
        await told(other, 2)
    seat = await sit(second, wanted, token)
    await told(seat, 1)
    matching = {1, 2, 3} if by == "label" else {2, 3}
    await until(lambda: has.told(seat).ids == matching, "it has what matches", 3)
    await cluster.happen(updated(2, "SUCCEEDED"), deleted(3))
    matching = {1, 2} if by == "label" else set()
    await until(
        lambda: has.told(seat).ids == matching, "what does not match any more is removed", 3
    )


class Held:
    """What a client has after all it was told."""

    def __init__(self, seat):
        self.ids = set()
        self.told(seat)

    def told(self, seat):
        for message in seat.told:
            if message["kind"] == "snapshot":
                self.ids = set(ids(message["items"]))
            else:
                self.ids |= set(ids(message["changed"]))
                self.ids -= {int(name, 16) for name in message["removed"]}
        return self


FORGED = "9" * 19 + "~"


async def test_a_token_ahead_of_the_journal_is_not_told_that_nothing_was_missed(cluster, tasks):
    other = await live(tasks)
    await cluster.happen(created(1))
    await told(other, 2)
    seat = await sit(tasks, ALL, FORGED + "t0")
    assert (await told(seat, 1))["kind"] == "delta"
    seat = await sit(tasks, TaskFilter(limit=5), FORGED + "nobody's")
    message = await told(seat, 1)
    assert (message["kind"], ids(message["items"])) == ("snapshot", [1])


async def test_a_forged_revision_does_not_become_the_journals(cluster, tasks):
    await cluster.happen(created(1), created(2))
    first = await sit(tasks, ALL, FORGED + "t1")
    await cluster.happen(created(3))
    while 3 not in Held(first).ids:
        message = await told(first, len(first.told) + 1)
    assert message["revision"] == "102"
    assert Held(first).ids == {2, 3}
