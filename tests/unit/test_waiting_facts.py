"""What a task that waits says: that it snoozed, and when it expires unless it starts."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from quorate.cli.output import render
from quorate.cli.tasks.details import details_of
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.tasks import views
from tests.support.one_leader import Leader, leading

WAITS = (
    task_pb2.TASK_STATE_SCHEDULED,
    task_pb2.TASK_STATE_PENDING,
    task_pb2.TASK_STATE_PAUSED,
)


def text_of(shown: Any) -> str:
    text = StringIO()
    Console(file=text, width=200).print(shown)
    return text.getvalue()


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


def snoozed() -> task_pb2.Task:
    task = task_pb2.Task(id="0" * 32, state=task_pb2.TASK_STATE_SCHEDULED, attempt=4, snoozes=3)
    task.schedule_time.seconds = 2_000_000_000
    task.attempts.add(number=4, node="n").error.type = "SNOOZED"
    task.attempts[0].error.message = "the order is not packed yet"
    return task


def test_a_task_that_put_itself_off_says_how_often_until_when_and_why() -> None:
    shown = text_of(details_of(snoozed()))
    assert "SCHEDULED (snoozed)" in shown
    assert "Waits until" in shown
    assert "3 times; attempt 4: the order is not packed yet" in shown
    assert "SCHEDULED (snoozed)" in [str(cell) for cell in render.task_row(snoozed())]


def test_once_it_runs_again_only_the_number_is_left() -> None:
    task = snoozed()
    task.state = task_pb2.TASK_STATE_SUCCEEDED
    shown = text_of(details_of(task))
    assert "3 times" in shown
    assert "not packed" not in shown
    assert "(snoozed)" not in shown


async def test_a_task_that_waits_has_its_deadline(leader: Leader) -> None:
    spec = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    spec.start_deadline.seconds = 40
    made = (await leader.call("CreateTask", pb.CreateTaskRequest(spec=spec))).task
    found = (await leader.call("GetTask", pb.GetTaskRequest(id=made.id))).task
    assert found.expire_time.ToSeconds() - found.create_time.ToSeconds() in (39, 40, 41)
    await leader.call("PauseTask", pb.PauseTaskRequest(id=made.id))
    paused = (await leader.call("GetTask", pb.GetTaskRequest(id=made.id))).task
    assert paused.expire_time == found.expire_time
    shown = text_of(details_of(found))
    assert "Start deadline" in shown
    assert "unless it starts" in shown
    assert any("(expires in" in str(cell) for cell in render.task_row(found))


@pytest.mark.parametrize("state", WAITS)
def test_one_that_has_started_has_none(state: task_pb2.TaskState) -> None:
    run = r.RunRecord(state=state, expire_time=2e9, not_before=1.9e9)
    task = "0" * 32
    assert views.task("q", task, None, run, now=0.0, full=False).HasField("expire_time")
    for started in ("failures", "crashes"):
        after = r.RunRecord()
        after.CopyFrom(run)
        setattr(after, started, 1)
        found = views.task("q", task, None, after, now=0.0, full=False)
        assert not found.HasField("expire_time")
    run.state = task_pb2.TASK_STATE_RUNNING
    assert not views.task("q", task, None, run, now=0.0, full=False).HasField("expire_time")


def test_a_list_says_nothing_of_a_deadline_that_is_far() -> None:
    task = task_pb2.Task(id="0" * 32, state=task_pb2.TASK_STATE_PENDING)
    task.expire_time.FromSeconds(int(time.time()) + 3_600)
    assert not any("expires" in str(cell) for cell in render.task_row(task))
