"""No dead letter is lost while etcd has no space: its removal never goes ahead of its copies."""

from __future__ import annotations

import asyncio
from typing import Any

from quorate.etcd.api import Range
from quorate.etcd.memory.store import MemoryEtcd
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.dead_letters import DeadLetterAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import Reason
from scheduler.core.broker.routing.rows import Destination, DestinationKind
from scheduler.core.broker.rows import MessageQueueSpec, QueueUid, SessionId
from scheduler.storage import keys
from scheduler.storage.records.broker.writes import BrokerCodec
from scheduler.storage.replica.fold import Fold
from tests.support.broker import HOST, Broker, publication
from tests.support.broker_term import PREFIX, BrokerTerm, leading, load
from tests.support.message_tasks import bound, publish, tasks

UIDS = {name: QueueUid(f"{n:016x}") for n, name in enumerate(("in", "other", "waits"), 1)}


async def declare(term: BrokerTerm, name: str, **spec: Any) -> None:
    declared = MessageQueueSpec(**spec)
    await term.broker.call(
        lambda token: e.MessageQueueDeclared(HOST, name, declared, SessionId(""), UIDS[name], token)
    )


async def is_stored(term: BrokerTerm, name: str) -> bool:
    """Whether a chunk of the queue is in the store."""
    place = PREFIX + keys.message_queue_messages(UIDS[name])
    found = await term.etcd.range(Range(place, place + b"z"))
    return any(b"/c/" in kv.key for kv in found.kvs)


async def test_a_dead_letter_that_becomes_only_a_task_outlives_a_leader_without_space() -> None:
    etcd = MemoryEtcd()
    async with leading(etcd) as term:
        await bound(term)
        await declare(term, "in", dead_letter_exchange="x")
        await declare(term, "other")
        await declare(term, "waits")
        await publish(term, [publication(b"bad", "in")])
        await publish(term, [publication(b"good", "other")])
        etcd.no_space = True
        sent = [publication(b"waits", "waits")]
        stuck = term.broker.ask(lambda token: e.MessagesPublished(HOST, "", sent, token))
        async with asyncio.timeout(60):
            while not term.journal.no_space:
                await asyncio.sleep(0.01)
            taken = term.broker.state.queue(HOST, "in").next_ready(1, 1e10).deliveries
            ids = tuple(one.id for one in taken)
            term.broker.handle([DeadLetterAsked(UIDS["in"], ids, Reason.REJECTED)])
            # What is acknowledged later goes ahead.
            term.broker.ask(lambda token: e.ReceiveAsked(HOST, "other", SessionId(""), 1, token))
            while await is_stored(term, "other"):
                await asyncio.sleep(0.01)
        assert len(tasks(term)) == 1
        assert not stuck.done()
        assert await is_stored(term, "in")
    # The leader died, and the task is nowhere.
    etcd.no_space = False
    await load(etcd, fold := Fold())
    async with leading(etcd, fold) as term:
        assert not term.driver.state.tasks
        assert term.broker.state.queue(HOST, "in").ready == 1


def test_the_removal_stays_behind_the_copies_of_earlier_steps_although_its_own_has_none() -> None:
    broker = Broker(BrokerLimits(step_writes=4))
    broker.exchange("all", "fanout")
    for number in range(5):
        broker.declare(f"dead{number}")
        broker.bind("all", f"dead{number}")
    jobs = broker.declare("jobs", dead_letter_exchange="all")
    broker.publish(publication(b"a", "jobs"))
    taken = jobs.next_ready(1, broker.now).deliveries
    asked = DeadLetterAsked(jobs.row.uid, (taken[0].id,), Reason.REJECTED)
    first = broker.machine.step(asked, broker.now)
    for event in broker.commit(first):
        broker.step(event)
    assert (len(first.additions), first.writes, len(first.then)) == (4, [], 1)
    # The one that is left gets none.
    (left,) = [n for n in range(5) if not broker.state.queue(HOST, f"dead{n}").ready]
    to = Destination(DestinationKind.QUEUE, f"dead{left}")
    broker.ask(e.UnbindAsked, HOST, "all", to, b"", ())
    last = broker.machine.step(first.then[0], broker.now)
    assert (len(last.additions), len(last.writes)) == (0, 1)
    step = BrokerCodec(PREFIX, {}).encode(last, lambda uid, log: lambda *_: None, space=False)
    assert not step.purged
    assert step.writes
