"""Topic `tasks`, a cluster in memory behind it: loading while things happen, and who resumes."""

from __future__ import annotations

import asyncio

import pytest

from gateway.live import limits
from gateway.live.background_tasks import BackgroundTasks
from gateway.live.messages.filters import TaskFilter
from gateway.live.topics.tasks import Tasks
from gateway.live.topics.throttle import Throttle
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
        # Whether watches from now on begin.
        self.opens = asyncio.Event()
        self.opens.set()
        self.telling = self.told = 0

    async def unary(self, method, request, *, timeout, reads=False):
        answer = await super().unary(method, request, timeout=timeout, reads=reads)
        if method.name == "ListTasks":
            answer = type(answer).FromString(answer.SerializeToString())
            await self.lists.wait()
        return answer

    async def stream(self, method, request, *, timeout=None):
        self.telling += 1
        self.told += 1
        try:
            await self.opens.wait()
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
async def background():
    background = BackgroundTasks()
    yield background
    await background.close()


@pytest.fixture
async def tasks(cluster, background):
    return Tasks(cluster, background, Throttle(interval=0.0))


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
    cluster, tasks, background, same, by
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
    second = tasks if same else Tasks(cluster, background, Throttle(interval=0.0))
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


async def test_who_comes_back_again_and_again_does_not_hold_up_others(cluster, tasks, background):
    other = await live(tasks)
    await cluster.happen(created(1))
    await told(other, 2)
    cluster.tells.clear()
    calls = cluster.telling
    # Tokens that the journal does not have: each is a catch-up, which the cluster does not answer.
    seats = [await sit(tasks, ALL, "50~x") for _ in range(3)]
    for _ in range(50):
        tasks.unsubscribe(seats.pop(0))
        seats.append(await sit(tasks, ALL, "50~x"))
    await until(lambda: cluster.telling == calls + 3, "only those who are there are caught up")
    seats += [await sit(tasks, ALL, "50~x") for _ in range(2 * limits.CATCH_UPS)]
    await until(lambda: cluster.telling == calls + limits.CATCH_UPS, "catch-ups are bounded")
    # Loads do not wait for them.
    assert (await told(await sit(tasks, TaskFilter(limit=5)), 1))["kind"] == "snapshot"
    for seat in seats:
        tasks.unsubscribe(seat)
    await until(lambda: cluster.telling == calls, "nobody is caught up any more")


async def test_who_left_while_the_cluster_is_away_leaves_nothing_behind(cluster, tasks, background):
    cluster.leads.clear()
    cluster.opens.clear()
    for _ in range(100):
        tasks.unsubscribe(await sit(tasks, ALL, "50~t0"))
    await until(
        lambda: len(background._tasks) <= 1, "but for the watch, which lingers, nothing runs"
    )


async def test_a_catch_up_that_waits_for_others_ends_in_time_with_a_snapshot(
    cluster, tasks, monkeypatch
):
    monkeypatch.setattr(limits, "CATCH_UP", 0.3)
    other = await live(tasks)
    await cluster.happen(created(1))
    await told(other, 2)
    cluster.tells.clear()
    before = cluster.told
    # All turns are taken, for longer than anybody waits.
    for _ in range(limits.CATCH_UPS):
        await tasks._catch_ups.acquire()
    seat = await sit(tasks, ALL, "50~x")
    assert (await told(seat, 1))["kind"] == "snapshot"
    assert cluster.told == before


@pytest.mark.parametrize("again", [False, True])
async def test_resuming_on_a_watch_that_was_refused_is_an_error_and_then_tried_anew(
    cluster, tasks, again
):
    watched = TaskFilter(queue="nobody")
    seat = await sit(tasks, watched)
    watch = tasks._feeds[watched].watch
    # It goes on being held, as by topic `cluster`.
    tasks.watches.hold(watch, Idle())
    assert (await told(seat, 1)).reason == "QUEUE_NOT_FOUND"
    assert watch.failed
    if again:
        cluster.queues["nobody"] = cluster.queues["default"]
    seat = await sit(tasks, watched, "50~t0")
    message = await told(seat, 1)
    if again:
        assert message["kind"] == "delta"
    else:
        assert message.reason == "QUEUE_NOT_FOUND"


class Idle:
    """Holds a watch."""

    def on_events(self, watch):
        pass

    on_restart = on_events

    def on_failure(self, watch, error):
        pass
