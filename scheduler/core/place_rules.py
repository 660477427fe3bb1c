"""The rules by which a task chooses nodes, and what they say of one node. Values; PURE.

A rule about labels or taints holds or not whatever runs on the node. A rule about other tasks
(`TaskRule`) changes with what runs there. `preferred` rules hold together or not at all: placement
looks for a node that satisfies them first, and then for one that satisfies the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple

# The label that every node has: its name.
NODE_LABEL: Final = "node"
# The key of a toleration that tolerates every taint.
ANY_TAINT: Final = "*"
# (key, value) of a label.
Label = tuple[str, str]


class LabelOperator(IntEnum):
    """How a rule compares a node's label (`quorate.v1.LabelOperator`)."""

    IN = 1
    NOT_IN = 2
    EXISTS = 3
    NOT_EXISTS = 4


class NodeRule(NamedTuple):
    """What one label of a node must be."""

    label: str
    operator: LabelOperator
    values: tuple[str, ...] = ()
    preferred: bool = False

    def holds(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a node satisfies it.

        Args:
            name: the node's; the label `node` where it has none of its own.
        """
        value = labels.get(self.label)
        if value is None and self.label == NODE_LABEL:
            value = name
        match self.operator:
            case LabelOperator.IN:
                return value in self.values
            case LabelOperator.NOT_IN:
                return value not in self.values
            case LabelOperator.EXISTS:
                return value is not None
            case LabelOperator.NOT_EXISTS:
                return value is None

    def __str__(self) -> str:
        """As the command line has it."""
        values = ",".join(self.values)
        match self.operator:
            case LabelOperator.IN:
                return f"{self.label} {'in' if len(self.values) > 1 else '='} {values}"
            case LabelOperator.NOT_IN:
                return f"{self.label} {'not in' if len(self.values) > 1 else '!='} {values}"
            case LabelOperator.EXISTS:
                return f"{self.label} exists"
            case LabelOperator.NOT_EXISTS:
                return f"{self.label} !exists"


class Taint(NamedTuple):
    """Keeps tasks away that do not tolerate it."""

    key: str
    value: str = ""

    def __str__(self) -> str:
        return f"{self.key}={self.value}" if self.value else self.key


class Toleration(NamedTuple):
    """Of a taint with this key; None: of any value."""

    key: str
    value: str | None = None

    def covers(self, taint: Taint) -> bool:
        """Whether the task may run on nodes with the taint."""
        if self.key not in (ANY_TAINT, taint.key):
            return False
        return self.value is None or self.value == taint.value


class TaskRule(NamedTuple):
    """A task with this label is on the node, or is not."""

    label: Label
    preferred: bool = False
    # Made of a label of the task itself: each of those that have it is on another node.
    distinct: bool = False


class Rules(NamedTuple):
    """All rules of a task. `strategy`: a `values.Placement`; 0: that of the queue."""

    nodes: tuple[NodeRule, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    near: tuple[TaskRule, ...] = ()
    apart: tuple[TaskRule, ...] = ()
    strategy: int = 0
    spread: str = ""

    @property
    def prefers(self) -> bool:
        """Whether some rules are preferred only."""
        return any(rule.preferred for rule in self.nodes) or any(
            rule.preferred for rule in (*self.near, *self.apart)
        )


NO_RULES: Final = Rules()


class PlaceSettings(NamedTuple):
    """What a queue says of placement besides its strategy.

    `filters` and `score`: names of plug-ins; "": the strategy chooses.
    """

    spread_label: str = ""
    filters: tuple[str, ...] = ()
    score: str = ""


# The very object of every queue that says nothing: the hot path compares identities.
USUAL_PLACE: Final = PlaceSettings()


def not_tolerated(taints: Iterable[Taint], rules: Rules | None) -> Taint | None:
    """The first taint of a node that keeps a task away."""
    for taint in taints:
        if rules is None or not any(one.covers(taint) for one in rules.tolerations):
            return taint
    return None


def broken_label(
    rules: Rules, name: str, labels: Mapping[str, str], *, preferred: bool = False
) -> NodeRule | None:
    """The first rule that a node's labels do not satisfy.

    Args:
        preferred: whether those that are only preferred count, too.
    """
    for rule in rules.nodes:
        if (preferred or not rule.preferred) and not rule.holds(name, labels):
            return rule
    return None


def broken_near(
    rules: Rules, running: Mapping[Label, int], *, preferred: bool = False
) -> TaskRule | None:
    """The first rule that asks for a task which is not on the node.

    Args:
        running: how many tasks with each label are there.
    """
    for rule in rules.near:
        if (preferred or not rule.preferred) and not running.get(rule.label):
            return rule
    return None


def broken_apart(
    rules: Rules, running: Mapping[Label, int], *, preferred: bool = False
) -> TaskRule | None:
    """The first rule that refuses a task which is on the node; see `broken_near`."""
    for rule in rules.apart:
        if (preferred or not rule.preferred) and running.get(rule.label):
            return rule
    return None
