"""A tenant that comes back to a busy queue begins a little ahead: exact values, and the bounds."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.runtime.ids import TaskId
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.model import events as e
from scheduler.core.model.limits.permits import of_share
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.queues.shares import MOST_SECONDS, ROUNDS, Turns
from scheduler.core.values import QueueOrder
from tests.support.core import Cluster
from tests.support.core_specs import spec

SLOTS = 2
# Seconds that a task takes: exact in binary, so that virtual times are, and ties are ties.
EACH = 1 / 64
FLOOD, MINE = "flood", "mine"


class Slots:
    """A node that runs all it is given at once; each task takes as long as its tenant's do."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.cluster = Cluster(checked=False)
        self.node = self.cluster.node("n1", credit=SLOTS, slots=SLOTS)
        self.seconds = seconds
        # Tenants in the order of their starts; by tenant, how long each task waited, and seconds.
        self.started: list[str] = []
        self.waited: dict[str, list[float]] = {}
        self.used: Counter[str] = Counter()
        self._created: dict[TaskId, float] = {}
        self._ends: list[tuple[float, TaskId]] = []

    def create(self, tenant: str, count: int) -> None:
        """So many tasks at this instant."""
        self.cluster.placing = False
        for _ in range(count):
            self._created[self.cluster.submit(spec(tenant=tenant))] = self.cluster.now
        self.cluster.placing = True
        self.cluster.place()
        self._begin()

    def work(self, seconds: float) -> None:
        """Until so many seconds have passed."""
        until = self.cluster.now + seconds
        while self._ends and self._ends[0][0] <= until:
            self.end_one()
        self.cluster.advance(until - self.cluster.now)

    def end_one(self) -> None:
        """Until the next task has ended."""
        end, task = heappop(self._ends)
        self.cluster.advance(end - self.cluster.now)
        tenant = self.cluster.row(task).tenant
        self.used[tenant] += self.seconds[tenant]  # type: ignore[assignment]
        self.node.succeed(task)
        self._begin()

    def _begin(self) -> None:
        running = {task for _, task in self._ends}
        for task in [task for task in self.node.has if task not in running]:
            self.node.start(task)
            tenant, now = self.cluster.row(task).tenant, self.cluster.now
            heappush(self._ends, (now + self.seconds[tenant], task))
            self.started.append(tenant)
            self.waited.setdefault(tenant, []).append(now - self._created[task])


def busy(seconds: float = EACH, mine: float | None = None) -> Slots:
    """A flood has had all slots for some time; the slots' tasks end at different instants."""
    slots = Slots({FLOOD: seconds, MINE: seconds if mine is None else mine})
    # Else the first ones would be charged what nobody knows yet.
    row_of(slots).pending.turns.ran(FLOOD, seconds)
    slots.create(FLOOD, 1)
    slots.work(seconds / 2)
    slots.create(FLOOD, 1_000)
    slots.work(seconds * 40.25)
    slots.started.clear()
    return slots


def test_a_tenant_that_comes_back_goes_first_with_three_tasks_a_slot_and_then_in_turns() -> None:
    slots = busy()
    slots.create(MINE, 20)
    slots.work(10 * EACH)
    # One that it would be ahead anyway, since the flood's last start is charged already.
    ahead = ROUNDS * SLOTS + 1
    assert ahead == 7
    assert slots.started[:ahead] == [MINE] * 7
    # Who of two that are equal goes first changes: each two starts are one of each.
    assert slots.started[ahead : ahead + 8] == [FLOOD, MINE, MINE, FLOOD] * 2


def test_a_burst_beside_a_flood_waits_no_longer_than_twice_as_long_as_alone() -> None:
    alone = Slots({MINE: EACH})
    alone.create(MINE, 50)
    alone.work(1.0)
    beside = busy()
    beside.create(MINE, 50)
    beside.work(1.0)
    # The last two of 50 start after 24 rounds. Beside the flood the last one is the 94th start: of
    # the 50 tasks 7 go first, and half of the others' starts are the flood's. Without the credit
    # that would be 49 rounds and what is left of the task that runs.
    assert max(alone.waited[MINE]) == pytest.approx(24 * EACH)
    assert max(beside.waited[MINE]) == pytest.approx(46.25 * EACH)
    assert max(beside.waited[MINE]) < 2.0 * max(alone.waited[MINE])


def test_who_comes_back_at_once_has_saved_only_what_it_did_not_use() -> None:
    slots = busy()
    slots.create(MINE, 20)
    while slots.started.count(MINE) < 20:
        slots.end_one()
    slots.started.clear()
    slots.create(MINE, 20)
    slots.work(0.1)
    # In turns from the first one on.
    assert abs(slots.started.count(MINE) - slots.started.count(FLOOD)) <= 2


