"""Unique keys and tasks that go to another queue, while the leader is killed."""

from __future__ import annotations

import signal

from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.cluster import Cluster
from tests.support.server import until

REPLACE = task_pb2.UNIQUE_CONFLICT_REPLACE


def spec(*argv: str, key: str = "", window: int = 0, conflict: int = 0) -> task_pb2.TaskSpec:
    made = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=argv))
    if key:
        made.unique.key = key
        made.unique.on_conflict = conflict  # type: ignore[assignment]
        if window:
            made.unique.window.seconds = window
    return made


async def create(cluster: Cluster, made: task_pb2.TaskSpec, queue: str = "default") -> str:
    answer = await cluster.call(pb.CreateTaskRequest(queue=queue, spec=made))
    return str(answer.task.id)


async def get(cluster: Cluster, task: str) -> task_pb2.Task:
    found: task_pb2.Task = (await cluster.call(pb.GetTaskRequest(id=task))).task
    return found


async def ends(cluster: Cluster, task: str) -> task_pb2.Task:
    async def look() -> task_pb2.Task | None:
        found = await get(cluster, task)
        return found if found.HasField("finish_time") else None

    found: task_pb2.Task = await until(look, f"{task} is finished", 30.0)
    return found


async def test_keys_and_queues_of_tasks_hold_through_a_killed_leader(tmp_path):
    async with Cluster(tmp_path, slots=2) as cluster:
        await cluster.in_session()
        for name in ("here", "there"):
            await cluster.call(pb.CreateQueueRequest(queue=queue_pb2.Queue(name=name)))
        await cluster.call(pb.PauseQueueRequest(name="here"))
        done = await create(cluster, spec("true", key="report", window=3_600))
        await ends(cluster, done)
        runs = await create(cluster, spec("sleep", "600", key="sync"))
        await until(lambda: started(cluster, runs), "it runs")
        moved = [await create(cluster, spec("true"), "here") for _ in range(5)]
        await cluster.call(
            pb.UpdateTasksRequest(ids=moved[:3], task=task_pb2.Task(queue="there"), request_id="m")
        )

        _, leader = await cluster.leader()
        await cluster.standby()
        leader.send(signal.SIGKILL)
        await leader.gone()
        # The window is known to the new leader, and what runs is replaced under it.
        assert await create(cluster, spec("true", key="report")) == done
        new = await create(cluster, spec("true", key="sync", conflict=REPLACE))
        assert (await ends(cluster, new)).state == task_pb2.TASK_STATE_SUCCEEDED
        old = await ends(cluster, runs)
        assert old.state == task_pb2.TASK_STATE_CANCELLED
        begun = (await get(cluster, new)).attempts[-1].assign_time
        assert begun.ToNanoseconds() >= old.finish_time.ToNanoseconds()
        # What was moved runs in its new queue, and the rest waits in the old one.
        for task in moved[:3]:
            found = await ends(cluster, task)
            assert (found.queue, found.state) == ("there", task_pb2.TASK_STATE_SUCCEEDED)
        for task in moved[3:]:
            found = await get(cluster, task)
            assert (found.queue, found.state) == ("here", task_pb2.TASK_STATE_PENDING)


async def started(cluster: Cluster, task: str) -> bool:
    found = await get(cluster, task)
    return bool(found.attempts) and found.attempts[-1].HasField("start_time")
