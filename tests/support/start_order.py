"""Tasks of a test about what starts next: submitted, waited for, and their instants."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import pytest

from quorate.client.errors import QuorateError
from quorate.runtime.errors import from_rpc_error
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support import forked
from tests.support.cluster import Cluster
from tests.support.server import until


def addresses(cluster: Cluster) -> str:
    return ",".join(server.address for server in cluster.schedulers.values())


def quorate(cluster: Cluster, *arguments: str) -> None:
    """Run the command line."""
    done = forked.run("quorate", *arguments, QUORATE_ADDRESS=addresses(cluster))
    assert done.code == 0, done.err


class Gate:
    """Programs that run until it is opened."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.path = cluster.folder / f"gate-{name}"

    def argv(self, first: str = "") -> list[str]:
        """`first`: what the program does before."""
        return ["sh", "-c", f'{first} until [ -e "$0" ]; do sleep 0.02; done', str(self.path)]

    def open(self) -> None:
        self.path.touch()


def on(*nodes: str) -> dict[str, object]:
    """The rule that a task runs on one of these nodes."""
    return {"nodes": [{"label": "node", "values": nodes}]}


def spec(argv: Sequence[str] = ("true",), **fields: object) -> t.TaskSpec:
    fields.setdefault("placement", on("n2", "n3"))
    return t.TaskSpec(command=t.CommandWork(argv=argv), **fields)  # type: ignore[arg-type]


async def submit(cluster: Cluster, queue: str, *specs: t.TaskSpec) -> list[str]:
    request = pb.BatchCreateTasksRequest(queue=queue, specs=specs)
    return list((await cluster.call(request)).ids)


async def ended(cluster: Cluster, *tasks: str) -> list[t.Task]:
    """The tasks, once all are finished."""
    found = []
    for task in tasks:
        while not (
            answer := await cluster.call(pb.WaitTaskRequest(id=task))
        ).task.finish_time.seconds:
            pass
        found.append(answer.task)
    return found


async def succeeded(cluster: Cluster, *tasks: str) -> list[t.Task]:
    found = await ended(cluster, *tasks)
    assert {one.state for one in found} == {t.TASK_STATE_SUCCEEDED}, found
    return found


async def wait(cluster: Cluster, *tasks: str) -> None:
    """The tasks are PENDING."""
    for task in tasks:
        assert (await cluster.task(task)).state == t.TASK_STATE_PENDING


async def runs(cluster: Cluster, task: str, attempt: int = 1) -> None:
    """Until this attempt has started."""

    async def look() -> bool:
        attempts = (await cluster.task(task)).attempts
        return len(attempts) >= attempt and attempts[attempt - 1].HasField("start_time")

    await until(look, f"attempt {attempt} of {task} runs")


def begin(task: t.Task) -> int:
    """When its first attempt was assigned, in nanoseconds."""
    return int(task.attempts[0].assign_time.ToNanoseconds())


def end(task: t.Task) -> int:
    return int(task.finish_time.ToNanoseconds())


async def refused(cluster: Cluster, request: object) -> QuorateError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await cluster.call(request)
    return from_rpc_error(failed.value)