def test_long_tasks_get_a_quarter_of_a_second_in_each_slot() -> None:
    # The others' tasks are short: how many of them have to wait shows how much that is.
    slots = busy(0.01, mine=0.4)
    slots.create(MINE, 1)
    slots.work(1.0)
    slots.started.clear()
    before = slots.used[FLOOD]
    slots.create(MINE, 4)
    slots.work(5.0)
    # Its mean is 0.4 s, three of which in each slot would be 2.4 s. After 0.5 s of slot time it is
    # where the flood is: that is two tasks, and the third begins once the flood has caught up.
    third = [place for place, tenant in enumerate(slots.started) if tenant == MINE][2]
    assert slots.started[:2] == [MINE, MINE]
    assert third - 2 == pytest.approx((0.8 - MOST_SECONDS * SLOTS) / 0.01, abs=2)
    assert slots.used[FLOOD] > before


def test_tenants_that_come_together_share_the_credit() -> None:
    turns = turns_of_flood()
    turns.enter(["a", "b"], lambda _: 0.0)
    # Beside two others each has half of what one beside one has.
    assert [turns.time("a"), turns.time("b")] == pytest.approx([100.0 - 0.03] * 2)
    turns.enter(["c"], lambda _: 0.0)
    assert turns.time("c") == pytest.approx(100.0 - 0.06 / 3)


def test_who_comes_next_begins_where_the_others_are_and_not_behind_the_credit_of_another() -> None:
    turns = turns_of_flood()
    for number in range(20):
        tenant = f"t{number}"
        turns.enter([tenant], lambda _: 0.0)
        turns.chosen(tenant)
        # It is charged, and corrected: it took less.
        turns.moved(tenant, turns.time(tenant) + 0.01)
        turns.moved(tenant, turns.time(tenant) - 0.009)
        assert turns.floor == 100.0


def test_a_flood_that_was_charged_too_much_still_takes_back_the_floor() -> None:
    turns = turns_of_flood()
    turns.chosen(FLOOD)
    turns.moved(FLOOD, 100.01)
    turns.moved(FLOOD, 99.5)
    assert turns.floor == 99.5


def test_a_queue_without_nodes_and_queues_among_each_other_have_no_credit() -> None:
    turns = turns_of_flood(slots=0)
    turns.enter(["a"], lambda _: 0.0)
    assert turns.time("a") == 100.0


def turns_of_flood(slots: int = SLOTS) -> Turns:
    """One tenant has tasks of 10 ms and is at 100 s."""
    turns = Turns()
    turns.slots = slots
    turns.ran(FLOOD, 0.01)
    turns.enter([FLOOD], lambda _: 100.0)
    turns.chosen(FLOOD)
    return turns


def test_retention_keeps_what_says_that_a_credit_is_spent() -> None:
    slots = busy()
    slots.create(MINE, 8)
    slots.work(0.1)
    assert len(slots.waited[MINE]) == 8
    name = of_share(DEFAULT_QUEUE, MINE)
    arrivals, turns = slots.cluster.state.permits.arrivals, row_of(slots).pending.turns
    assert turns.floor is not None
    # Behind the others, and not by the whole credit.
    arrivals[name] = turns.floor - 0.01
    slots.cluster.retain()
    assert name in arrivals
    arrivals[name] = turns.floor - ROUNDS * SLOTS * EACH - 0.01
    slots.cluster.retain()
    assert name not in arrivals


def test_a_weight_does_not_make_the_credit_longer() -> None:
    slots = busy()
    row = row_of(slots)
    changed = settings_of(row)._replace(order=QueueOrder(0.0, ((MINE, 0.01),)))
    slots.cluster.call(lambda token: e.QueueUpdateAsked(row.name, changed, e.Request(), token))
    slots.create(MINE, 20)
    slots.work(0.1)
    # One task is a hundredth of a flood's hundred: the credit is over with the first one.
    assert slots.started[:2] == [MINE, FLOOD]
    assert slots.started.count(MINE) == 1


def row_of(slots: Slots):
    return slots.cluster.state.queues[DEFAULT_QUEUE]


VISITS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(VISITS, st.sampled_from([0.004, 0.01, 0.15]))
def test_who_comes_and_goes_never_gets_more_than_its_share_and_the_credit(
    visits: list[tuple[int, int]], mine: float
) -> None:
    slots = busy(0.01, mine=mine)
    before = slots.used.copy()
    # Nothing is known of its tasks: it is charged and credited what the others' take.
    most = SLOTS * max(min(ROUNDS * mine, MOST_SECONDS), ROUNDS * 0.01)
    for rest, count in visits:
        for _ in range(rest):
            slots.end_one()
        slots.create(MINE, count)
        for _ in range(count):
            slots.end_one()
        got = slots.used[MINE] - before[MINE]
        flood = slots.used[FLOOD] - before[FLOOD]
        # What runs counts when it ends: of each tenant that is a task in each slot.
        assert got <= flood + most + SLOTS * (mine + 0.01) + mine + 1e-9
