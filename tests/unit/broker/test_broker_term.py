"""A leadership term has the broker: what one leader declares, the next one has."""

from __future__ import annotations

from functools import partial

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from scheduler.core.broker import events as e
from scheduler.core.broker.rows import MessageQueueSpec, QueueUid, SessionId
from scheduler.core.broker.state import Space
from scheduler.engine.broker.driver import BrokerDriver
from tests.support.memory_term import MemoryTerm, standing_by

UID = QueueUid("00000000000000a1")
DECLARED = partial(
    e.MessageQueueDeclared, "/", "team/q", MessageQueueSpec(max_length=7), SessionId(""), UID
)


def broker_of(replica: MemoryTerm) -> BrokerDriver:
    assert replica.term.parts is not None
    return replica.term.parts.broker


async def test_a_queue_that_one_leader_declared_the_next_one_has() -> None:
    async with standing_by(MemoryEtcd()) as replica:
        async with replica.leading():
            broker = broker_of(replica)
            answer = await broker.call(DECLARED)
            await broker.readable()
        async with replica.leading():
            other = broker_of(replica)
            assert other is not broker
            queue = other.state.queue("/", "team/q")
            assert queue.row == answer.row  # type: ignore[attr-defined]
            assert other.state.space is Space.PLENTY
        with pytest.raises(QuorateError):
            await other.call(DECLARED)


async def test_what_was_stepped_when_the_term_ends_is_committed() -> None:
    async with standing_by(MemoryEtcd()) as replica:
        async with replica.leading():
            token = broker_of(replica).ask(DECLARED)
        assert (await token).row.uid == UID  # type: ignore[attr-defined]
        async with replica.leading():
            assert broker_of(replica).state.queue("/", "team/q").row.uid == UID


async def test_a_leader_without_message_queues_does_nothing_for_them() -> None:
    async with standing_by(MemoryEtcd()) as replica, replica.leading() as driver:
        broker = broker_of(replica)
        await driver.journal.flush()
        assert not broker._timer.armed
        assert not broker._group.some
