"""A scheduler's series of closed sets of labels are there before anything is counted."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from quorate.etcd.generation import epoch_of
from quorate.runtime.ids import InstanceId
from quorate.runtime.timing.clock import SystemClock
from quorate.security.limits import CallerLimits, CallLimits
from scheduler.agents.conduct import MISCONDUCT
from scheduler.api.forwarding.role import Leader, Roles
from scheduler.api.quotas.servicer import QuotaCalls
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.quotas import EVERYBODY, Quota
from scheduler.engine.task_metrics import TaskMetrics
from scheduler.telemetry.metrics import SchedulerMetrics
from scheduler.telemetry.quota_metrics import quota_metrics
from scheduler.telemetry.replica_metrics import ReplicaMetrics
from tests.support.core import Cluster

ALICE = "submitter:alice"


def faults(metrics: SchedulerMetrics) -> dict[str, float]:
    (family,) = (each for each in metrics.collect() if each.name == "quorate_agent_faults")
    return {sample.labels["kind"]: sample.value for sample in family.samples}


def limits_of(limits: Limits, *asked: str) -> dict[tuple[str, str, str], float]:
    """The limits that a leader shows after calls of these callers."""
    callers = CallerLimits(lambda name: CallLimits(), monotonic=time.monotonic)
    driver: Any = SimpleNamespace(state=Cluster().state)
    quotas = QuotaCalls(driver, limits, callers)
    for name in asked:
        driver.state.callers[name] = SimpleNamespace(
            tasks=1, subtasks=0, blob_bytes=0, stored_bytes=256
        )
    _, shown = quota_metrics(quotas)
    return {
        (sample.labels["kind"], sample.labels["name"], sample.labels["quota"]): sample.value
        for sample in shown.samples
    }


def test_each_kind_of_fault_counts_from_nought() -> None:
    metrics = SchedulerMetrics(Roles(InstanceId("one")))
    assert faults(metrics) == dict.fromkeys(MISCONDUCT, 0)
    metrics.agent_misbehaved("STALE_EPOCH")
    assert faults(metrics) == {**dict.fromkeys(MISCONDUCT, 0), "STALE_EPOCH": 1}


def test_the_epoch_is_of_the_clusters_generation() -> None:
    roles = Roles(InstanceId("one"))
    metrics = ReplicaMetrics(
        roles,
        SystemClock(),
        TaskMetrics(),
        rows=lambda: 0,
        loaded=lambda: True,
        generation=lambda: 3,
        refused=dict,
        lease=lambda: None,
    )
    roles.seen(Leader(b"key", 12, 7, "two", InstanceId("two"), "h:1"))
    (epoch,) = (family for family in metrics.collect() if family.name == "quorate_epoch")
    assert epoch.samples[0].value == epoch_of(3, 12)


def test_the_limits_of_everybody_show_before_anybody_uses_anything() -> None:
    limits = Limits(caller_quota=Quota(live_tasks=7), queue_quota=Quota(stored_bytes=9))
    assert limits_of(limits) == {
        ("caller", EVERYBODY, "live_tasks"): 7,
        ("queue", EVERYBODY, "stored_bytes"): 9,
    }


def test_who_uses_something_has_limits_of_its_own_beside_them() -> None:
    limits = Limits(caller_quota=Quota(live_tasks=7))
    assert limits_of(limits, ALICE) == {
        ("caller", EVERYBODY, "live_tasks"): 7,
        ("caller", ALICE, "live_tasks"): 7,
    }


def test_what_is_unlimited_has_no_limit_to_show() -> None:
    assert limits_of(Limits(), ALICE) == {}
