"""Which nodes may run what, by what the log says: taints, rules, what an agent can do at all.

A rule holds when an attempt is assigned. A Txn may hold several changes of a node and of what runs
there: what was so at the revision before, or is so now, counts as having been so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from quorate.v1 import placement_pb2 as p
from quorate.v1.task_pb2 import TaskSpec

_Labels = Mapping[str, str]


class Where(NamedTuple):
    """What a task, or a chunk, says of the nodes that it wants, and of itself to others."""

    rules: p.PlacementRules
    labels: _Labels
    hooks: bool = False
    # Of a chunk: 1 for subtasks, 2 for reduces.
    chunk: int = 0

    @property
    def plain(self) -> bool:
        """Whether only taints matter."""
        rules = self.rules
        asks = rules.nodes or rules.near or rules.apart or rules.distinct
        return not (asks or self.hooks or self.chunk)


def where_of(spec: TaskSpec, chunk: int = 0) -> Where:
    """What a spec says of that."""
    return Where(spec.placement, dict(spec.labels), spec.HasField("hooks"), chunk)


_OPERATORS: Mapping[int, Callable[[str | None, list[str]], bool]] = {
    p.LABEL_OPERATOR_UNSPECIFIED: lambda value, values: value in values,
    p.LABEL_OPERATOR_IN: lambda value, values: value in values,
    p.LABEL_OPERATOR_NOT_IN: lambda value, values: value not in values,
    p.LABEL_OPERATOR_EXISTS: lambda value, values: value is not None,
    p.LABEL_OPERATOR_NOT_EXISTS: lambda value, values: value is None,
}
# Taints as (key, value).
_Taints = frozenset[tuple[str, str]]


def _taints(found: object) -> _Taints:
    return frozenset((one.key, one.value) for one in found)  # type: ignore[attr-defined]


class Nodes:
    """The nodes of one history."""

    def __init__(self) -> None:
        self._records: dict[str, r.NodeRecord] = {}
        # By node: by operators; and which of them were written in this revision.
        self._taints: dict[str, _Taints] = {}
        self._changed: dict[str, None] = {}
        # By process: what runs there; and what ran there, where that changed in this revision.
        self._on: dict[str, dict[TaskId, Where]] = {}
        self._ran: dict[str, dict[TaskId, Where]] = {}
        self._fresh: dict[TaskId, str] = {}
        # Starts on nodes with taints, and by rules.
        self.tolerated = self.ruled = 0

    # -- what is on record

    def node(self, record: r.NodeRecord) -> None:
        self._records[record.instance] = record

    def control(self, name: str, record: r.NodeControlRecord | None) -> None:
        """What an operator asked of a node; None: nothing any more."""
        self._changed[name] = None
        self._taints[name] = _taints(record.taints) if record is not None else frozenset()

    def begins(self, task: TaskId, instance: str, where: Where) -> None:
        self._keep(instance)
        self._on.setdefault(instance, {})[task] = where
        self._fresh[task] = instance

    def ends(self, task: TaskId, instance: str) -> None:
        self._keep(instance)
        self._on[instance].pop(task)
        self._fresh.pop(task, None)

    def _keep(self, instance: str) -> None:
        if instance not in self._ran:
            self._ran[instance] = dict(self._on.get(instance, {}))

    # -- when a revision is over

    def over(self) -> None:
        """Check what started."""
        for task, instance in self._fresh.items():
            record, where = self._records[instance], self._on[instance][task]
            self._check_taints(task, record, where)
            if not where.plain:
                self._check_rules(task, record, where)
        if self._fresh or self._ran:
            self._fresh, self._ran = {}, {}
        self._changed.clear()

    def _check_taints(self, task: TaskId, record: r.NodeRecord, where: Where) -> None:
        if record.name in self._changed:
            # Perhaps more than once in this Txn, which holds the last taints alone.
            return
        taints = _taints(record.taints) | self._taints.get(record.name, frozenset())
        self.tolerated += bool(taints)
        for taint in sorted(taints):
            assert _tolerated(taint, where.rules), (
                f"{task} starts on {record.name}, which has the taint {taint}: {where.rules}"
            )

    def _check_rules(self, task: TaskId, record: r.NodeRecord, where: Where) -> None:
        rules, on = where.rules, self._on[record.instance]
        ran = self._ran.get(record.instance, {})
        self.ruled += 1
        assert record.takes_hooks or not where.hooks, f"{record.name} cannot run hooks of {task}"
        assert record.takes_chunks or where.chunk != 1, f"{record.name} cannot run {task}"
        assert record.takes_reduces or where.chunk != 2, f"{record.name} cannot run {task}"
        for rule in rules.nodes:
            value = record.labels.get(rule.label)
            if value is None and rule.label == "node":
                value = record.name
            holds = _OPERATORS[rule.operator](value, list(rule.values))
            assert holds or rule.preferred, f"{task} starts on {record.name}, and {rule}"
        others = [other for at, other in on.items() if at != task]
        for near in rules.near:
            there = any(other.labels.get(near.label) == near.value for other in others)
            was = any(other.labels.get(near.label) == near.value for other in ran.values())
            assert there or was or near.preferred, f"{task} starts on {record.name} without {near}"
        for apart in rules.apart:
            # Of those that were there before it.
            found = [at for at in ran if at in on and at not in self._fresh]
            there = any(on[at].labels.get(apart.label) == apart.value for at in found)
            assert not there or apart.preferred, f"{task} starts on {record.name} beside {apart}"
        for label in rules.distinct:
            there = any(
                label in other.rules.distinct and other.labels.get(label) == where.labels[label]
                for other in others
            )
            assert not there, f"{task} starts on {record.name} beside another with its {label}"


def _tolerated(taint: tuple[str, str], rules: p.PlacementRules) -> bool:
    return any(
        one.key in ("*", taint[0]) and (not one.HasField("value") or one.value == taint[1])
        for one in rules.tolerations
    )
