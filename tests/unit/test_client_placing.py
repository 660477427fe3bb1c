"""Placement options of the SDK: rules as users write them."""

from __future__ import annotations

import pytest

from quorate.client.work.options import TaskOptions
from quorate.runtime.errors import QuorateError
from quorate.v1 import placement_pb2, queue_pb2, task_pb2


def put(**options: object) -> placement_pb2.PlacementRules:
    spec = task_pb2.TaskSpec()
    TaskOptions(**options).apply(spec, now=0.0)  # type: ignore[arg-type]
    return spec.placement


def test_a_task_without_rules_has_none():
    spec = task_pb2.TaskSpec()
    TaskOptions(labels={"a": "b"}).apply(spec, now=0.0)
    assert not spec.HasField("placement")


def test_all_options_together():
    found = put(
        where=["disk in ssd, nvme", "!gpu"],
        prefer="zone=a",
        tolerate=["dedicated=ml", "gpu", "*"],
        near={"app": "cache"},
        apart={"app": "batch"},
        distinct="app",
        spread="zone",
    )
    assert found == placement_pb2.PlacementRules(
        nodes=[
            {
                "label": "disk",
                "operator": placement_pb2.LABEL_OPERATOR_IN,
                "values": ["ssd", "nvme"],
            },
            {"label": "gpu", "operator": placement_pb2.LABEL_OPERATOR_NOT_EXISTS},
            {
                "label": "zone",
                "operator": placement_pb2.LABEL_OPERATOR_IN,
                "values": ["a"],
                "preferred": True,
            },
        ],
        tolerations=[{"key": "dedicated", "value": "ml"}, {"key": "gpu"}, {"key": "*"}],
        near=[{"label": "app", "value": "cache"}],
        apart=[{"label": "app", "value": "batch"}],
        distinct=["app"],
        strategy=queue_pb2.PLACEMENT_STRATEGY_SPREAD,
        spread="zone",
    )


def test_spread_over_nodes_needs_no_label():
    found = put(spread="node")
    assert (found.strategy, found.spread) == (queue_pb2.PLACEMENT_STRATEGY_SPREAD, "")
    assert put(placement="bin-pack").strategy == queue_pb2.PLACEMENT_STRATEGY_BIN_PACK


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("where", "disk in"),
        ("where", "a b"),
        ("where", "!"),
        ("where", 5),
        ("tolerate", [5]),
        ("placement", "best"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(option: str, value: object):
    with pytest.raises(QuorateError) as error:
        TaskOptions(**{option: value})  # type: ignore[arg-type]
    assert error.value.metadata["field"] == option
