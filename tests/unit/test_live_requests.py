"""What clients of /v1/live say: what is read, and how each fault is named."""

from __future__ import annotations

import json

import pytest

from gateway.live.messages.filters import LogFilter, NameFilter, TaskFilter
from gateway.live.messages.requests import Malformed, Ping, Subscribe, Unsubscribe, read_request


def read(**message):
    return read_request(json.dumps(message).encode())


def test_every_operation_is_read():
    assert read(op="ping") == Ping()
    assert read(op="unsubscribe", id="x") == Unsubscribe("x")
    assert read(op="subscribe", id="x", topic="cluster") == Subscribe(
        "x", "cluster", NameFilter(), ""
    )
    logs = read(op="subscribe", id="x", topic="logs", filter={"id": "t", "tailLines": 5})
    assert logs.filter == LogFilter("t", 0, 5)


def test_filters_that_mean_the_same_are_equal():
    one = read(
        op="subscribe",
        id="a",
        topic="tasks",
        filter={"queue": "q", "ids": ["x", "y"], "states": ["TASK_STATE_RUNNING", 7]},
    )
    other = read(
        op="subscribe",
        id="b",
        topic="tasks",
        resume="5~t",
        filter={"states": [7, 5, 7], "ids": ["y", "x", "x"], "queue": "q", "limit": 100},
    )
    assert one.filter == other.filter == TaskFilter("q", frozenset("xy"), frozenset((5, 7)))
    assert hash(one.filter) == hash(other.filter)
    assert other.resume == "5~t"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "op"),
        ({"op": 5}, "op"),
        ({"op": "ping", "id": "x"}, "id"),
        ({"op": "subscribe", "topic": "tasks"}, "id"),
        ({"op": "subscribe", "id": "", "topic": "tasks"}, "id"),
        ({"op": "subscribe", "id": "x" * 65, "topic": "tasks"}, "id"),
        ({"op": "subscribe", "id": 5, "topic": "tasks"}, "id"),
        ({"op": "subscribe", "id": "\ud800", "topic": "tasks"}, "id"),
        ({"op": "subscribe", "id": "x"}, "topic"),
        ({"op": "subscribe", "id": "x", "topic": []}, "topic"),
        ({"op": "subscribe", "id": "x", "topic": "works"}, "topic"),
        ({"op": "subscribe", "id": "x", "topic": "tasks", "since": 5}, "since"),
        ({"op": "subscribe", "id": "x", "topic": "tasks", "resume": 5}, "resume"),
        ({"op": "subscribe", "id": "x", "topic": "tasks", "resume": "y" * 600}, "resume"),
        ({"op": "subscribe", "id": "x", "topic": "tasks", "filter": []}, "filter"),
        ({"op": "unsubscribe"}, "id"),
    ],
)
def test_a_fault_names_its_field(message, field):
    with pytest.raises(Malformed) as caught:
        read(**message)
    assert caught.value.error.field == field
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("topic", "wanted", "field"),
    [
        ("tasks", {"names": ["x"]}, "filter.names"),
        ("tasks", {"queue": 5}, "filter.queue"),
        ("tasks", {"ids": "x"}, "filter.ids"),
        ("tasks", {"ids": [""]}, "filter.ids[0]"),
        ("tasks", {"ids": ["x"] * 257}, "filter.ids"),
        ("tasks", {"states": ["RUNNING"]}, "filter.states[0]"),
        ("tasks", {"labels": ["x"]}, "filter.labels"),
        ("tasks", {"labels": {"x": 5}}, "filter.labels[x]"),
        ("tasks", {"limit": 0}, "filter.limit"),
        ("tasks", {"limit": 1001}, "filter.limit"),
        ("tasks", {"limit": True}, "filter.limit"),
        ("queues", {"names": [5]}, "filter.names[0]"),
        ("nodes", {"queue": "x"}, "filter.queue"),
        ("jobs", {"names": ["x"]}, "filter.names"),
        ("jobs", {"ids": ["x"] * 33}, "filter.ids"),
        ("cluster", {"names": []}, "filter.names"),
        ("logs", {}, "filter.id"),
        ("logs", {"id": "x", "attempt": -1}, "filter.attempt"),
        ("logs", {"id": "x", "tailLines": 100_001}, "filter.tailLines"),
    ],
)
def test_a_bad_filter_names_its_part_and_subscription(topic, wanted, field):
    with pytest.raises(Malformed) as caught:
        read(op="subscribe", id="mine", topic=topic, filter=wanted)
    assert caught.value.error.field == field
    assert caught.value.id == "mine"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'"x"', b'{"op":NaN}', b"[" * 60_000])
def test_what_is_no_object_is_refused(data):
    with pytest.raises(Malformed):
        read_request(data)
