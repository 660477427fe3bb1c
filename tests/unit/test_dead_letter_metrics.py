"""Dead letters in numbers, by queue."""

from __future__ import annotations

from scheduler.telemetry.dead_letter_metrics import dead_letter_metrics
from tests.support.core import Cluster
from tests.support.core_specs import spec


def figures(c: Cluster) -> tuple[dict[str, float], dict[str, float]]:
    counts, ages = (
        {sample.labels["queue"]: sample.value for sample in family.samples}
        for family in dead_letter_metrics(c.state, c.now)
    )
    return counts, ages


def test_failed_and_expired_tasks_count_until_they_are_retried() -> None:
    c = Cluster()
    c.queue("other")
    assert figures(c) == ({"default": 0, "other": 0}, {"default": 0.0, "other": 0.0})
    n = c.node("n1")
    first, second = c.submit(), c.submit()
    n.fail(first, "ValueError")
    c.advance(10.0)
    n.fail(second, "OSError")
    c.advance(5.0)
    n.succeed(c.submit())
    n.credit(0)
    c.submit(spec(start_deadline=1.0), queue="other")
    c.advance(1.0)
    c.advance(2.0)
    counts, ages = figures(c)
    assert counts == {"default": 2, "other": 1}
    assert ages["default"] == 18.0
    assert ages["other"] == 2.0
    c.retry(first)
    counts, ages = figures(c)
    assert (counts["default"], ages["default"]) == (1, 8.0)
