"""Choices among candidates, ejection, limits, latencies: values in, values out."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest

from gateway.proxy.balancing.balance import balancer
from gateway.proxy.balancing.ejection import MAX_EJECTION, Ejection, may_eject
from gateway.proxy.balancing.limits import FREE_AT_START, RetryBudget, rate_limit, retry_after
from gateway.proxy.balancing.policy import Policy, policy_of
from gateway.proxy.balancing.stats import Latencies, quantile
from quorate.v1 import service_pb2 as pb

KINDS = [
    pb.BALANCING_LEAST_REQUEST,
    pb.BALANCING_ROUND_ROBIN,
    pb.BALANCING_WEIGHTED,
    pb.BALANCING_CONSISTENT_HASH,
]


@dataclass(eq=False)
class One:
    id: str
    weight: int = 1
    in_flight: int = 0


def draws(kind: int, candidates: list[One], count: int, seed: int = 1) -> Counter[str]:
    chosen = balancer(kind, candidates, random.Random(seed).random)
    picks = (chosen.pick(b"%d" % number, (), 10**9) for number in range(count))
    return Counter(one.id for one in picks if one is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_candidates_get_about_the_same(kind: int):
    seen = draws(kind, [One(name) for name in "abcd"], 8000)
    assert all(1400 < seen[name] < 2600 for name in "abcd"), seen


@pytest.mark.parametrize(
    "kind", [pb.BALANCING_LEAST_REQUEST, pb.BALANCING_WEIGHTED, pb.BALANCING_CONSISTENT_HASH]
)
def test_weights_are_shares(kind: int):
    seen = draws(kind, [One("a", 1), One("b", 3)], 8000)
    assert 2.2 < seen["b"] / seen["a"] < 4.0, seen


@pytest.mark.parametrize("kind", KINDS)
def test_the_tried_and_the_full_are_passed_over_until_none_is_left(kind: int):
    a, b, c = One("a"), One("b", in_flight=5), One("c")
    chosen = balancer(kind, [a, b, c], random.Random(3).random)
    for _ in range(50):
        assert chosen.pick(b"k", [a], 5) is c
    assert chosen.pick(b"k", [a, c], 5) is None
    assert balancer(kind, [], random.random).pick(b"k", (), 5) is None


def test_least_request_prefers_the_less_busy():
    candidates = [One("busy", in_flight=10), One("idle")]
    assert draws(pb.BALANCING_LEAST_REQUEST, candidates, 100) == {"idle": 100}


def test_ejections_double_and_are_forgiven():
    record, now = Ejection(), 100.0
    assert [record.failed(now, eject_after=3) for _ in range(3)] == [False, False, True]
    assert record.eject(now, eject_for=1.0) == 101.0
    assert record.active(100.9)
    assert not record.failed(100.9, eject_after=3)  # was under way
    # On probation one failure is enough, and it costs twice as much.
    assert record.failed(101.5, eject_after=3)
    assert record.eject(101.5, eject_for=1.0) == 103.5
    for _ in range(20):
        record.eject(200.0, eject_for=1.0)
    assert record.length == MAX_EJECTION
    record.succeeded(200.0 + MAX_EJECTION * 3)
    assert record.length == 0.0
    assert not record.failed(1200.0, eject_after=3)


def test_a_success_ends_the_row_of_failures():
    record = Ejection()
    for _ in range(10):
        assert not record.failed(1.0, eject_after=2)
        record.succeeded(1.0)


@pytest.mark.parametrize(("instances", "most"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_at_most_half_may_be_ejected(instances: int, most: int):
    assert sum(may_eject(ejected, instances) for ejected in range(instances)) == most


def test_a_rate_limit_lets_a_seconds_worth_through_at_once_and_then_its_rate():
    limit = rate_limit(10.0, 0.0)
    assert sum(limit.take(0.0) == 0.0 for _ in range(20)) == 10
    assert limit.take(0.0) == pytest.approx(0.1)
    assert sum(limit.take(0.125 * n) == 0.0 for n in range(1, 101)) == 100
    assert retry_after(0.01) == "1"
    assert retry_after(1.5) == "2"


def test_retries_are_a_share_of_requests():
    budget = RetryBudget(0.2, 0.0)
    while budget.take(0.0):
        pass
    for _ in range(1000):
        budget.request()
    assert sum(budget.take(0.0) for _ in range(1000)) in (199, 200)
    assert sum(budget.take(1.0) for _ in range(100)) in (10, 11)
    assert not RetryBudget(0.0, 0.0).take(0.0)
    assert FREE_AT_START >= 1


def test_quantiles_lie_in_their_bucket():
    latencies = Latencies()
    for _ in range(99):
        latencies.add(0.003)
    latencies.add(2.0)
    shot = latencies.snapshot()
    assert shot["count"] == 100
    assert 0.0025 <= shot["p50"] <= 0.005
    assert quantile(latencies.buckets, 1.0) == 2.5
    assert quantile([0] * 15, 0.5) == 0.0


def test_a_policys_zero_values_are_the_defaults_and_bounds_hold():
    assert policy_of(pb.ProxyPolicy()) == Policy()
    policy = policy_of(pb.ProxyPolicy(retries=99, retry_budget=9.0, circuit_breaker=10**9))
    assert (policy.retries, policy.retry_budget, policy.circuit_breaker) == (5, 1.0, 65_536)
    assert policy_of(pb.ProxyPolicy(retries=-1)).retries == 0
    assert policy_of(pb.ProxyPolicy(retry_budget=0.0)).retry_budget == 0.0
