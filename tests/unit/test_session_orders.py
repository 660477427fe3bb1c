"""What a link sends, and in which order; what ends a session must not end the term."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import Epoch, InstanceId, NodeName, TaskId
from quorate.runtime.timing.clock import SystemClock, TermClock
from quorate.v1 import node_agent_pb2 as pb
from scheduler.agents.links import Links
from scheduler.agents.node_link import Link
from scheduler.agents.reports import events_of
from scheduler.agents.sessions import Sessions
from scheduler.core.model import events as e
from scheduler.core.model.rows import NodeRow, QueueRow, TaskRow
from scheduler.core.model.state import DEFAULT_QUEUE, State
from scheduler.core.values import TaskState
from scheduler.engine.clocks import Clocks
from scheduler.storage import keys
from tests.support.core_specs import spec

NODE, INSTANCE = NodeName("n1"), InstanceId("i1")


@dataclass
class NotingDriver:
    """Takes events, and only notes them."""

    state: State = field(default_factory=State)
    events: list[e.Event] = field(default_factory=list)
    max_txn_ops: int = 8
    clocks: Clocks = field(default_factory=lambda: Clocks(TermClock(SystemClock()), 0.0))

    def handle(self, events: Any) -> None:
        self.events.extend(events)


class Fixture:
    """A link with an open session whose messages the test takes by hand."""

    def __init__(self) -> None:
        self.driver = NotingDriver()
        self.state = self.driver.state
        self.queue = self.state.queues[DEFAULT_QUEUE] = QueueRow(DEFAULT_QUEUE, 0.0)
        allocation = self.state.allocation(INSTANCE)
        node = NodeRow(NODE, INSTANCE, "127.0.0.1:1", 8, 0.0, 0, {}, {}, 0.0, "", 1, allocation)
        self.state.nodes[NODE] = node
        self.etcd = MemoryEtcd(max_txn_ops=self.driver.max_txn_ops)
        self.links = Links()
        self.sessions = Sessions(self.driver, self.links, self.etcd, b"/q/", 1, "s1", 10.0)  # type: ignore[arg-type]
        self.link = Link(self.sessions, node)
        self.link.begin_session()
        self.links.add(INSTANCE, self.link)

    def running(self, number: int, *, cached: bool = True) -> TaskRow:
        """A task whose first attempt was given to the node."""
        row = self.state.new_row(TaskId(f"{number:032x}"), self.queue, spec(), 1.0)
        if not cached:
            row.spec = None
        row.state, row.attempt, row.instance = TaskState.RUNNING, 1, INSTANCE
        return row

    async def record(self, row: TaskRow) -> None:
        """Its spec is in etcd."""
        record = r.TaskRecord(spec=spec().spec).SerializeToString()
        await self.etcd.put(b"/q/" + keys.task_key(DEFAULT_QUEUE, row.id), record)

    async def read_specs(self) -> None:
        await self.link.orders.fetch_specs(
            self.etcd, b"/q/", self.driver.max_txn_ops, lambda *_: None
        )

    def messages(self) -> list[pb.SessionRequest]:
        found = []
        while message := self.link.orders.next_message(Epoch(1), None):
            found.append(message)
        return found


def test_a_cancel_never_overtakes_its_assignment() -> None:
    fixture = Fixture()
    rows = [fixture.running(number) for number in range(1_500)]
    for row in rows:
        fixture.links.start(INSTANCE, row, 1)
    fixture.links.end_attempt(INSTANCE, rows[-1].id, 1)
    first, second = fixture.messages()
    assert not first.cancel
    assert [item.task_id for item in second.cancel] == [rows[-1].id]
    assert second.assign[-1].task_id == rows[-1].id


async def test_a_cancel_waits_for_a_spec_that_is_read_back() -> None:
    fixture = Fixture()
    row = fixture.running(1, cached=False)
    await fixture.record(row)
    fixture.links.start(INSTANCE, row, 1)
    fixture.links.end_attempt(INSTANCE, row.id, 1)
    fixture.links.acknowledge(INSTANCE, TaskId("other"), 1)
    (message,) = fixture.messages()
    assert not message.cancel
    assert len(message.acknowledge) == 1
    await fixture.read_specs()
    (message,) = fixture.messages()
    assert len(message.assign) == len(message.cancel) == 1


async def test_an_acknowledgement_goes_with_the_next_assignment() -> None:
    """It asks for no message of its own as long as something else may soon be sent."""
    fixture = Fixture()
    orders, row = fixture.link.orders, fixture.running(1)
    fixture.links.acknowledge(INSTANCE, TaskId("done"), 1)
    assert not orders.wake.is_set()
    fixture.links.start(INSTANCE, row, 1)
    assert orders.wake.is_set()
    (message,) = fixture.messages()
    assert [item.task_id for item in message.assign] == [row.id]
    assert [item.task_id for item in message.acknowledge] == ["done"]


async def test_an_acknowledgement_is_sent_also_when_nothing_else_is() -> None:
    fixture = Fixture()
    fixture.links.acknowledge(INSTANCE, TaskId("done"), 1)
    async with asyncio.timeout(60):
        await fixture.link.orders.wake.wait()
    (message,) = fixture.messages()
    assert [item.task_id for item in message.acknowledge] == ["done"]


async def test_many_specs_are_read_back_in_txns_that_etcd_takes() -> None:
    fixture = Fixture()
    rows = [fixture.running(number, cached=False) for number in range(20)]
    for row in rows:
        await fixture.record(row)
        fixture.links.start(INSTANCE, row, 1)
    await fixture.read_specs()
    (message,) = fixture.messages()
    assert [item.task_id for item in message.assign] == [row.id for row in rows]
    assert {item.spec for item in message.assign} == {spec().spec}


@pytest.mark.parametrize("ended", ["finished", "given to another", "retried"])
def test_an_assignment_whose_attempt_ended_before_it_was_sent_is_left_out(ended: str) -> None:
    """Told in two sessions, run in the second after the first telling, acknowledged, forgotten."""
    fixture = Fixture()
    row, other = fixture.running(1), fixture.running(2)
    fixture.links.start(INSTANCE, row, 1)
    fixture.links.start(INSTANCE, other, 1)
    if ended == "finished":
        row.state = TaskState.SUCCEEDED
    elif ended == "retried":
        row.attempt = 2
    else:
        row.instance = InstanceId("i2")
    (message,) = fixture.messages()
    assert [item.task_id for item in message.assign] == [other.id]


@pytest.mark.parametrize("error", [asyncio.InvalidStateError, grpc.aio.UsageError])
async def test_a_writer_that_finds_its_call_ended_ends_the_session_alone(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent killed under load: grpc.aio may tell the writer first."""
    fixture = Fixture()

    async def broken(self: Link, channel: grpc.aio.Channel) -> None:
        raise error("RPC already finished.")

    monkeypatch.setattr(Link, "_session", broken)
    async with asyncio.timeout(60):
        # Nothing listens on port 1: the process is gone, and so is the node.
        await fixture.link.run()
    assert [type(event) for event in fixture.driver.events] == [e.SessionClosed, e.NodeLost]


def test_an_outcome_that_fits_into_no_txn_fails_its_attempt() -> None:
    message = pb.SessionResponse(instance=INSTANCE)
    item = message.finished.add(task_id="t", attempt=1)
    item.error.type = "x" * 2_000_000
    (event,) = events_of(NODE, INSTANCE, message)
    assert isinstance(event, e.AttemptFailed)
    assert event.error_type == "RESULT_TOO_LARGE"
