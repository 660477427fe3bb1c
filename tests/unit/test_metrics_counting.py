"""What metrics are made of: buckets, bounded names, calls, and what the leader's driver tells."""

from __future__ import annotations

import math
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from quorate.telemetry.buckets import FINE_SECONDS, LONG_SECONDS, Buckets
from quorate.telemetry.calls import MOST_NAMES, CallMetrics
from quorate.telemetry.families import histogram
from quorate.telemetry.labels import MOST, OTHER, Bounded, Busiest
from scheduler.core.model.effects import PutRun, PutTask, StartAttempt
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import NO_NEEDS, PastAttempt, RetryPolicy, TaskState
from scheduler.engine.task_metrics import SHOWN_DURATIONS, SHOWN_OUTCOMES, TaskMetrics
from scheduler.telemetry.queue_metrics import queue_metrics

QUEUE = QueueRow(QueueName("q"), 0.0)


def row(**changes: Any) -> TaskRow:
    made = TaskRow(
        TaskId("t"), QUEUE, 100.0, 0, RetryPolicy(), NO_NEEDS, "", b"", TaskState.RUNNING
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def text_of(*metrics: Metric) -> str:
    class Collector:
        def collect(self) -> tuple[Metric, ...]:
            return metrics

    registry = CollectorRegistry()
    registry.register(Collector())
    return generate_latest(registry).decode()


def test_a_value_falls_into_the_bucket_whose_bound_it_does_not_exceed() -> None:
    buckets = Buckets((1.0, 2.0))
    for value in (-1.0, 0.5, 1.0, 1.5, 2.0, 9.0):
        buckets.add(value)
    assert buckets.counts == [3, 2, 1]
    assert buckets.count == 6
    assert buckets.total == 14.0
    text = text_of(histogram("x_seconds", "X.", buckets))
    assert 'x_seconds_bucket{le="1.0"} 3.0' in text
    assert 'x_seconds_bucket{le="2.0"} 5.0' in text
    assert 'x_seconds_bucket{le="+Inf"} 6.0' in text
    assert "x_seconds_count 6.0" in text


def test_names_beyond_the_bound_are_added_up() -> None:
    names = [f"q{number:04}" for number in range(MOST + 10)]
    shown = Bounded(reversed(names))
    assert {shown(name) for name in names} == {*names[:MOST], OTHER}


def test_a_thousand_queues_make_two_hundred_series_and_their_sum_is_right() -> None:
    state = State()
    for number in range(1_000):
        queue = QueueRow(QueueName(f"q{number:04}"), 0.0)
        queue.counts[TaskState.PENDING] = 2
        state.queues[queue.name] = queue
    (depth, *_) = queue_metrics(state, 0.0)
    labels = {sample.labels["queue"] for sample in depth.samples}
    assert len(labels) == MOST + 1
    pending = [s.value for s in depth.samples if s.labels["state"] == "pending"]
    assert sum(pending) == 2_000
    assert max(pending) == 2 * (1_000 - MOST)


def test_names_of_calls_are_bounded() -> None:
    calls = CallMetrics("x", "method", "calls")
    for number in range(MOST_NAMES + 50):
        calls.ended(calls.began(f"m{number}"), "OK", 0.1)
    (counted, took, under_way) = calls.collect()
    assert len(counted.samples) == len(under_way.samples) == MOST_NAMES + 1
    assert sum(sample.value for sample in counted.samples) == MOST_NAMES + 50
    assert sum(sample.value for sample in under_way.samples) == 0
    assert {s.labels["method"] for s in took.samples} >= {"m0", OTHER}


def test_a_stream_is_counted_and_shown_while_it_lasts_but_not_timed() -> None:
    calls = CallMetrics("x", "method", "calls")
    name = calls.began("Watch")
    (_, _, under_way) = calls.collect()
    assert [sample.value for sample in under_way.samples] == [1]
    calls.ended(name, "CANCELLED", None)
    (counted, took, under_way) = calls.collect()
    assert [sample.labels["code"] for sample in counted.samples] == ["CANCELLED"]
    assert not took.samples
    assert [sample.value for sample in under_way.samples] == [0]


@pytest.mark.parametrize(
    ("not_before", "waited"),
    [(0.0, 5.0), (103.0, 2.0)],
    ids=["since it was created", "since it was due"],
)
def test_a_first_attempt_waited_since_its_task_was_due(not_before: float, waited: float) -> None:
    metrics = TaskMetrics()
    metrics.placed([StartAttempt(row(not_before=not_before), 1, InstanceId("i"))], 105.0)
    assert metrics.assigned == metrics.dispatch.count == 1
    assert math.isclose(metrics.dispatch.total, waited)


def test_a_later_attempt_says_nothing_about_waiting() -> None:
    metrics = TaskMetrics()
    metrics.placed([StartAttempt(row(attempt=2), 2, InstanceId("i"))], 105.0)
    assert metrics.assigned == 1
    assert metrics.dispatch.count == 0


def test_the_run_of_a_task_that_is_tried_again_is_that_of_the_attempt_before() -> None:
    metrics = TaskMetrics()
    past = PastAttempt(1, NodeName("n"), InstanceId("i"), 101.0, 102.0, 106.0, "X", "")
    tried = row(state=TaskState.SCHEDULED, past=(past,), start_time=0.0)
    metrics.wrote([PutRun(tried, 106.0)], 106.0)
    assert (metrics.run.count, metrics.run.total) == (1, 4.0)
    assert metrics.ended[TaskState.SCHEDULED] == 1


def test_only_what_ran_is_timed_and_only_what_ended_is_counted() -> None:
    metrics = TaskMetrics()
    metrics.wrote(
        [
            PutTask(row(), b""),
            PutRun(row(start_time=102.0)),
            PutRun(row(state=TaskState.CANCELLED), 106.0),
            PutRun(row(state=TaskState.SUCCEEDED, start_time=102.0), 106.0),
        ],
        106.0,
    )
    assert metrics.created == 1
    assert (metrics.run.count, metrics.run.total) == (1, 4.0)
    text = text_of(*metrics.collect())
    assert 'quorate_tasks_finished_total{state="cancelled"} 1.0' in text
    assert 'quorate_tasks_finished_total{state="succeeded"} 1.0' in text
    assert 'quorate_tasks_finished_total{state="failed"} 0.0' in text


def test_a_quantile_is_read_between_two_bounds() -> None:
    buckets = Buckets(FINE_SECONDS)
    assert buckets.quantile(0.99) == 0.0
    values = [0.002 * 1.07**step for step in range(200)]
    for value in values:
        buckets.add(value)
    for share in (0.5, 0.9, 0.99):
        assert buckets.quantile(share) == pytest.approx(values[int(share * 200) - 1], rel=0.2)
    buckets.add(1e9)
    assert buckets.quantile(1.0) == FINE_SECONDS[-1]


def test_fewer_buckets_hold_the_same_observations() -> None:
    fine, coarse = Buckets(FINE_SECONDS), Buckets(LONG_SECONDS)
    for value in (0.0, 0.001, 0.0012, 3.0, 60.0, 61.0, 1e9):
        fine.add(value)
        coarse.add(value)
    assert fine.at(LONG_SECONDS).counts == coarse.counts
    assert fine.at(LONG_SECONDS).total == coarse.total


def test_the_busiest_names_have_labels_and_no_count_is_lost_or_counted_twice() -> None:
    busiest = Busiest(2, 1)
    counts = {"a": [1.0], "b": [5.0], "c": [3.0]}
    assert dict(busiest.look(counts)) == {"b": [5.0], "c": [3.0], OTHER: [1.0]}
    # Not twice as busy as the least busy one: it stays among the others.
    counts["a"] = [5.0]
    assert dict(busiest.look(counts)) == {"b": [5.0], "c": [3.0], OTHER: [5.0]}
    # Now it is: its past stays there, and what the other one did under its label is gone with it.
    counts["a"] = [105.0]
    assert dict(busiest.look(counts)) == {"b": [5.0], "a": [100.0], OTHER: [5.0]}
    counts["c"] = [4.0]
    assert dict(busiest.look(counts)) == {"b": [5.0], "a": [100.0], OTHER: [6.0]}


def test_durations_are_counted_by_queue_and_a_thousand_queues_make_fifty_series() -> None:
    metrics = TaskMetrics()
    for number in range(1_000):
        task = row(queue=QueueRow(QueueName(f"q{number:04}"), 0.0), start_time=102.0)
        task.state = TaskState.SUCCEEDED
        metrics.placed([StartAttempt(task, 1, InstanceId("i"))], 105.0)
        metrics.wrote([PutRun(task, 106.0)], 106.0)
    families = {family.name: family for family in metrics.collect()}
    for name in ("quorate_queue_wait_seconds", "quorate_queue_run_seconds"):
        counts = {
            sample.labels["queue"]: sample.value
            for sample in families[name].samples
            if sample.name.endswith("_count")
        }
        assert len(counts) == SHOWN_DURATIONS + 1
        assert sum(counts.values()) == 1_000
    ended = [s for s in families["quorate_queue_tasks_ended"].samples if s.value]
    assert len(ended) == SHOWN_OUTCOMES + 1
    assert sum(sample.value for sample in ended) == 1_000
    figures = metrics.of_queue("q0007")
    assert figures is not None
    assert figures.run.quantile(0.5) == pytest.approx(4.0, rel=0.5)
