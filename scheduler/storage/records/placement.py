"""Placement rules and taints as messages, which records and calls share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import placement_pb2
from scheduler.core.place_rules import (
    USUAL_PLACE,
    LabelOperator,
    NodeRule,
    PlaceSettings,
    Rules,
    Taint,
    TaskRule,
    Toleration,
)
from scheduler.core.values import Placement

_OPERATORS: Mapping[int, LabelOperator] = {int(value): value for value in LabelOperator}
_STRATEGIES: Mapping[int, Placement] = {int(value): value for value in Placement}


def rules(message: placement_pb2.PlacementRules, labels: Mapping[str, str]) -> Rules | None:
    """The rules of a validated spec, or of one on record; None when there are none.

    Args:
        labels: of the task, for `distinct`.
    """
    own = tuple((key, labels.get(key, "")) for key in message.distinct)
    return _rules(message.SerializeToString(deterministic=True), own)


# Tasks share equal rules: there are few kinds of them among many tasks.
@lru_cache(maxsize=1024)
def _rules(data: bytes, own: tuple[tuple[str, str], ...]) -> Rules | None:
    message = placement_pb2.PlacementRules.FromString(data)
    distinct = tuple(TaskRule(label, distinct=True) for label in own)
    # An operator that only a newer version knows is left out: it refuses such tasks while an older
    # scheduler is there.
    found = Rules(
        tuple(
            NodeRule(rule.label, operator, tuple(rule.values), rule.preferred)
            for rule in message.nodes
            if (operator := _OPERATORS.get(rule.operator or 1)) is not None
        ),
        tuple(
            Toleration(one.key, one.value if one.HasField("value") else None)
            for one in message.tolerations
        ),
        _task_rules(message.near),
        (*_task_rules(message.apart), *distinct),
        _STRATEGIES.get(message.strategy, 0),
        message.spread,
    )
    return None if found == Rules() else found


def _task_rules(found: Iterable[placement_pb2.TaskRule]) -> tuple[TaskRule, ...]:
    return tuple(TaskRule((rule.label, rule.value), rule.preferred) for rule in found)


def taints(found: Iterable[placement_pb2.Taint]) -> tuple[Taint, ...]:
    """The taints of a record or of a call."""
    return tuple(Taint(one.key, one.value) for one in found)


def taint_messages(found: Iterable[Taint]) -> list[placement_pb2.Taint]:
    """Undoes `taints`."""
    return [placement_pb2.Taint(key=one.key, value=one.value) for one in found]


def place_settings(record: r.QueueRecord) -> PlaceSettings:
    """What a queue's record says of placement besides its strategy."""
    found = PlaceSettings(record.spread_label, tuple(record.filters), record.score)
    return USUAL_PLACE if found == USUAL_PLACE else found


def put_place_settings(record: r.QueueRecord, settings: PlaceSettings) -> None:
    """Undoes `place_settings`."""
    record.spread_label = settings.spread_label
    record.filters.extend(settings.filters)
    record.score = settings.score
