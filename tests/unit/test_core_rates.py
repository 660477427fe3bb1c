"""Rate limits: how often attempts start, also across leaders and after a pause."""

from __future__ import annotations

import random

import pytest

from scheduler.core.queues import rates
from scheduler.core.values import Rate, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import START, spec

RUNNING, PENDING = TaskState.RUNNING, TaskState.PENDING
TEN = Rate(10, 1.0, 1)


def most_in(period: float, instants: list[float]) -> int:
    """The most starts in any window of `period` seconds, its end not included."""
    ordered = sorted(instants)
    return max(
        (sum(1 for other in ordered if first <= other < first + period) for first in ordered),
        default=0,
    )


def starts(c: Cluster) -> list[float]:
    """When the attempts of all live tasks that run were assigned."""
    return [row.assign_time for row in c.state.tasks.values() if row.state is RUNNING]


@pytest.mark.parametrize(
    "rate", [TEN, Rate(3, 10.0, 2), Rate(1_000, 1.0, 100), Rate(1, 86_400.0, 1)]
)
def test_no_window_has_more_starts_than_rate_and_burst(rate: Rate) -> None:
    rng = random.Random(5)
    arrival, now, taken = 0.0, START, []
    for _ in range(400):
        now += rng.choice([0.0, rate.interval * rng.random(), rate.interval * 3 * rng.random()])
        for _ in range(rates.allowed(rate, arrival, now)):
            taken.append(now)
            arrival = rates.taken(rate, arrival, now)
        assert rates.allowed(rate, arrival, now) == 0
        wake = rates.next_start(rate, arrival, now)
        assert wake > now
        assert rates.allowed(rate, arrival, wake) >= 1
    assert most_in(rate.period, taken) <= rate.starts + rate.burst


def test_what_is_too_far_ahead_counts_as_what_starts_can_leave() -> None:
    year = 366 * 86_400.0
    assert rates.next_start(TEN, START + year, START) <= START + 0.1 + 1e-6
    assert rates.taken(TEN, START + year, START) <= START + 0.2 + 1e-6


def test_a_queue_starts_at_its_rate_and_wakes_by_itself() -> None:
    c = Cluster()
    c.queue("paced", rate=TEN)
    c.node("n1", credit=100, slots=100)
    for _ in range(30):
        c.submit(queue="paced")
    other = c.submit()
    assert c.state_of(other) is RUNNING
    assert len(starts(c)) == 2
    wake = c.state.permits.next_wake()
    assert wake is not None
    assert abs(wake - c.now - 0.1) < 1e-3
    c.advance(0.1)
    assert len(starts(c)) == 3
    for _ in range(10):
        c.advance(0.1)
    assert len(starts(c)) == 13


def test_each_key_has_its_own_rate() -> None:
    c = Cluster()
    c.set_limits(rate_per_key=Rate(1, 10.0, 1))
    n = c.node("n1", credit=100, slots=100)
    tasks = [c.submit(spec(key=key)) for key in ("a", "a", "b", "b", "")]
    assert [c.state_of(task) for task in tasks] == [RUNNING, PENDING, RUNNING, PENDING, RUNNING]
    n.succeed(tasks[0])
    assert c.state_of(tasks[1]) is PENDING
    c.advance(10.0)
    assert c.state_of(tasks[1]) is RUNNING
    assert c.state_of(tasks[3]) is RUNNING
    assert c.state.permits.next_wake() is None


def test_a_shared_rate_holds_across_queues() -> None:
    c = Cluster()
    c.limit("api", 0, Rate(1, 1.0, 2))
    c.queue("other")
    c.node("n1", credit=100, slots=100)
    tasks = [c.submit(spec(limits=["api"]), queue=queue) for queue in ("default", "other") * 2]
    assert len(starts(c)) == 2
    c.advance(1.0)
    assert len(starts(c)) == 3
    c.advance(1.0)
    assert all(c.state_of(task) is RUNNING for task in tasks)


def test_starts_are_not_spent_on_waiting_at_a_node() -> None:
    c = Cluster()
    c.set_limits(rate=Rate(100, 1.0, 100))
    n = c.node("n1", credit=10, slots=2)
    c.queue("free")
    tasks = [c.submit() for _ in range(4)]
    assert len(starts(c)) == 2
    # Work without a rate may wait there.
    others = [c.submit(queue="free") for _ in range(3)]
    assert all(c.state_of(task) is RUNNING for task in others)
    for task in others:
        n.succeed(task)
    n.succeed(tasks[0])
    assert c.state_of(tasks[2]) is RUNNING


def test_what_never_began_is_given_back_and_what_was_lost_is_not() -> None:
    c = Cluster()
    c.set_limits(rate=Rate(1, 60.0, 1))
    n = c.node("n1", credit=10)
    task = c.submit()
    n.give_back(task)
    assert (c.state_of(task), c.row(task).attempt) == (RUNNING, 2)
    n.lose()
    c.node("n2", credit=10)
    assert c.state_of(task) is PENDING
    c.advance(60.0)
    assert (c.state_of(task), c.row(task).attempt) == (RUNNING, 3)


