"""Fair share in real processes: one tenant floods a queue, and the other's tasks start at once.

Nothing is measured by a clock: of the flood the starts that are on record between a task's creation
and its start are counted.
"""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from quorate.v1 import queue_pb2
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.cluster import Cluster

FLOOD = 2_000
SLOTS = 4
# Of the flood between the creation of a task and its start: those that were on their way to a node,
# which has work for each slot in advance, and what ends while the task is written.
MOST = 4 * SLOTS


@pytest_asyncio.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, agents=1, slots=SLOTS) as cluster:
        yield cluster


def spec(tenant: str) -> t.TaskSpec:
    return t.TaskSpec(command=t.CommandWork(argv=["sleep", "0.01"]), fairness_key=tenant)


async def finished(cluster: Cluster, task: str) -> t.Task:
    while True:
        found: t.Task = (await cluster.call(pb.WaitTaskRequest(id=task))).task
        if found.finish_time.seconds:
            return found


def start(task: t.Task) -> int:
    """When it was assigned, as it is on record."""
    return int(task.attempts[0].assign_time.ToNanoseconds())


async def started(cluster: Cluster) -> list[int]:
    """When each task of the flood that has started did."""
    request, starts = pb.ListTasksRequest(queue="shared", page_size=1_000), []
    while True:
        page = await cluster.call(request)
        starts += [start(task) for task in page.tasks if task.attempts and task.spec.priority == 5]
        request.page_token = page.next_page_token
        if not request.page_token:
            return starts


async def test_a_flood_does_not_hold_up_another_tenant(cluster: Cluster):
    queue = queue_pb2.Queue(name="shared")
    await cluster.call(pb.CreateQueueRequest(queue=queue))
    # Also of a higher priority: it counts within a tenant.
    flood = spec("flood")
    flood.priority = 5
    for _ in range(2):
        batch = pb.BatchCreateTasksRequest(queue="shared", specs=[flood] * (FLOOD // 2))
        await cluster.call(batch)
    singles = []
    for number in range(12):
        if number == 6:
            await cluster.standby()
            epoch, leader = await cluster.leader()
            leader.send(signal.SIGKILL)
            await leader.gone()
            await cluster.leader(after=epoch)
        request = pb.CreateTaskRequest(queue="shared", spec=spec("single"))
        made = (await cluster.call(request)).task
        singles.append(await finished(cluster, made.id))
    starts = await started(cluster)
    assert SLOTS <= len(starts) < FLOOD, "the flood was over before, or did not begin"
    for task in singles:
        assert task.state == t.TASK_STATE_SUCCEEDED
        created = task.create_time.ToNanoseconds()
        between = sum(1 for begun in starts if created <= begun < start(task))
        assert between <= MOST, between
