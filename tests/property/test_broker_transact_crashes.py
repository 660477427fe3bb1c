"""A leader that dies at any point of any Txn of a worker's transactions: each is there as a whole
or not at all, and has its effect once when the worker repeats it to the next leader.

The driver, the journal, the codec and the fold are the real ones; the store is the twin of etcd.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import pytest

from quorate.etcd.api import Range
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.broker_wire_pb2 import MessageEnvelope
from scheduler.core.broker import events as e
from scheduler.core.broker.machine import BrokerMachine
from scheduler.core.broker.rows import (
    ConsumerNumber,
    MessageQueueSpec,
    QueueUid,
    SessionId,
    SubscribeSpec,
)
from scheduler.core.broker.storage.format import unpack
from scheduler.core.broker.storage.places import of_priority
from scheduler.storage import keys
from scheduler.storage.replica.fold import Fold
from tests.property.test_broker_crashes import Dies, Dying
from tests.support.broker import publication
from tests.support.broker_term import PREFIX, BrokerTerm, Follower, begin

SESSION = SessionId("the worker's session")
SPEC = SubscribeSpec(ConsumerNumber(1), "in")
NAMES = ("in", "out", "more", "dead")
P0 = of_priority(0)
MESSAGES = 7
# The others stay with the worker. Each second one is rejected.
WORK = 6


@dataclass
class Worker:
    """Answers each message with one in each of two queues."""

    # Delivery ids, in the order of the messages.
    ids: list[int] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)

    async def open(self, term: BrokerTerm) -> None:
        """Its session begins, or goes on with all that it may have."""
        left = [one for number, one in enumerate(self.ids) if number not in self.answered]
        consumers, unsettled = ([SPEC], [("in", SPEC.consumer, left)]) if left else ([], [])
        await term.broker.call(
            lambda token: e.SessionOpened(SESSION, "alice", "/", consumers, unsettled, token)
        )
        if not left:
            await term.broker.call(lambda token: e.Subscribed(SESSION, SPEC, token))
            while len(term.sessions.deliveries) < MESSAGES:
                await asyncio.sleep(0)
            self.ids = [one.id for one in term.sessions.deliveries]

    def transact(self, term: BrokerTerm, number: int) -> asyncio.Future[object]:
        """One transaction, perhaps again. Half of them are known by numbers of a producer."""
        outcome = e.Outcome.REJECT if number % 2 else e.Outcome.ACK
        settle = e.Settled(SESSION, 0, SPEC.consumer, "", [self.ids[number]], outcome)
        by_numbers = number < WORK // 2
        producer, request = ("alice/p", "") if by_numbers else ("", f"alice/{number}")
        publications = [
            publication(b"%d" % number, name, number=2 * number + place)
            for place, name in enumerate(("out", "more"), 1)
        ]
        token = term.broker.ask(
            lambda token: e.Transacted(
                "/", publications, SESSION, [settle], token, "alice", producer, request, b"digest"
            )
        )
        token.add_done_callback(lambda token: self._answered(number, token))
        return token

    def _answered(self, number: int, token: asyncio.Future[object]) -> None:
        if token.exception() is None:
            self.answered.add(number)


async def play(term: BrokerTerm, worker: Worker) -> None:
    """Transactions, several in one Txn and some behind one that is under way."""
    for place, name in enumerate(NAMES):
        spec = MessageQueueSpec()
        if name == "in":
            spec = MessageQueueSpec(dead_letter_exchange="", dead_letter_routing_key="dead")
        uid = QueueUid(f"{place:016x}")
        await term.broker.call(partial(e.MessageQueueDeclared, "/", name, spec, SessionId(""), uid))
    sent = [publication(b"%d" % number, "in") for number in range(MESSAGES)]
    await term.broker.call(lambda token: e.MessagesPublished("/", "", sent, token))
    await worker.open(term)
    tokens = []
    for number in range(WORK):
        tokens.append(worker.transact(term, number))
        if number % 3:
            await asyncio.sleep(0)
    await asyncio.gather(*tokens)


async def on_record(store: MemoryEtcd, fold: Fold) -> Mapping[str, list[int]]:
    """The numbers in each queue, as a new leader can read them."""
    fold.broker.settle()
    found: dict[str, list[int]] = {name: [] for name in NAMES}
    for queue in fold.broker.state.queues.values():
        log = queue.of_priority(0).log
        for chunk in log.chunks:
            place = keys.message_sub_log(PREFIX, queue.row.uid, P0)
            stored = await store.range(Range(keys.message_chunk_key(place, chunk.first)))
            done = log.done(chunk.first)
            found[queue.row.name] += [
                int(MessageEnvelope.FromString(message.payload).body)
                for ordinal, message in enumerate(unpack(stored.kvs[0].value))
                if not done >> ordinal & 1
            ]
    return found


def check_whole(found: Mapping[str, list[int]], done: set[int]) -> None:
    """Each transaction is done with all of its parts, once, or with none of them."""
    assert sorted(found["out"]) == sorted(found["more"]) == sorted(done)
    assert sorted(found["dead"]) == [number for number in sorted(done) if number % 2]
    assert found["in"] == [number for number in range(MESSAGES) if number not in done]


async def crash(number: int, dies: Dies) -> None:
    store, worker = Dying(number, dies), Worker()
    first = await begin(store, Follower(store).follow(), BrokerMachine(Fold().broker.state))
    playing = asyncio.ensure_future(play(first, worker))
    dead = asyncio.create_task(store.dead.wait())
    await asyncio.wait({playing, dead}, return_when=asyncio.FIRST_COMPLETED)
    for _ in range(20):
        await asyncio.sleep(0)
    await first.end()
    playing.cancel()
    dead.cancel()
    await asyncio.gather(playing, dead, return_exceptions=True)
    store.revive()
    fold = Follower(store).follow()
    second = await begin(store, fold, BrokerMachine(fold.broker.state))
    await store.come_late()
    try:
        if len(worker.ids) < MESSAGES:
            # It had not begun.
            return
        found = await on_record(store, Follower(store).follow())
        assert worker.answered <= set(found["out"])
        check_whole(found, set(found["out"]))
        await worker.open(second)
        # All that it has no answer to, and once more: answers may be lost again.
        for _ in range(2):
            again = [one for one in range(WORK) if one not in worker.answered]
            for one in again or range(WORK):
                await worker.transact(second, one)
        check_whole(await on_record(store, Follower(store).follow()), set(range(WORK)))
        queue = second.broker.state.queue("/", "in")
        assert (queue.ready, queue.unacknowledged) == (0, MESSAGES - WORK)
    finally:
        await second.end()


@pytest.mark.parametrize("dies", list(Dies))
async def test_a_transaction_is_whole_and_done_once_wherever_the_leader_dies(dies: Dies) -> None:
    store, worker = Dying(), Worker()
    term = await begin(store, Follower(store).follow(), BrokerMachine(Fold().broker.state))
    await play(term, worker)
    await term.end()
    assert worker.answered == set(range(WORK))
    check_whole(await on_record(store, Follower(store).follow()), set(range(WORK)))
    assert store.txns > 8
    # The first one is the claim.
    for number in range(2, store.txns + 1):
        await crash(number, dies)
