"""Placement rules, limits and keys of tasks, jobs and services, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from quorate.cli.output.listing import one_line
from quorate.client.tracking.outcome import value_name
from quorate.v1 import placement_pb2, queue_pb2, task_pb2

_CONFLICTS: Final = {
    task_pb2.UNIQUE_CONFLICT_REJECT: ", rejects others",
    task_pb2.UNIQUE_CONFLICT_REPLACE: ", replaces others",
}


def placement_text(rules: placement_pb2.PlacementRules) -> str:
    """Where it may run, such as `disk = ssd; tolerates gpu`; empty without rules."""
    return "; ".join(one_line(part) for part in _parts(rules))


def _parts(rules: placement_pb2.PlacementRules) -> Iterator[str]:
    yield from (node_rule_text(rule) for rule in rules.nodes if not rule.preferred)
    yield from (f"prefers {node_rule_text(rule)}" for rule in rules.nodes if rule.preferred)
    for one in rules.tolerations:
        yield f"tolerates {one.key}" + (f"={one.value}" if one.HasField("value") else "")
    for word, found in (("near", rules.near), ("apart from", rules.apart)):
        for rule in found:
            start = f"if possible {word}" if rule.preferred else word
            yield f"{start} tasks with {rule.label}={rule.value}"
    yield from (f"on a node of its own by {key}" for key in rules.distinct)
    if rules.spread:
        yield f"spread over {rules.spread}"
    elif rules.strategy:
        kind = queue_pb2.PlacementStrategy.DESCRIPTOR
        yield value_name(kind, rules.strategy, "PLACEMENT_STRATEGY_").lower().replace("_", "-")


def node_rule_text(rule: placement_pb2.NodeRule) -> str:
    """A rule as `--where` takes it."""
    values = ",".join(rule.values)
    many = len(rule.values) != 1
    match rule.operator:
        case placement_pb2.LABEL_OPERATOR_NOT_IN:
            return f"{rule.label} {'not in' if many else '!='} {values}"
        case placement_pb2.LABEL_OPERATOR_EXISTS:
            return rule.label
        case placement_pb2.LABEL_OPERATOR_NOT_EXISTS:
            return f"!{rule.label}"
        case _:
            return f"{rule.label} {'in' if many else '='} {values}"


def limit_words(spec: task_pb2.TaskSpec) -> list[str]:
    """The shared limits and keys that a task or a job has."""
    words = [f"shared limit {name}" for name in spec.limits]
    words += _keys((("limit", spec.limit_key), ("fairness", spec.fairness_key)))
    words += _keys((("ordering", spec.ordering_key), ("unique", spec.unique.key)))
    if spec.unique.key:
        words[-1] += _CONFLICTS.get(spec.unique.on_conflict, "")
    return words


def _keys(found: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name} key {one_line(key)}" for name, key in found if key]
