"""Tasks that wait get other limits and keys by the command line, and the leader is killed."""

from __future__ import annotations

import signal
from itertools import pairwise
from pathlib import Path

import grpc
import pytest

from quorate.runtime.errors import from_rpc_error
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from tests.support import forked
from tests.support.cluster import Cluster
from tests.support.server import until


def spec(*argv: str, limits: tuple[str, ...] = (), ordering: str = "") -> task_pb2.TaskSpec:
    work = task_pb2.CommandWork(argv=argv)
    return task_pb2.TaskSpec(command=work, limits=limits, ordering_key=ordering)


async def submit(cluster: Cluster, *specs: task_pb2.TaskSpec) -> list[str]:
    return list((await cluster.call(pb.BatchCreateTasksRequest(specs=specs))).ids)


async def succeeded(cluster: Cluster, task: str) -> task_pb2.Task:
    async def look() -> task_pb2.Task | None:
        found: task_pb2.Task = await cluster.task(task)
        return found if found.HasField("finish_time") else None

    found: task_pb2.Task = await until(look, f"{task} is finished", 30.0)
    assert found.state == task_pb2.TASK_STATE_SUCCEEDED, found
    return found


async def wait(cluster: Cluster, *tasks: str) -> None:
    """The tasks are PENDING."""
    for task in tasks:
        assert (await cluster.task(task)).state == task_pb2.TASK_STATE_PENDING


async def test_other_limits_and_keys_hold_through_a_killed_leader(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    until_open = ("sh", "-c", 'until [ -e "$0" ]; do sleep 0.02; done', str(gate))
    async with Cluster(tmp_path, slots=4) as cluster:
        await cluster.in_session()
        addresses = ",".join(server.address for server in cluster.schedulers.values())

        def quorate(*arguments: str) -> None:
            done = forked.run("quorate", *arguments, QUORATE_ADDRESS=addresses)
            assert done.code == 0, done.err

        quorate("limit", "create", "dock", "--max-running", "1")
        (runs,) = await submit(cluster, spec(*until_open, limits=("dock",), ordering="line"))

        async def started() -> bool:
            attempts = (await cluster.task(runs)).attempts
            return bool(attempts) and attempts[0].HasField("start_time")

        await until(started, "it runs")
        free, *rest = await submit(cluster, *[spec("true", limits=("dock",))] * 3)
        await wait(cluster, free, *rest)
        # Without the limit it starts; the others wait for the one that runs all the same.
        quorate("update", free, "--limit", "", "--limit-key", "c")
        await succeeded(cluster, free)
        quorate("update", *rest, "--limit", "", "--ordering-key", "line", "--fairness-key", "gold")
        await wait(cluster, *rest)
        for task, wanted, reason in (
            (runs, task_pb2.TaskSpec(limit_key="c"), "TASK_NOT_WAITING"),
            (rest[0], task_pb2.TaskSpec(limits=["quay"]), "LIMIT_NOT_FOUND"),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await cluster.call(pb.UpdateTaskRequest(task=task_pb2.Task(id=task, spec=wanted)))
            error = from_rpc_error(failed.value)
            assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)

        await cluster.standby()
        epoch, leader = await cluster.leader()
        leader.send(signal.SIGKILL)
        await leader.gone()
        await cluster.leader(after=epoch)
        await wait(cluster, *rest)
        gate.touch()
        ended = [await succeeded(cluster, task) for task in (runs, *rest)]
        for one, following in pairwise(ended):
            begun = following.attempts[0].assign_time
            assert one.finish_time.ToNanoseconds() <= begun.ToNanoseconds()
        assert ended[-1].spec.fairness_key == "gold"
        quorate("limit", "delete", "dock")
