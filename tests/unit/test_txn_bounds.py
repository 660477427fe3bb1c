"""Whatever `--etcd-max-txn-ops` is, no Txn of a leader is larger than etcd takes.

One that is ends the term, and its callers repeat it at the next leader: nobody would lead for
long any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.journal.journal import Journal
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId, TaskIds
from quorate.runtime.timing.clock import SystemClock, TermClock
from scheduler.config import SchedulerSettings
from scheduler.core.handlers.nodes.scaling_down import decided
from scheduler.core.machine import Machine
from scheduler.core.model import events as e
from scheduler.core.model.answers import BatchCreated
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import Disconnect, Placement, TaskState
from scheduler.engine.driver import Driver
from scheduler.leadership.term import _limits
from scheduler.storage import records
from tests.support.core_specs import spec
from tests.support.no_chunks import NoChunks

# Names as long as they may be: they are in the keys, and in what creators are called.
PREFIX = b"/quorate/" + b"c" * 64 + b"/"
QUEUE = QueueName("q" * 64)
CREATOR = "submitter:" + "a" * 128
NODE, INSTANCE = NodeName("n" * 64), InstanceId("i" * 36)
CLOCK = SystemClock()
# The least and the most that may be configured, etcd's default, and what `quorate up` has.
OPS = pytest.mark.parametrize("ops", [8, 128, 1_024, 100_000])


class Started(NoChunks):
    """Agents: notes what they are told to start."""

    def __init__(self) -> None:
        self.tasks: list[TaskId] = []

    def start(self, instance: InstanceId, row: TaskRow, attempt: int) -> None:
        self.tasks.append(row.id)

    def end_attempt(self, instance: InstanceId, task: TaskId, attempt: int) -> None: ...

    def acknowledge(self, instance: InstanceId, task: TaskId, attempt: int) -> None: ...

    def drain(self, instance: InstanceId, draining: bool, grace: float) -> None: ...

    def leave(self, instance: InstanceId, leaving: bool) -> None: ...

    def revoke(self, node: NodeName, instance: InstanceId, lease: int) -> None: ...


@dataclass
class LeadershipTerm:
    driver: Driver
    etcd: MemoryEtcd
    agents: Started
    ids: TaskIds = field(default_factory=TaskIds)

    async def ask(self, make: Callable[[Pending[object]], e.Event]) -> object:
        """The answer to a caller's event, made of its token."""
        async with asyncio.timeout(60):
            return await self.driver.call(make)

    async def batch(self, size: int, request: e.Request | None = None) -> list[TaskId]:
        """Create so many tasks whose specs are as short as specs are."""
        asked = request or e.Request()
        first = self.ids.next(self.driver.clock.now())
        known = set(self.driver.state.tasks)
        answer = await self.ask(
            lambda token: e.BatchSubmitted(QUEUE, first, [spec()] * size, asked, token, CREATOR)
        )
        assert isinstance(answer, BatchCreated)
        return [task for task in self.driver.state.tasks if task not in known]

    def node(self, slots: int, name: NodeName = NODE, instance: InstanceId = INSTANCE) -> None:
        """A node that takes work."""
        record = r.NodeRecord(name=name, instance=instance, address="h:1", slots=slots)
        row = records.node_row(name, record.SerializeToString(), 1, self.driver.state)
        assert row is not None
        self.driver.handle(
            (
                e.NodeRegistered(row),
                e.SessionOpened(name, instance, [], []),
                e.CreditReported(name, instance, slots),
            )
        )


