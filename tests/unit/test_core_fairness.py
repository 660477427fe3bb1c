"""Fair shares between tenants of a queue, and ageing."""

from __future__ import annotations

from collections import Counter

import pytest

from quorate.runtime.ids import QueueName
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.model import events as e
from scheduler.core.model.limits.permits import of_share
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import QueueOrder, TaskState
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec

RUNNING, PENDING = TaskState.RUNNING, TaskState.PENDING


def order(c: Cluster, aging: float = 0.0, **weights: float) -> None:
    row = c.state.queues[DEFAULT_QUEUE]
    what = QueueOrder(aging, tuple(sorted(weights.items())))
    settings = settings_of(row)._replace(order=what)
    c.call(lambda token: e.QueueUpdateAsked(row.name, settings, e.Request(), token))


def used(c: Cluster, tenant: str) -> float:
    return c.state.permits.arrivals.get(of_share(DEFAULT_QUEUE, tenant), 0.0)


def worked_off(c: Cluster, rounds: int, seconds: dict[str, float]) -> Counter[str]:
    """Run tasks of each tenant one after another; how many of each were run."""
    (n,) = c.nodes.values()
    done: Counter[str] = Counter()
    for _ in range(rounds):
        task = next(iter(n.has))
        tenant = c.row(task).tenant
        n.start(task)
        c.advance(seconds.get(tenant, 1.0))
        done[tenant] += 1
        n.succeed(task)
    return done


def filled(tenants: dict[str, int]) -> Cluster:
    """A cluster with so many tasks of each tenant, all of one after the other, and one slot."""
    c = Cluster()
    for tenant, count in tenants.items():
        for _ in range(count):
            c.submit(spec(tenant=tenant))
    c.node("n1", credit=1)
    return c


def test_who_has_a_thousand_tasks_gets_no_more_than_who_has_few() -> None:
    c = filled({"big": 200, "small": 10})
    done = worked_off(c, 20, {})
    assert done["small"] == 10


def test_who_comes_while_the_first_tasks_run_is_not_behind_what_these_were_charged() -> None:
    c = Cluster()
    n = c.node("n1", credit=20)
    # Nobody knows yet how long tasks take, and these turn out to be short.
    for _ in range(100):
        c.submit(spec(tenant="big"))
    for _ in range(5):
        c.submit(spec(tenant="small"))
    n.credit(1)
    for task in list(n.has):
        n.start(task)
        n.succeed(task)
    assert worked_off(c, 12, {})["small"] == 5


def test_a_new_tenant_is_charged_what_tasks_of_the_others_take() -> None:
    c = filled({"known": 5, "new": 5})
    worked_off(c, 1, {"known": 100.0})
    (n,) = c.nodes.values()
    assert [c.row(task).tenant for task in n.has] == ["new"]
    assert used(c, "new") == 100.0


def test_shares_are_slot_seconds_not_tasks() -> None:
    c = filled({"long": 50, "short": 400})
    done = worked_off(c, 100, {"long": 9.0, "short": 1.0})
    assert 7 <= done["short"] / done["long"] <= 11


def test_weights_divide_the_queue() -> None:
    c = filled({"gold": 100, "silver": 100})
    order(c, gold=3.0)
    done = worked_off(c, 40, {})
    assert 2.4 <= done["gold"] / done["silver"] <= 3.6


def test_tasks_without_a_key_are_a_tenant_too() -> None:
    c = filled({"": 100, "a": 100})
    done = worked_off(c, 30, {})
    assert abs(done[""] - done["a"]) <= 2


def test_priority_counts_within_a_tenant_only() -> None:
    c = Cluster()
    urgent = [c.submit(spec(tenant="a", priority=5)) for _ in range(10)]
    low = c.submit(spec(tenant="a"))
    other = c.submit(spec(tenant="b", priority=-5))
    c.node("n1", credit=3)
    assert c.state_of(other) is RUNNING
    assert [c.state_of(task) for task in urgent[:3]] == [RUNNING, RUNNING, PENDING]
    assert c.state_of(low) is PENDING


def test_who_comes_back_has_saved_nothing() -> None:
    c = filled({"busy": 100})
    worked_off(c, 50, {"busy": 10.0})
    for _ in range(60):
        c.submit(spec(tenant="late"))
    done = worked_off(c, 40, {"busy": 10.0, "late": 10.0})
    assert abs(done["busy"] - done["late"]) <= 3


@pytest.mark.parametrize("loaded", [True, False])
def test_a_new_leader_goes_on_with_the_same_shares(loaded: bool) -> None:
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1", credit=1)
    for tenant in ("a", "b"):
        for _ in range(40):
            c.submit(spec(tenant=tenant))
    worked_off(c, 6, {"a": 30.0, "b": 1.0})
    before = used(c, "a"), used(c, "b")
    c.lead(log.loaded().state if loaded else log.followed())
    assert (used(c, "a"), used(c, "b")) == before
    n.open()
    n.credit(1)
    done = worked_off(c, 20, {})
    assert done["b"] > 15


def test_what_never_began_is_not_charged() -> None:
    c = Cluster()
    n = c.node("n1", credit=1)
    task = c.submit(spec(tenant="a"))
    assert used(c, "a") == 0.01
    c.advance(5.0)
    c.placing = False
    n.give_back(task)
    assert used(c, "a") == 0.0
    c.placing = True
    c.place()
    n.start(task)
    c.advance(2.5)
    n.succeed(task)
    assert used(c, "a") == 2.5


def test_shares_of_tenants_that_are_gone_are_dropped() -> None:
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1", credit=1)
    for number in range(20):
        n.succeed(c.submit(spec(tenant=f"t{number}")))
    assert c.state.permits.arrivals
    c.retain()
    assert c.state.permits.arrivals == {}
    assert log.loaded().state.permits.arrivals == {}


def test_a_tenant_whose_tasks_fit_nowhere_holds_nobody_up() -> None:
    c = Cluster()
    c.set_limits(max_running_per_key=1)
    c.node("n1", credit=20)
    big = [c.submit(spec(tenant="big", cpu=64.0)) for _ in range(3)]
    keyed = [c.submit(spec(tenant="keyed", key="k")) for _ in range(3)]
    others = [c.submit(spec(tenant=f"t{number}")) for number in range(5)]
    assert [c.state_of(task) for task in big] == [PENDING] * 3
    assert [c.state_of(task) for task in keyed] == [RUNNING, PENDING, PENDING]
    assert [c.state_of(task) for task in others] == [RUNNING] * 5
    (n,) = c.nodes.values()
    n.succeed(keyed[0])
    assert c.state_of(keyed[1]) is RUNNING


def test_ageing_lifts_what_has_waited() -> None:
    c = Cluster()
    order(c, aging=60.0)
    old = c.submit(spec(priority=0))
    c.advance(100.0)
    one, two = c.submit(spec(priority=1)), c.submit(spec(priority=2))
    n = c.node("n1", credit=1)
    went = []
    while n.has:
        task = next(iter(n.has))
        went.append(task)
        n.succeed(task)
    # 100 s are worth more than one step of 60 s, and less than two.
    assert went == [two, old, one]


def test_a_queue_without_ageing_lets_priority_go_first() -> None:
    c = Cluster()
    old = c.submit(spec(priority=0))
    c.advance(1e6)
    new = c.submit(spec(priority=1))
    c.node("n1", credit=1)
    assert (c.state_of(old), c.state_of(new)) == (PENDING, RUNNING)
    assert c.state.queues[QueueName("default")].order.aging == 0.0
