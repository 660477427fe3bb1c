"""Progress that a task tells once reaches every client, whenever it subscribes. Topic `tasks`."""

from __future__ import annotations

import asyncio

import pytest

from gateway.live.background_tasks import BackgroundTasks
from gateway.live.messages.filters import TaskFilter
from gateway.live.topics.tasks import Tasks
from gateway.live.topics.throttle import Throttle
from tests.support.live import FakeCluster, Seat, created, deleted, said, task_id, updated
from tests.support.server import until

WANTED = TaskFilter(progress=True)


class SlowCluster(FakeCluster):
    """What a listing answers is read before it waits for `lists`."""

    def __init__(self):
        super().__init__()
        self.lists = asyncio.Event()
        self.lists.set()

    async def unary(self, method, request, *, timeout, reads=False):
        answer = await super().unary(method, request, timeout=timeout, reads=reads)
        answer = type(answer).FromString(answer.SerializeToString())
        if method.name == "ListTasks":
            await self.lists.wait()
        return answer


@pytest.fixture
async def cluster():
    return SlowCluster()


@pytest.fixture
async def tasks(cluster):
    background = BackgroundTasks()
    yield Tasks(cluster, background, Throttle(interval=0.0))
    await background.close()


async def sit(tasks, wanted=WANTED, resume=""):
    seat = Seat()
    tasks.subscribe(seat, wanted, resume)
    return seat


def shown(seat, number=1):
    """What a page that follows the messages shows as the progress of a task: its rules are those of
    the dashboard's store."""
    task = None
    for message in seat.told:
        if message["kind"] == "progress":
            for item in message["items"]:
                if item["id"] == task_id(number) and task and task["attempt"] == item["attempt"]:
                    task = {**task, "progress": item["progress"]}
            continue
        for item in message.get("items", message.get("changed")):
            if item["id"] != task_id(number):
                continue
            kept: dict[str, object] = {}
            if task and message["kind"] == "delta" and task["attempt"] == item.get("attempt", 0):
                kept = {"progress": task.get("progress")}
            task = {"attempt": 0, **kept, **item}
    return task and task.get("progress") and task["progress"]["text"]


async def shows(seat, text):
    await until(lambda: shown(seat) == text, f"progress {text}")


async def test_what_is_said_while_a_listing_is_on_its_way_is_shown(cluster, tasks):
    await cluster.happen(created(1), updated(1, "RUNNING"))
    cluster.lists.clear()
    seat = await sit(tasks)
    await until(lambda: "ListTasks" in cluster.calls, "the tasks are listed")
    await cluster.happen(said(1, "40%"))
    await until(lambda: tasks._feeds[WANTED].feed._said._newest, "the gateway has it")
    cluster.lists.set()
    await shows(seat, "40%")


async def test_what_is_said_before_the_attempt_is_known_is_shown(cluster, tasks):
    await cluster.happen(created(1))
    seat = await sit(tasks)
    await until(lambda: len(seat.told) == 1, "a snapshot")
    await cluster.happen(said(1, "40%"))
    await until(lambda: len(seat.told) == 2, "it was sent")
    assert shown(seat) is None
    await cluster.happen(updated(1, "RUNNING"))
    await shows(seat, "40%")


@pytest.mark.parametrize("resumes", [False, True])
async def test_who_comes_after_a_later_version_is_shown_it(cluster, tasks, resumes):
    await cluster.happen(created(1), updated(1, "RUNNING"))
    first = await sit(tasks)
    await until(lambda: len(first.told) == 1, "a snapshot")
    token = first.told[0]["resume"]
    await cluster.happen(said(1, "40%"), updated(1, "RUNNING"))
    await shows(first, "40%")
    later = await sit(tasks, resume=token if resumes else "")
    if resumes:
        later.told.append(first.told[0])
    await shows(later, "40%")


async def test_what_another_attempt_said_is_not_shown(cluster, tasks):
    await cluster.happen(created(1), updated(1, "RUNNING"), said(1, "no"))
    await cluster.happen(updated(1, "PENDING"), updated(1, "RUNNING", attempt=2))
    seat = await sit(tasks)
    await cluster.happen(said(1, "old", attempt=1), updated(1, "RUNNING", attempt=2))
    await cluster.happen(said(1, "new", attempt=2, seconds=2))
    await shows(seat, "new")
    await cluster.happen(deleted(1))
    await until(lambda: not tasks._feeds[WANTED].feed._said._newest, "it is forgotten")


async def test_no_more_is_remembered_than_a_snapshot_may_hold(cluster, tasks):
    few = TaskFilter(progress=True, limit=3)
    for number in range(1, 9):
        await cluster.happen(created(number), updated(number, "RUNNING"))
    seat = await sit(tasks, few)
    await until(lambda: len(seat.told) == 1, "a snapshot")
    await cluster.happen(*(said(number, f"{number}") for number in range(1, 9)))
    await until(lambda: seat.told[-1]["kind"] == "progress", "it was sent")
    held = tasks._feeds[few].feed._said._newest
    assert sorted(held) == [task_id(number) for number in (6, 7, 8)]
