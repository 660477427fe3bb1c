"""The driver joins events into Txns that etcd takes, and a term that is over leaves nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from quorate.etcd.journal.journal import Journal, JournalError
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import InstanceId, NodeName, TaskId, TaskIds
from quorate.runtime.timing.clock import SystemClock, TermClock
from quorate.v1 import task_pb2
from scheduler.core.machine import Machine
from scheduler.core.model import events as e
from scheduler.core.model import transitions
from scheduler.core.model.rows import TaskRow
from scheduler.core.model.state import DEFAULT_QUEUE, State
from scheduler.core.values import TaskState
from scheduler.engine.driver import Driver
from scheduler.storage import records
from tests.support.core_specs import spec
from tests.support.no_chunks import NoChunks

PREFIX = b"/quorate/test/"

CLOCK = SystemClock()
NODE, INSTANCE = NodeName("n1"), InstanceId("i1")


class Agents(NoChunks):
    """Notes what sessions are told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, TaskId]] = []

    def start(self, instance: InstanceId, row: TaskRow, attempt: int) -> None:
        self.told.append(("start", row.id))

    def end_attempt(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        self.told.append(("end", task))

    def acknowledge(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        self.told.append(("acknowledge", task))

    def drain(self, instance: InstanceId, draining: bool, grace: float) -> None: ...

    def leave(self, instance: InstanceId, leaving: bool) -> None: ...

    def revoke(self, node: NodeName, instance: InstanceId, lease: int) -> None: ...


class LeadershipTerm:
    """One leader on the in-memory store, with a node of eight slots."""

    def __init__(self, etcd: MemoryEtcd, journal: Journal) -> None:
        self.etcd = etcd
        self.journal = journal
        self.state = State()
        self.agents = Agents()
        self.ids = TaskIds()
        self.driver = Driver(
            Machine(self.state),
            records.Codec(PREFIX, self.state),
            journal,
            TermClock(CLOCK),
            lambda: True,
            128,
            agents=self.agents,
        )
        self.run = asyncio.create_task(journal.run())

    def token(self) -> asyncio.Future[object]:
        return asyncio.get_running_loop().create_future()

    def submit(self, **options: Any) -> TaskId:
        task = self.ids.next(self.driver.clock.now())
        request = e.Request()
        self.driver.handle(
            (e.TaskSubmitted(DEFAULT_QUEUE, task, spec(**options), request, self.token()),)
        )
        return task


@pytest.fixture
async def term() -> AsyncIterator[LeadershipTerm]:
    etcd = MemoryEtcd()
    key = PREFIX + b"election/scheduler/1"
    epoch = await etcd.put(key, b"")
    journal = Journal(
        etcd, prefix=PREFIX, leader_key=key, elected=epoch, clock=CLOCK, stall_after=5.0
    )
    await journal.claim()
    term = LeadershipTerm(etcd, journal)
    record = r.NodeRecord(name=NODE, instance=INSTANCE, address="h:1", slots=8)
    row = records.node_row(NODE, record.SerializeToString(), 1, term.state)
    assert row is not None
    term.driver.handle(
        (
            e.Elected(),
            e.NodeRegistered(row),
            e.SessionOpened(NODE, INSTANCE, [], []),
            e.CreditReported(NODE, INSTANCE, 8),
        )
    )
    yield term
    term.driver.close()
    term.run.cancel()
    await asyncio.wait({term.run})


@pytest.mark.parametrize("size", [250_000, 700_000, 1 << 20])
async def test_large_results_of_one_message_go_in_several_txns(
    term: LeadershipTerm, size: int
) -> None:
    tasks = [term.submit() for _ in range(8)]
    await term.journal.flush()
    result = task_pb2.TaskResult(pickle=b"x" * size)
    term.driver.handle(e.AttemptSucceeded(INSTANCE, task, 1, 0.0, 0.0, result) for task in tasks)
    await term.journal.flush()
    assert [told for told in term.agents.told if told[0] == "acknowledge"] == [
        ("acknowledge", task) for task in tasks
    ]
    assert all(term.state.finished[task].state is TaskState.SUCCEEDED for task in tasks)


async def test_an_event_that_cannot_be_handled_ends_the_term(term: LeadershipTerm) -> None:
    task = term.submit()
    await term.journal.flush()
    huge = task_pb2.TaskResult(pickle=b"x" * 2_000_000)
    with pytest.raises(ValueError, match="a Txn holds"):
        term.driver.handle((e.AttemptSucceeded(INSTANCE, task, 1, 0.0, 0.0, huge),))
    async with asyncio.timeout(60):
        await asyncio.wait({term.run})
    assert isinstance(term.run.exception(), JournalError)


async def test_a_transition_that_is_not_in_the_table_is_logged_and_the_term_goes_on(
    term: LeadershipTerm,
) -> None:
    row = term.state.tasks[term.submit(not_before=term.driver.clock.now() + 1_000.0)]
    transitions.requeue(term.state, row)
    transitions.finish(term.state, row, TaskState.SUCCEEDED, 1.0)
    with structlog.testing.capture_logs() as logs:
        term.driver.handle(())
    assert [(line["log_level"], line["before"], line["after"]) for line in logs] == [
        ("error", "PENDING", "SUCCEEDED")
    ]
    assert logs[0]["task"] == row.id
    term.submit()
    await term.journal.flush()


async def test_a_closed_term_sets_no_timer(term: LeadershipTerm) -> None:
    term.driver.close()
    term.submit(not_before=term.driver.clock.now() + 1_000.0)
    assert not term.driver._timer.armed
    for wait in (term.driver.room(), term.driver.waiters.finished(TaskId("0" * 32))):
        with pytest.raises(QuorateError, match="the leader was lost"):
            async with asyncio.timeout(60):
                await wait


async def test_callers_of_an_unfinished_batch_are_told_when_the_term_ends(
    term: LeadershipTerm,
) -> None:
    first, request = term.ids.next(1.0), e.Request("batch", b"d")
    tokens = [term.token(), term.token()]
    specs = [spec()] * 1_000
    for token in tokens:
        term.driver.handle((e.BatchSubmitted(DEFAULT_QUEUE, first, specs, request, token),))
    term.driver.close()
    async with asyncio.timeout(60):
        for token in tokens:
            with pytest.raises(QuorateError, match="the leader was lost"):
                await token


async def test_who_waits_is_told_what_is_committed_and_nothing_later(term: LeadershipTerm) -> None:
    """It fails; while that is under way to etcd it is retried and cancelled."""
    task = term.submit()
    await term.journal.flush()
    waiting = asyncio.ensure_future(term.driver.waiters.finished(task))
    await asyncio.sleep(0)
    # Or it would be placed again at once.
    term.driver.handle((e.CreditReported(NODE, INSTANCE, 0),))
    error = task_pb2.TaskError(type="E")
    term.driver.handle((e.AttemptFailed(INSTANCE, task, 1, 0.0, 0.0, "E", "", error),))
    async with asyncio.timeout(60):
        while term.journal._flight is None:
            await asyncio.sleep(0)
        request = e.Request()
        term.driver.handle(
            (e.TaskRetryAsked(task, e.TaskRecorded(spec(), 1.0), request, term.token()),)
        )
        term.driver.handle((e.TaskCancelAsked(task, request, term.token()),))
        assert (await waiting).state == task_pb2.TASK_STATE_FAILED
        await term.journal.flush()
    assert term.state.finished[task].state is TaskState.CANCELLED
    assert not term.driver.waiters.final_writes_pending
