"""A trigger's metadata is taken as documented, and each fault in it is named."""

from __future__ import annotations

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.runtime.errors import QuorateError
from scheduler.autoscaling.ask import KEYS, Ask, Shape, parse
from scheduler.core.place_rules import Taint

PAIRS = ",".join(f"k{number}=1" for number in range(33))


def test_without_metadata_the_defaults_are_asked_for() -> None:
    assert parse({}) == Ask()


def test_every_key_is_taken() -> None:
    ask = parse(
        {
            "scalerAddress": "quorate:7480",
            "queues": "mail, batch-*",
            "slotsPerNode": "4",
            "tasksPerNode": "100",
            "cpuPerNode": "3.5",
            "memoryPerNode": "8Gi",
            "countersPerNode": "gpu=2, licence=1",
            "labelsPerNode": "disk=ssd, zone=a",
            "taintsPerNode": "repair, dedicated=ml",
            "minNodes": "1",
            "maxNodes": "20",
            "oldestAge": "30",
            "idleSeconds": "0.5",
            "leavingSeconds": "20",
            "labels": "zone=a,pool=gpu",
        }
    )
    assert ask == Ask(
        queues=("mail", "batch-*"),
        shape=Shape(
            4,
            3.5,
            8 << 30,
            (("gpu", 2), ("licence", 1)),
            (("disk", "ssd"), ("pool", "gpu"), ("zone", "a")),
            (Taint("dedicated", "ml"), Taint("repair")),
        ),
        tasks_per_node=100,
        min_nodes=1,
        max_nodes=20,
        oldest_age=30.0,
        idle_seconds=0.5,
        leaving_seconds=20.0,
        labels=(("pool", "gpu"), ("zone", "a")),
    )


def test_a_key_that_keda_resolved_from_the_environment_is_taken() -> None:
    assert parse({"maxNodesFromEnv": "7"}).max_nodes == 7


def test_tasks_of_a_node_are_as_many_as_its_slots_when_left_out() -> None:
    assert parse({"slotsPerNode": "8"}).tasks_per_node == 8


@pytest.mark.parametrize(
    ("metadata", "key"),
    [
        ({"maxNode": "5"}, "maxNode"),
        ({"queues": "Mail"}, "queues"),
        ({"queues": "mail,,batch"}, "queues"),
        ({"queues": "m" * 65}, "queues"),
        ({"queues": ",".join(["a"] * 65)}, "queues"),
        ({"queues": "a" * 4_097}, "queues"),
        ({"slotsPerNode": "0"}, "slotsPerNode"),
        ({"slotsPerNode": "1025"}, "slotsPerNode"),
        ({"slotsPerNode": "4.0"}, "slotsPerNode"),
        ({"slotsPerNode": "-1"}, "slotsPerNode"),
        ({"slotsPerNode": "٣"}, "slotsPerNode"),
        ({"tasksPerNode": "0"}, "tasksPerNode"),
        ({"tasksPerNode": "1000001"}, "tasksPerNode"),
        ({"tasksPerNode": "2", "slotsPerNode": "4"}, "tasksPerNode"),
        ({"leavingSeconds": "600.1"}, "leavingSeconds"),
        ({"leavingSeconds": "-1"}, "leavingSeconds"),
        ({"cpuPerNode": "0"}, "cpuPerNode"),
        ({"cpuPerNode": "1025"}, "cpuPerNode"),
        ({"cpuPerNode": "500m"}, "cpuPerNode"),
        ({"memoryPerNode": "0"}, "memoryPerNode"),
        ({"memoryPerNode": "4GB"}, "memoryPerNode"),
        ({"memoryPerNode": "2000Ti"}, "memoryPerNode"),
        ({"countersPerNode": "gpu"}, "countersPerNode"),
        ({"countersPerNode": "gpu=-1"}, "countersPerNode"),
        ({"countersPerNode": "gpu=1000001"}, "countersPerNode"),
        ({"countersPerNode": "gpu=1,gpu=2"}, "countersPerNode"),
        ({"countersPerNode": ",".join(f"c{n}=1" for n in range(17))}, "countersPerNode"),
        ({"minNodes": "-1"}, "minNodes"),
        ({"minNodes": "10001"}, "minNodes"),
        ({"maxNodes": "0"}, "maxNodes"),
        ({"maxNodes": "10001"}, "maxNodes"),
        ({"minNodes": "5", "maxNodes": "4"}, "maxNodes"),
        ({"oldestAge": "soon"}, "oldestAge"),
        ({"oldestAge": "2592001"}, "oldestAge"),
        ({"idleSeconds": "nan"}, "idleSeconds"),
        ({"idleSeconds": "inf"}, "idleSeconds"),
        ({"idleSeconds": "2592001"}, "idleSeconds"),
        ({"labels": "zone"}, "labels"),
        ({"labels": "=a"}, "labels"),
        ({"labels": PAIRS}, "labels"),
        ({"labelsPerNode": "zone"}, "labelsPerNode"),
        ({"labelsPerNode": PAIRS}, "labelsPerNode"),
        ({"labels": "pool=a", "labelsPerNode": "pool=b"}, "labelsPerNode"),
        ({"taintsPerNode": "=ml"}, "taintsPerNode"),
        ({"taintsPerNode": "*"}, "taintsPerNode"),
        ({"taintsPerNode": "a=1,a=1"}, "taintsPerNode"),
        ({"taintsPerNode": ",".join(f"t{n}" for n in range(17))}, "taintsPerNode"),
        ({"maxNodes": "5", "maxNodesFromEnv": "6"}, "maxNodes"),
    ],
)
def test_a_fault_is_refused_by_its_key(metadata: dict[str, str], key: str) -> None:
    with pytest.raises(QuorateError) as caught:
        parse(metadata)
    assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.field == f"scalerMetadata.{key}"
    assert caught.value.message.startswith(f"scalerMetadata.{key}: ")
    assert len(caught.value.message) < 400


@given(st.dictionaries(st.sampled_from([*sorted(KEYS), "", "x", "FromEnv"]), st.text()))
def test_whatever_is_given_is_taken_or_refused(metadata: dict[str, str]) -> None:
    refused: QuorateError | None = None
    ask = Ask()
    try:
        ask = parse(metadata)
    except QuorateError as error:
        refused = error
    if refused is not None:
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.field.startswith("scalerMetadata.")
    assert 0 <= ask.min_nodes <= ask.max_nodes


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "mail", True),
        ("mail", "mail", True),
        ("mail", "mails", False),
        ("mail*", "mail", True),
        ("*mail", "web-mail", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "ac", False),
        ("ab*ba", "aba", False),
        ("a*a", "a", False),
        ("a.c", "abc", False),
        ("*x*x*", "ax", False),
        ("**", "", True),
    ],
)
def test_a_star_stands_for_any_characters(pattern: str, name: str, matches: bool) -> None:
    assert Ask(queues=(pattern,)).takes(name) is matches


def test_many_stars_cost_no_more_than_few() -> None:
    # An expression that backtracks would take longer than the universe is old.
    assert not Ask(queues=("*a" * 32,)).takes("a" * 31 + "b" * 33)
