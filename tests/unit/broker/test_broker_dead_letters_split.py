"""Dead letters whose copies are made in several steps, several of one queue at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.handlers.dead_letters import DeadLetterAsked
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues.deaths import MOST_SPLITS, Reason
from scheduler.core.broker.rows import SessionId
from tests.support.broker import HOST, Broker, publication

TARGETS = 10
LIMITS = BrokerLimits(step_writes=4)
# Ten copies of a body of 2,000 bytes share it.
SHARING = BrokerLimits(step_writes=4, step_bytes=8_000, least_shared_bytes=1_000)


class Splitting(Broker):
    """A queue `jobs` whose dead letters take several steps."""

    def __init__(self, count: int, limits: BrokerLimits = LIMITS, size: int = 1) -> None:
        super().__init__(limits)
        self.exchange("all", "fanout")
        for number in range(TARGETS):
            self.declare(f"dead{number}")
            self.bind("all", f"dead{number}")
        self.jobs = self.declare("jobs", dead_letter_exchange="all")
        self.publish(*(publication(b"%d" % n + bytes(size), "jobs") for n in range(count)))
        ready = self.ask(e.PeekAsked, HOST, "jobs", count, 0).deliveries
        # Each dies by an event of its own.
        self.dying = [self.dies(one.id) for one in ready]

    def dies(self, delivery: int) -> DeadLetterAsked:
        return DeadLetterAsked(self.jobs.row.uid, (delivery,), Reason.REJECTED)

    def turn(self, event: object) -> fx.BrokerEffects:
        """Step one part, and not what follows from it."""
        out = self.machine.step(event, self.now)
        for follows in self.commit(out):
            self.step(follows)
        return out

    @property
    def copies(self) -> int:
        return sum(self.state.queue(HOST, f"dead{n}").ready for n in range(TARGETS))


def test_two_dead_letters_of_one_queue_that_take_turns_are_both_done_and_nothing_is_twice() -> None:
    broker = Splitting(2)
    waiting: deque[object] = deque(broker.dying)
    for _ in range(20):
        if waiting:
            waiting += broker.turn(waiting.popleft()).then
    assert not waiting
    assert broker.copies == 2 * TARGETS
    assert broker.jobs.ready == 0
    assert not broker.jobs.splits


def receive(broker: Splitting) -> Any:
    return broker.ask(e.ReceiveAsked, HOST, "jobs", SessionId(""), 1)


def purge(broker: Splitting) -> Any:
    return broker.ask(e.PurgeAsked, HOST, "jobs", SessionId(""))


@pytest.mark.parametrize("take", [receive, purge])
def test_nothing_is_kept_of_one_whose_message_goes_between_two_parts(
    take: Callable[[Splitting], Any],
) -> None:
    broker = Splitting(1, SHARING, 2_000)
    (left,) = broker.turn(broker.dying[0]).then
    assert broker.state.bodies.writing > 2_000
    take(broker)
    assert not broker.jobs.splits
    assert broker.state.bodies.writing == 0
    assert not broker.turn(left).then
    assert 0 < broker.copies < TARGETS


def test_so_many_are_under_way_and_further_ones_wait_until_one_is_done() -> None:
    broker = Splitting(MOST_SPLITS + 1)
    *first, last = [broker.turn(event).then for event in broker.dying]
    assert len(broker.jobs.splits) == MOST_SPLITS
    assert last == [broker.dying[-1]]
    before = broker.copies
    broker.step(first[0][0])
    assert broker.copies == before + TARGETS - LIMITS.step_writes
    broker.step(last[0])
    assert broker.copies == before + 2 * TARGETS - LIMITS.step_writes
    assert len(broker.jobs.splits) == MOST_SPLITS - 1


def test_one_that_does_not_go_on_makes_room() -> None:
    broker = Splitting(MOST_SPLITS + 1)
    last = [broker.turn(event).then for event in broker.dying][-1]
    broker.now += 61
    before = broker.copies
    broker.step(last[0])
    assert broker.copies == before + TARGETS
    assert len(broker.jobs.splits) == MOST_SPLITS - 1
