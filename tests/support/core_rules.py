"""Labels and placement rules of random tasks, and taints of random nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

from quorate.v1 import placement_pb2 as p
from quorate.v1 import task_pb2
from scheduler.core.place_rules import Taint
from scheduler.core.values import TaskSpec
from scheduler.storage import records

TAINTS: Final = (Taint("old"), Taint("for", "x"), Taint("for", "y"))
# Of three nodes.
LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "n0": {"zone": "a"},
    "n1": {"zone": "b"},
    "n2": {"zone": "a", "disk": "ssd"},
}
_Change = Callable[[task_pb2.TaskSpec], object]


def _tolerates(key: str, value: str | None = None) -> _Change:
    return lambda spec: spec.placement.tolerations.add(key=key, value=value)


def _node(label: str, operator: p.LabelOperator, *values: str, preferred: bool = False) -> _Change:
    return lambda spec: spec.placement.nodes.add(
        label=label, operator=operator, values=values, preferred=preferred
    )


# What a task says of nodes. One of each kind at most: else no node may ever suit it.
_TOLERATIONS: Final = (
    _tolerates("old"),
    _tolerates("for", "x"),
    _tolerates("for"),
    _tolerates("*"),
)
_NODES: Final = (
    _node("zone", p.LABEL_OPERATOR_IN, "a"),
    _node("zone", p.LABEL_OPERATOR_NOT_IN, "a"),
    _node("disk", p.LABEL_OPERATOR_EXISTS),
    _node("disk", p.LABEL_OPERATOR_NOT_EXISTS),
    _node("node", p.LABEL_OPERATOR_NOT_IN, "n1"),
    _node("disk", p.LABEL_OPERATOR_EXISTS, preferred=True),
)
_OTHERS: Final[tuple[_Change, ...]] = (
    lambda spec: spec.placement.apart.add(label="app", value="x"),
    lambda spec: spec.placement.near.add(label="app", value="y"),
    lambda spec: spec.placement.near.add(label="app", value="x", preferred=True),
    lambda spec: spec.placement.distinct.append("app"),
    lambda spec: spec.hooks.setup.argv.append("true"),
)


def with_rules(what: TaskSpec, rng: Random) -> TaskSpec:
    """A spec with a label or two, and with rules as a rule."""
    spec = task_pb2.TaskSpec.FromString(what.spec)
    spec.labels["app"] = rng.choice("xyz")
    if rng.random() < 0.5:
        spec.labels["team"] = rng.choice("ab")
    for kind in rng.sample((_TOLERATIONS, _NODES, _OTHERS), rng.choice([0, 1, 1, 2])):
        rng.choice(kind)(spec)
    made = records.task_spec(spec, spec.SerializeToString(deterministic=True))
    return made._replace(member=what.member)
