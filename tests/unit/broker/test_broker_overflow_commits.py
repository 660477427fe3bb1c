"""Messages that many queues drop because they are too long: in few commits."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from scheduler.core.broker import events as e
from scheduler.core.broker.routing.rows import DestinationKind
from scheduler.core.broker.rows import MessageQueueSpec, QueueUid, SessionId
from tests.support.broker import publication
from tests.support.broker_term import leading
from tests.support.message_tasks import bind, exchange

QUEUES, LENGTH = 20, 4


async def publish(term: Any, count: int) -> int:
    """Messages of one request to all queues; how many Txns there were until all is done."""
    before = term.journal.counters.txns
    sent = [publication(b"a", "", "x")] * count
    await term.broker.call(lambda token: e.MessagesPublished("/", "", sent, token))
    await term.journal.flush()
    written: int = term.journal.counters.txns - before
    return written


@pytest.mark.parametrize("dropped", [1, LENGTH])
async def test_deletions_of_many_queues_share_a_commit(dropped: int) -> None:
    """With four, each queue deletes a range of chunks."""
    async with leading(MemoryEtcd()) as term:
        await exchange(term, "x")
        for number in range(QUEUES):
            uid, spec = QueueUid(f"{number:016x}"), MessageQueueSpec(max_length=LENGTH)
            name = f"q{number}"

            def declared(
                token: Any, name: str = name, spec: Any = spec, uid: QueueUid = uid
            ) -> object:
                return e.MessageQueueDeclared("/", name, spec, SessionId(""), uid, token)

            await term.broker.call(declared)
            await bind(term, "x", name, DestinationKind.QUEUE)
        for _ in range(LENGTH):
            await publish(term, 1)
        # The messages; what is dropped for them; and a barrier.
        assert await publish(term, dropped) <= 3
        queues = [term.broker.state.queue("/", f"q{number}") for number in range(QUEUES)]
        assert {queue.ready for queue in queues} == {LENGTH}
        assert {queue.dropped for queue in queues} == {dropped}