@asynccontextmanager
async def leading(ops: int) -> AsyncIterator[LeadershipTerm]:
    """A leader on an etcd that refuses what is larger than configured."""
    etcd = MemoryEtcd(max_txn_ops=ops)
    key = PREFIX + b"election/scheduler/1"
    epoch = await etcd.put(key, b"")
    journal = Journal(
        etcd,
        prefix=PREFIX,
        leader_key=key,
        elected=epoch,
        clock=CLOCK,
        max_txn_ops=ops,
        stall_after=20.0,
    )
    await journal.claim()
    state = State()
    settings = SchedulerSettings(_cli_parse_args=[], etcd_max_txn_ops=ops)  # type: ignore[call-arg]
    machine = Machine(state, _limits(settings))
    clock = TermClock(CLOCK)
    agents = Started()
    codec = records.Codec(PREFIX, state)
    driver = Driver(machine, codec, journal, clock, lambda: True, ops, agents=agents)
    term = LeadershipTerm(driver, etcd, agents)
    duties = [asyncio.create_task(journal.run()), asyncio.create_task(driver.bulk.run())]
    driver.handle((e.Elected(),))
    await term.ask(
        lambda token: e.QueueSubmitted(
            QUEUE, Placement.LEAST_LOADED, Disconnect.KEEP, 0.0, 0, e.Request(), token
        )
    )
    try:
        yield term
    finally:
        driver.close()
        for duty in duties:
            duty.cancel()
        await asyncio.gather(*duties, return_exceptions=True)


@OPS
async def test_a_batch_of_short_specs_is_written_in_parts_that_fit(ops: int) -> None:
    async with leading(ops) as term:
        made = await term.batch(5_000, e.Request("r" * 128, b"d" * 16))
        assert len(made) == 5_000


@OPS
async def test_what_waits_is_given_to_a_node_in_txns_that_fit(ops: int) -> None:
    async with leading(ops) as term:
        made = await term.batch(2_000)
        term.node(2_000)
        async with asyncio.timeout(60):
            while len(term.agents.tasks) < 2_000:
                await term.driver.barrier()
        assert term.agents.tasks == made


@OPS
async def test_what_a_lost_node_held_is_given_back_in_txns_that_fit(ops: int) -> None:
    """Their records are short: all that is long are the keys."""
    async with leading(ops) as term:
        driver, held = term.driver, 8_000
        term.node(held)
        await term.batch(held)
        while any(row.state is not TaskState.RUNNING for row in driver.state.tasks.values()):
            await driver.barrier()
        driver.handle((e.NodeLost(NODE, INSTANCE, "test"),))
        await driver.journal.flush()
        assert all(row.state is TaskState.PENDING for row in driver.state.tasks.values())


@OPS
async def test_marks_of_nodes_are_taken_back_for_work_until_there_is_none(ops: int) -> None:
    """Also when they are more than one step takes back."""
    async with leading(ops) as term:
        driver = term.driver
        nodes = [(NodeName(f"n{place}"), InstanceId(f"i{place}")) for place in range(100)]
        for name, instance in nodes:
            term.node(1, name, instance)
        driver.handle(decided(nodes, ()))
        assert len(driver.state.scaling_down) == 100
        made = await term.batch(90)
        async with asyncio.timeout(60):
            while len(term.agents.tasks) < 90:
                await driver.barrier()
        assert sorted(term.agents.tasks) == made
        assert len(driver.state.scaling_down) == 10


@OPS
async def test_retention_deletes_in_txns_that_fit(ops: int) -> None:
    async with leading(ops) as term:
        driver = term.driver
        for number in range(1_500):
            # Ids of calls are the caller's: those that are letters of four bytes take most.
            asked = e.Request(f"{number:06}" + "\U0001f600" * 122, b"d" * 16)
            driver.handle((e.QueuePauseAsked(QUEUE, False, asked, _nobody()),))
            if number % 1_000 == 0:
                await driver.journal.flush()
        await driver.journal.flush()
        for row in driver.state.dedup.values():
            row.create_time -= 86_400.0
        assert driver.purge(20_000) == 1_500
        await driver.journal.flush()
        first = PREFIX + b"dedup/"
        left = await term.etcd.range(Range(first, prefix_end(first), limit=1))
        assert (list(left.kvs), driver.state.dedup) == ([], {})


def _nobody() -> asyncio.Future[object]:
    return asyncio.get_running_loop().create_future()
