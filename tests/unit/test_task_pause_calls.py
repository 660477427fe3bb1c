"""PauseTask and ResumeTask: what a reader sees, from Python, the command line; typed errors."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from tests.support.fake_scheduler import FakeCluster, FakeServer
from tests.support.one_leader import Leader, leading

PAUSED = task_pb2.TASK_STATE_PAUSED


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


async def create(leader: Leader) -> str:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    return str((await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task.id)


async def test_a_paused_task_says_why_and_is_counted(leader: Leader) -> None:
    task = await create(leader)
    answer = await leader.call("PauseTask", pb.PauseTaskRequest(id=task, reason="data"))
    assert (answer.task.state, answer.task.pause.reason) == (PAUSED, "data")
    counts = (await leader.call("GetQueue", pb.GetQueueRequest(name="default"))).queue.counts
    assert (counts.paused, counts.pending) == (1, 0)
    listed = await leader.call("ListTasks", pb.ListTasksRequest(states=[PAUSED]))
    assert [one.id for one in listed.tasks] == [task]
    answer = await leader.call("ResumeTask", pb.ResumeTaskRequest(id=task))
    assert answer.task.state == task_pb2.TASK_STATE_PENDING
    assert not answer.task.HasField("pause")


async def test_it_is_refused_while_an_older_scheduler_may_lead(leader: Leader) -> None:
    task = await create(leader)
    key = leader.key.rpartition(b"/")[0] + b"/2"
    await leader.etcd.put(key, CandidateRecord(name="old", version="0.1").SerializeToString())
    with pytest.raises(QuorateError) as error:
        await leader.call("PauseTask", pb.PauseTaskRequest(id=task))
    assert error.value.reason == "SCHEDULER_TOO_OLD"


async def test_bad_requests_and_unknown_tasks_are_typed_errors(leader: Leader) -> None:
    for request, code in (
        (pb.PauseTaskRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.PauseTaskRequest(id="a", reason="x" * 257), grpc.StatusCode.INVALID_ARGUMENT),
        (pb.PauseTaskRequest(id="0" * 32), grpc.StatusCode.NOT_FOUND),
    ):
        with pytest.raises(QuorateError) as error:
            await leader.call("PauseTask", request)
        assert error.value.code is code


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    task = "f" * 32
    cluster.tasks[task] = task_pb2.Task(id=task, queue="q", state=task_pb2.TASK_STATE_PENDING)
    yield cluster
    cluster.close()


async def test_clients_and_the_command_line(cluster, monkeypatch, tmp_path, capfd):
    (task,) = cluster.tasks
    address = FakeServer(cluster).address
    with Client(address) as client:
        client.get(task).pause("why")
        assert cluster.tasks[task].pause.reason == "why"
        client.get(task).resume()
    async with AsyncClient(address) as client:
        await client.get(task).pause()
        await client.get(task).resume()
    monkeypatch.setenv("QUORATE_ADDRESS", address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
    assert run(["pause", task, "--reason", "x"]) == 0
    assert cluster.tasks[task].state == PAUSED
    assert run(["resume", task]) == 0
    assert capfd.readouterr().out == f"{task} paused\n{task} resumed\n"
