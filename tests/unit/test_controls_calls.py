"""SendSignal and PauseTask of what runs: what a caller sees, from Python and the command line."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio

from quorate.cli.app import run
from quorate.client.aio import AsyncClient
from quorate.client.client import Client
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import InstanceId, TaskId
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.core.model import events as e
from tests.support.core_specs import node_row
from tests.support.fake_scheduler import FakeCluster, FakeServer
from tests.support.one_leader import Leader, leading

NODE = InstanceId("n1-1")
RUNNING = task_pb2.TASK_STATE_RUNNING
USR1 = task_pb2.TASK_SIGNAL_USR1


@pytest_asyncio.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        row = node_row("n1", NODE)
        leader.driver.handle(
            (
                e.NodeRegistered(row),
                e.SessionOpened(row.name, NODE, (), ()),
                e.CreditReported(row.name, NODE, 4),
            )
        )
        yield leader


async def running(leader: Leader, **work: Any) -> TaskId:
    spec = task_pb2.TaskSpec(**(work or {"command": task_pb2.CommandWork(argv=["sleep", "9"])}))
    task = TaskId((await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task.id)
    leader.driver.handle((e.AttemptStarted(NODE, task, 1, leader.driver.clock.now()),))
    return task


async def test_a_program_that_runs_is_suspended_signalled_and_goes_on(leader: Leader) -> None:
    task = await running(leader)
    answer = await leader.call("PauseTask", pb.PauseTaskRequest(id=task, reason="disk"))
    assert (answer.task.state, answer.task.suspended) == (RUNNING, True)
    assert answer.task.pause.reason == "disk"
    answer = await leader.call("SendSignal", pb.SendSignalRequest(id=task, signal=USR1))
    assert answer.task.id == task
    assert (await leader.call("GetTask", pb.GetTaskRequest(id=task))).task.suspended
    answer = await leader.call("ResumeTask", pb.ResumeTaskRequest(id=task))
    assert (answer.task.state, answer.task.suspended) == (RUNNING, False)
    assert not answer.task.HasField("pause")


async def test_what_a_task_says_is_in_its_view_while_it_runs(leader: Leader) -> None:
    task = await running(leader)
    leader.driver.handle((e.ProgressReported(NODE, task, 1, 0.4, "epoch 4", 0.0),))
    for view in (task_pb2.TASK_VIEW_BASIC, task_pb2.TASK_VIEW_FULL):
        found = await leader.call("GetTask", pb.GetTaskRequest(id=task, view=view))
        assert (found.task.progress.fraction, found.task.progress.text) == (0.4, "epoch 4")
    (listed,) = (await leader.call("ListTasks", pb.ListTasksRequest())).tasks
    assert listed.progress.text == "epoch 4"
    now = leader.driver.clock.now()
    leader.driver.handle((e.AttemptSucceeded(NODE, task, 1, now, now, None),))
    found = await leader.call("GetTask", pb.GetTaskRequest(id=task))
    assert not found.task.HasField("progress")


@pytest.mark.parametrize("number", [0, 19, 18, 64, -1])
async def test_only_the_named_signals_are_sent(leader: Leader, number: int) -> None:
    task = await running(leader)
    request = pb.SendSignalRequest(id=task, signal=number)  # type: ignore[arg-type]
    with pytest.raises(QuorateError) as error:
        await leader.call("SendSignal", request)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "USR1" in str(error.value)


async def test_a_function_and_an_unknown_task_are_typed_errors(leader: Leader) -> None:
    task = await running(leader, python=task_pb2.PythonWork(entrypoint="m:f"))
    calls = (
        ("SendSignal", pb.SendSignalRequest(id=task, signal=USR1), "TASK_IS_FUNCTION"),
        ("PauseTask", pb.PauseTaskRequest(id=task), "TASK_IS_FUNCTION"),
        ("ResumeTask", pb.ResumeTaskRequest(id=task), "TASK_IS_FUNCTION"),
        ("SendSignal", pb.SendSignalRequest(id="0" * 32, signal=USR1), "TASK_NOT_FOUND"),
    )
    for method, request, reason in calls:
        with pytest.raises(QuorateError) as error:
            await leader.call(method, request)
        assert error.value.reason == reason


async def test_suspending_waits_for_older_schedulers_to_go(leader: Leader) -> None:
    task = await running(leader)
    key = leader.key.rpartition(b"/")[0] + b"/2"
    old = CandidateRecord(name="old", version="0.1", record_kinds=["task-pause"])
    await leader.etcd.put(key, old.SerializeToString())
    with pytest.raises(QuorateError) as error:
        await leader.call("PauseTask", pb.PauseTaskRequest(id=task))
    assert error.value.reason == "SCHEDULER_TOO_OLD"


@pytest.fixture
def cluster():
    cluster = FakeCluster()
    cluster.hold.clear()
    task = "f" * 32
    cluster.tasks[task] = task_pb2.Task(id=task, queue="q", state=RUNNING)
    yield cluster
    cluster.close()


async def test_clients_and_the_command_line(cluster, monkeypatch, tmp_path, capfd):
    (task,) = cluster.tasks
    address = FakeServer(cluster).address
    with Client(address) as client:
        client.get(task).signal("usr1")
        client.get(task).signal(signal.SIGHUP)
        with pytest.raises(ValueError, match="USR1, USR2"):
            client.get(task).signal("STOP")
        assert client.get(task).progress() is None
    async with AsyncClient(address) as client:
        await client.get(task).signal("SIGTERM")
    assert [number for _, number in cluster.signals] == [10, 1, 15]
    monkeypatch.setenv("QUORATE_ADDRESS", address)
    monkeypatch.setenv("QUORATE_DATA_DIR", str(tmp_path / "none"))
    assert run(["signal", task, "--signal", "usr2"]) == 0
    assert capfd.readouterr().out == f"{task} signalled\n"
    assert run(["signal", task, "--signal", "cont"]) == 2
    assert "USR1" in capfd.readouterr().err
    cluster.tasks[task].progress.fraction = 0.4
    cluster.tasks[task].progress.text = "epoch 4"
    cluster.tasks[task].suspended = True
    assert run(["task", task]) == 0
    shown = capfd.readouterr().out
    assert "40 % epoch 4" in shown
    assert "suspended" in shown