def test_what_a_later_start_did_not_need_is_not_given_back() -> None:
    c = Cluster()
    c.set_limits(rate=Rate(1, 10.0, 2))
    n = c.node("n1", credit=10)
    first = c.submit()
    c.advance(15.0)
    # The first start has come again, whatever becomes of it.
    c.submit()
    n.give_back(first)
    c.submit()
    assert [c.state_of(task) for task in c.state.tasks] == [RUNNING, RUNNING, PENDING]


def test_all_of_several_starts_are_given_back() -> None:
    c = Cluster()
    c.set_limits(rate=Rate(1, 60.0, 3))
    n = c.node("n1", credit=10)
    tasks = [c.submit() for _ in range(3)]
    c.advance(50.0)
    c.pause("default", True)
    for task in tasks:
        n.give_back(task)
    c.pause("default", False)
    assert all(c.state_of(task) is RUNNING for task in tasks)


@pytest.mark.parametrize("seed", range(20))
def test_starts_that_never_were_leave_what_the_others_took(seed: int) -> None:
    rng, rate = random.Random(seed), Rate(2, 1.0, 4)
    latest, arrival, now = rates.Latest(), 0.0, 1_700_000_000.0
    kept: list[float] = []
    for _ in range(200):
        now += rng.choice([0.0, 0.0, 0.1, 0.5, 3.0])
        if rates.allowed(rate, arrival, now):
            latest.took(rate, arrival, now)
            arrival = rates.taken(rate, arrival, now)
            kept.append(now)
        if rng.random() < 0.3:
            never = rng.choice(kept[-6:])
            arrival = latest.without(rate, arrival, never)
            kept.remove(never)
    for place, first in enumerate(kept):
        for count, last in enumerate(kept[place:], 1):
            assert count <= 4 + 2.0 * (last - first) + 1e-3


def test_a_started_attempt_that_comes_back_has_used_its_start() -> None:
    c = Cluster()
    c.set_limits(rate=Rate(1, 60.0, 1))
    n = c.node("n1", credit=10)
    task = c.submit()
    n.start(task)
    n.give_back(task)
    assert c.state_of(task) is PENDING


def test_a_start_is_given_back_only_to_the_limits_that_it_was_taken_of() -> None:
    c = Cluster()
    n = c.node("n1", credit=10)
    task = c.submit()
    c.set_limits(rate=Rate(1, 60.0, 1))
    other = c.submit()
    assert c.state_of(other) is RUNNING
    # It was assigned before there was a rate.
    n.give_back(task)
    assert c.state_of(task) is PENDING


@pytest.mark.parametrize("loaded", [True, False])
def test_a_new_leader_does_not_start_with_a_full_bucket(loaded: bool) -> None:
    log = Log()
    c = Cluster(log=log)
    c.set_limits(rate=Rate(10, 1.0, 5), rate_per_key=Rate(1, 100.0, 1))
    n = c.node("n1", credit=1_000, slots=1_000)
    for place in range(60):
        c.submit(spec(key=f"k{place % 40}"))
    instants = []
    for _ in range(4):
        for _ in range(8):
            c.advance(0.05)
        instants = starts(c)
        c.lead(log.loaded().state if loaded else log.followed())
        n.open()
        n.credit(1_000)
        c.advance(0.0)
    assert most_in(1.0, instants) <= 15
    assert 15 <= len(instants) <= 5 + 16


def test_a_finished_and_deleted_task_leaves_its_start_on_record() -> None:
    log = Log()
    c = Cluster(log=log)
    c.set_limits(rate=Rate(1, 3_600.0, 1))
    n = c.node("n1", credit=10)
    task = c.submit()
    n.succeed(task)
    c.delete(task)
    c.lead(log.loaded().state)
    n.open()
    n.credit(10)
    late = c.submit()
    assert c.state_of(late) is PENDING


def test_numbers_that_say_nothing_any_more_are_dropped() -> None:
    log = Log()
    c = Cluster(log=log)
    c.set_limits(rate_per_key=Rate(1, 10.0, 1))
    n = c.node("n1", credit=100, slots=100)
    for place in range(50):
        n.succeed(c.submit(spec(key=f"k/{place}")))
    assert len(c.state.permits.arrivals) == 50
    c.retain()
    assert len(c.state.permits.arrivals) == 50
    c.advance(11.0)
    n.succeed(c.submit(spec(key="k/7")))
    c.retain(20)
    assert len(c.state.permits.arrivals) in (30, 31)
    for _ in range(3):
        c.retain()
    assert list(c.state.permits.arrivals) == [("key", "default", "k/7")]
    assert log.loaded().state.permits.arrivals == c.state.permits.arrivals


def test_a_rate_that_is_raised_holds_at_once() -> None:
    c = Cluster()
    c.set_limits(rate=Rate(1, 86_400.0, 1))
    c.node("n1", credit=10)
    tasks = [c.submit() for _ in range(3)]
    assert len(starts(c)) == 1
    c.set_limits(rate=Rate(10, 1.0, 1))
    assert len(starts(c)) == 1
    c.advance(0.2)
    c.advance(0.2)
    assert all(c.state_of(task) is RUNNING for task in tasks)
