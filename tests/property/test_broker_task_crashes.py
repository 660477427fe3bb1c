"""A leader that dies at any point of any Txn, while messages become tasks: there are as many tasks
as confirmed messages, one of each, once the producer has repeated to the next leader what it did
not hear of.

The driver, the journal, the codecs and the fold are the real ones; the store is the twin of etcd.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.core.broker import events as be
from scheduler.core.broker.answers import PublishAnswer
from scheduler.core.broker.routing.rows import DestinationKind
from scheduler.core.broker.rows import MessageQueueSpec, QueueUid, SessionId
from scheduler.core.values import NO_LIMITS, QueueLimits
from tests.property.test_broker_crashes import Dies, Dying
from tests.support.broker import publication
from tests.support.broker_term import BrokerTerm, Follower, begin
from tests.support.message_tasks import bind, bodies, bound

# Publishes of one producer: how many messages each has, and whether the loop turns before it.
PUBLISHES = st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=6)


class Producer:
    """Its messages have numbers, which are their bodies."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.confirmed: set[int] = set()
        self.rejected: set[int] = set()
        self._number = 0

    def publish(self, term: BrokerTerm, size: int) -> asyncio.Future[object]:
        """New messages, in one event."""
        numbers = list(range(self._number + 1, self._number + size + 1))
        self._number += size
        self.sent.append(numbers)
        return self.send(term, numbers)

    def send(self, term: BrokerTerm, numbers: Sequence[int]) -> asyncio.Future[object]:
        """Messages, perhaps again."""
        sent = [publication(b"%d" % one, "", "x", number=one) for one in numbers]
        token = term.broker.ask(partial(be.MessagesPublished, "/", "ann/p", sent))
        token.add_done_callback(partial(self._answered, numbers))
        return token

    def _answered(self, numbers: Sequence[int], token: asyncio.Future[object]) -> None:
        if not token.cancelled() and token.exception() is None:
            answer = token.result()
            assert isinstance(answer, PublishAnswer)
            rejected = {numbers[one.position] for one in answer.results}
            self.rejected |= rejected
            self.confirmed.update(one for one in numbers if one not in rejected)

    @property
    def unanswered(self) -> list[int]:
        """What it sends to the next leader, in order."""
        known = self.confirmed | self.rejected
        return [one for some in self.sent for one in some if one not in known]


async def prepare(term: BrokerTerm, most: int) -> None:
    """A task queue of at most so many tasks (0: any) and a message queue get each message."""
    await bound(term, limits=QueueLimits(max_length=most) if most else NO_LIMITS)
    uid = QueueUid(f"{1:016x}")
    declared = partial(
        be.MessageQueueDeclared, "/", "copies", MessageQueueSpec(), SessionId(""), uid
    )
    await term.broker.call(declared)
    await bind(term, "x", "copies", DestinationKind.QUEUE)


async def play(term: BrokerTerm, producer: Producer, publishes: list[tuple[int, bool]]) -> None:
    tokens = []
    for size, turns in publishes:
        if turns:
            await asyncio.sleep(0)
        tokens.append(producer.publish(term, size))
    await asyncio.gather(*tokens)


async def history(
    publishes: list[tuple[int, bool]], crashes: list[tuple[int, Dies]], most: int
) -> None:
    store = Dying()
    term = await begin(store, Follower(store).follow())
    await prepare(term, most)
    producer = Producer()
    for ahead, dies in crashes:
        store.die(ahead, dies)
        repeated = producer.unanswered
        again = [producer.send(term, repeated)] if repeated else []
        playing = asyncio.ensure_future(play(term, producer, publishes))
        dead = asyncio.create_task(store.dead.wait())
        await asyncio.wait({playing, dead}, return_when=asyncio.FIRST_COMPLETED)
        for _ in range(20):
            await asyncio.sleep(0)
        await term.end()
        dead.cancel()
        await asyncio.gather(playing, dead, *again, return_exceptions=True)
        store.revive()
        term = await begin(store, Follower(store).follow())
        await store.come_late()
        counts = Counter(bodies(term))
        assert max(counts.values(), default=1) == 1
        assert {b"%d" % one for one in producer.confirmed} <= counts.keys()
        assert not {b"%d" % one for one in producer.rejected} & counts.keys()
    if producer.unanswered:
        await producer.send(term, producer.unanswered)
    assert not producer.unanswered
    assert bool(producer.rejected) == (len(producer.confirmed) < sum(map(len, producer.sent)))
    assert Counter(bodies(term)) == Counter(b"%d" % one for one in producer.confirmed)
    assert term.broker.state.queue("/", "copies").ready == len(producer.confirmed)
    standby = Follower(store).follow().state
    assert standby.tasks.keys() == term.driver.state.tasks.keys()
    await term.end()


@settings(max_examples=12, deadline=None)
@given(
    publishes=PUBLISHES,
    crashes=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(Dies)), max_size=3),
    most=st.sampled_from((0, 0, 50)),
)
def test_each_confirmed_message_is_one_task(
    publishes: list[tuple[int, bool]], crashes: list[tuple[int, Dies]], most: int
) -> None:
    asyncio.run(history(publishes, crashes, most))
