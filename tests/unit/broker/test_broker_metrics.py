"""What Prometheus sees of messages: totals only, whatever becomes of their queues."""

from __future__ import annotations

import pytest

from scheduler.core.broker.rows import QueueType
from scheduler.telemetry import message_metrics
from scheduler.telemetry.message_metrics import MessageMetrics
from tests.support.broker import HOST, publication
from tests.support.consuming import Consumers


def series(metrics: MessageMetrics) -> dict[str, float]:
    """Values by name and label, without the prefix."""
    return {
        " ".join((sample.name.removeprefix("quorate_"), *sample.labels.values())): sample.value
        for family in (*metrics.collect_counters(), *metrics.collect_state())
        for sample in family.samples
    }


def leading(broker: Consumers) -> MessageMetrics:
    metrics = MessageMetrics()
    metrics.term_began(broker.state)
    return metrics


def test_what_becomes_of_messages_is_counted() -> None:
    broker = Consumers()
    metrics = leading(broker)
    broker.declare("dead")
    broker.declare(
        "in",
        dead_letter_exchange="",
        dead_letter_routing_key="dead",
        delivery_limit=1,
        message_ttl=60.0,
    )
    broker.declare("short", max_length=1)
    client = broker.client()
    client.subscribe("in")
    for body in (b"1", b"2", b"3", b"4"):
        broker.publish(publication(body, "in"))
    broker.publish(publication(b"1", "short"), publication(b"2", "short"))
    ids = client.ids()
    client.ack(ids[0])
    client.reject(ids[1])
    client.requeue(ids[2])
    client.requeue(ids[2])
    client.unsubscribe()
    client.nack(ids[3])
    broker.pass_time(61)
    broker.receive("short")
    found = series(metrics)
    assert found["messages_published_total"] == 4 + 2 + 3
    assert found["messages_delivered_total"] == 5 + 1
    assert found["messages_redelivered_total"] == 1
    assert found["messages_acknowledged_total"] == 1 + 1
    by_reason = {name: found[f"messages_dead_lettered_total {name}"] for name in REASONS}
    assert by_reason == {"rejected": 1, "delivery_limit": 1, "expired": 1, "maxlen": 0}
    by_reason = {name: found[f"messages_dropped_total {name}"] for name in REASONS}
    assert by_reason == {"rejected": 0, "delivery_limit": 0, "expired": 0, "maxlen": 1}
    broker.step_delete("dead")
    broker.step_delete("in")
    assert series(metrics)["messages_published_total"] == 9, "it does not fall with a queue"


def test_dead_letters_that_go_in_circles_are_counted() -> None:
    broker = Consumers()
    metrics = leading(broker)
    broker.declare("jobs", message_ttl=5.0, dead_letter_exchange="")
    broker.publish(publication(b"a", "jobs"), publication(b"b", "jobs"))
    broker.pass_time(6)
    assert series(metrics)["messages_cycles_dropped_total"] == 2


REASONS = ("rejected", "delivery_limit", "expired", "maxlen")


def test_what_there_is_is_the_leaders() -> None:
    broker = Consumers()
    metrics = leading(broker)
    for name in ("consumed", "left"):
        broker.declare(name)
        broker.put(name, "a", "b", "c")
    broker.declare("log", type=QueueType.STREAM)
    broker.put("log", "a")
    client = broker.client()
    client.subscribe("consumed", prefetch=1)
    found = series(metrics)
    assert found["messages_ready"] == 2 + 3
    assert found["messages_ready_unconsumed"] == 3
    assert found["messages_unacknowledged"] == 1
    assert found["message_queues"] == 3
    assert (found["message_consumers"], found["message_sessions"]) == (1, 1)
    broker.publish(publication(b"x", "left"))
    metrics.term_ended()
    assert "messages_ready" not in series(metrics)
    assert series(metrics)["messages_published_total"] == 1
    metrics.term_began(broker.state)
    assert series(metrics)["messages_published_total"] == 2, "of both terms"


def test_queues_have_rabbitmqs_series_as_far_as_there_are_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(message_metrics, "MOST_SHOWN", 2)
    broker = Consumers()
    metrics = leading(broker)
    for name in ("c", "b", "a"):
        broker.declare(name)
        broker.put(name, "1", "2")
    broker.client().subscribe("a", prefetch=1)
    found = {name: value for name, value in series(metrics).items() if name.startswith("rabbitmq")}
    assert found == {
        "rabbitmq_queue_messages_ready a /": 1,
        "rabbitmq_queue_messages_ready b /": 2,
        "rabbitmq_queue_messages_unacked a /": 1,
        "rabbitmq_queue_messages_unacked b /": 0,
        "rabbitmq_queue_consumers a /": 1,
        "rabbitmq_queue_consumers b /": 0,
    }


def test_a_scrape_looks_at_a_bounded_number_of_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_metrics, "MOST_LOOKED_AT", 2)
    broker = Consumers()
    for number in range(5):
        broker.declare(f"q{number}")
        broker.put(f"q{number}", "a")
    metrics = leading(broker)
    assert [series(metrics)["messages_ready"] for _ in range(3)] == [2, 4, 5]
    broker.step_delete("q0")
    broker.receive("q4")
    for _ in range(3):
        found = series(metrics)
    assert found["messages_ready"] == 3
    assert found["messages_ready_unconsumed"] == 3
    assert broker.state.queue(HOST, "q1").ready == 1
