"""Hooks, snoozes and start deadlines, while the leader is killed."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from quorate.v1 import queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.cluster import Cluster
from tests.support.server import until

SUCCEEDED = task_pb2.TASK_STATE_SUCCEEDED
FAILED = task_pb2.TASK_STATE_FAILED
CANCELLED = task_pb2.TASK_STATE_CANCELLED
EXPIRED = task_pb2.TASK_STATE_EXPIRED


def around(log: Path, script: str) -> task_pb2.TaskSpec:
    """A shell script whose hooks write before and after it into a file."""
    made = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["sh", "-c", script]))
    made.hooks.setup.argv.extend(["sh", "-c", f"echo set-up >> {log}"])
    made.hooks.cleanup.argv.extend(["sh", "-c", f"echo clean-up $QUORATE_ATTEMPT >> {log}"])
    return made


async def create(cluster: Cluster, made: task_pb2.TaskSpec, queue: str = "default") -> str:
    answer = await cluster.call(pb.CreateTaskRequest(queue=queue, spec=made))
    return str(answer.task.id)


async def ends(cluster: Cluster, task: str) -> task_pb2.Task:
    async def look() -> task_pb2.Task | None:
        found: task_pb2.Task = await cluster.task(task)
        return found if found.HasField("finish_time") else None

    found: task_pb2.Task = await until(look, f"{task} is finished", 30.0)
    return found


async def snoozed(cluster: Cluster, task: str) -> bool:
    found = await cluster.task(task)
    return bool(found.snoozes) and found.state == task_pb2.TASK_STATE_SCHEDULED


async def test_hooks_snoozes_and_deadlines_hold_through_a_killed_leader(tmp_path: Path) -> None:
    async with Cluster(tmp_path / "cluster", agents=1, slots=4) as cluster:
        await cluster.in_session()
        await cluster.call(pb.CreateQueueRequest(queue=queue_pb2.Queue(name="late")))
        await cluster.call(pb.PauseQueueRequest(name="late"))
        names = ("good", "bad", "ended", "held", "go", "again")
        good, bad, ended, held, go, again = (tmp_path / name for name in names)

        # The order of hooks; clean-up after a failure and after a cancel.
        first = await create(cluster, around(good, f"echo work >> {good}"))
        failing = await create(cluster, around(bad, f"echo work >> {bad}; exit 3"))
        cancelled = await create(cluster, around(ended, f"echo work >> {ended}; sleep 600"))
        assert (await ends(cluster, first)).state == SUCCEEDED
        assert good.read_text().split("\n")[:3] == ["set-up", "work", "clean-up 1"]
        assert (await ends(cluster, failing)).state == FAILED
        assert bad.read_text().split("\n")[:3] == ["set-up", "work", "clean-up 1"]
        await until(lambda: works(ended), "it runs")
        await cluster.call(pb.CancelTaskRequest(id=cancelled))
        found = await ends(cluster, cancelled)
        assert found.state == CANCELLED
        assert found.attempts[-1].hooks.HasField("cleanup")
        assert ended.read_text().split("\n")[:3] == ["set-up", "work", "clean-up 1"]

        # One runs, one has put itself off, one is about to expire: then the leader dies.
        wait = f"echo work >> {held}; until [ -e {go} ]; do sleep 0.05; done"
        running = await create(cluster, around(held, wait))
        await until(lambda: works(held), "it runs")
        call = task_pb2.PythonWork(entrypoint="tests.support.reporting:snoozes")
        call.json = f'["{again}"]'
        off = await create(cluster, task_pb2.TaskSpec(python=call))
        await until(lambda: snoozed(cluster, off), "it has put itself off")
        deadline = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
        deadline.start_deadline.FromMilliseconds(1_500)
        late = await create(cluster, deadline, "late")
        expires = (await cluster.task(late)).expire_time
        _, leader = await cluster.leader()
        await cluster.standby()
        leader.send(signal.SIGKILL)
        await leader.gone()

        found = await ends(cluster, late)
        assert (found.state, found.attempt) == (EXPIRED, 0)
        assert found.finish_time.ToNanoseconds() >= expires.ToNanoseconds()
        await cluster.call(pb.ResumeQueueRequest(name="late"))
        go.touch()
        found = await ends(cluster, running)
        assert (found.state, found.attempt) == (SUCCEEDED, 1)
        assert held.read_text().split() == ["set-up", "work", "clean-up", "1"]
        hooks = found.attempts[-1].hooks
        assert hooks.setup.error == hooks.cleanup.error == ""
        found = await ends(cluster, off)
        assert (found.state, found.snoozes, found.failures) == (SUCCEEDED, 1, 0)
        # It expired once, and did not run when its queue was resumed.
        again_late = await cluster.task(late)
        assert (again_late.state, again_late.attempt) == (EXPIRED, 0)
        groups = await cluster.call(pb.ListDeadLettersRequest(queue="late"))
        assert [group.count for group in groups.groups] == [1]


async def works(log: Path) -> bool:
    """Whether the script itself has begun."""
    return "work" in await asyncio.to_thread(lambda: (log.exists() and log.read_text()) or "")
