"""The bounds of placement rules and taints."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from quorate.runtime.errors import invalid
from quorate.v1 import placement_pb2, queue_pb2
from scheduler.api.validate import MAX_LABEL, at_most, known_enum, required
from scheduler.core.place_rules import ANY_TAINT, LabelOperator
from scheduler.core.values import Placement

# Rules of a task together; values of one.
MAX_RULES: Final = 32
MAX_VALUES: Final = 64
# The strategies that version 0.1 has.
OLD_STRATEGIES: Final = frozenset(
    (Placement.LEAST_LOADED, Placement.ROUND_ROBIN, Placement.CONSISTENT_HASH)
)
_WITH_VALUES: Final = frozenset((0, LabelOperator.IN, LabelOperator.NOT_IN))


def rules(message: placement_pb2.PlacementRules, labels: Mapping[str, str], field: str) -> None:
    """Whether the rules of a task with these labels are within bounds.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    lists: tuple[Collection[object], ...] = (
        *(message.nodes, message.tolerations, message.near, message.apart),
        message.distinct,
    )
    at_most(field, sum(map(len, lists)), MAX_RULES, "rules together")
    for place, rule in enumerate(message.nodes):
        _node_rule(rule, f"{field}.nodes[{place}]")
    for place, one in enumerate(message.tolerations):
        _label(f"{field}.tolerations[{place}].key", one.key)
        _value(f"{field}.tolerations[{place}].value", one.value)
        if one.key == ANY_TAINT and one.HasField("value"):
            raise invalid(f"{field}.tolerations[{place}].value", "must not be set with the key *")
    for name, found in (("near", message.near), ("apart", message.apart)):
        for place, task_rule in enumerate(found):
            _label(f"{field}.{name}[{place}].label", task_rule.label)
            _value(f"{field}.{name}[{place}].value", task_rule.value)
    for place, key in enumerate(message.distinct):
        _label(f"{field}.distinct[{place}]", key)
        if key not in labels:
            raise invalid(
                f"{field}.distinct[{place}]",
                f"the task has no label {key!r}; set it, or name another one",
            )
    known_enum(f"{field}.strategy", message.strategy, range(len(Placement) + 1))
    if message.spread:
        _label(f"{field}.spread", message.spread)
        if message.strategy != queue_pb2.PLACEMENT_STRATEGY_SPREAD:
            raise invalid(f"{field}.spread", "has an effect only with the strategy SPREAD; set it")


def _node_rule(rule: placement_pb2.NodeRule, field: str) -> None:
    _label(f"{field}.label", rule.label)
    known_enum(f"{field}.operator", rule.operator, range(len(LabelOperator) + 1))
    at_most(f"{field}.values", len(rule.values), MAX_VALUES, "values")
    if rule.operator in _WITH_VALUES and not rule.values:
        raise invalid(f"{field}.values", "is empty; IN and NOT_IN need at least one value")
    if rule.operator not in _WITH_VALUES and rule.values:
        raise invalid(f"{field}.values", "must be empty with EXISTS and NOT_EXISTS")
    for value in rule.values:
        _value(f"{field}.values", value)


def taint(message: placement_pb2.Taint) -> None:
    """Whether a taint is within bounds. Raises as `rules`."""
    _label("taint.key", message.key)
    _value("taint.value", message.value)
    if message.key == ANY_TAINT:
        raise invalid("taint.key", "* is a toleration of every taint, and the key of none")
    if set("=, ") & set(message.key):
        raise invalid("taint.key", f"{message.key!r} has a space, a comma or an equals sign")


def _label(field: str, key: str) -> None:
    at_most(field, len(required(field, key)), MAX_LABEL, "characters")


def _value(field: str, value: str) -> None:
    at_most(field, len(value), MAX_LABEL, "characters")
