"""Callers whose tasks choose nodes, operators that taint these, and pauses of all that match."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from quorate.runtime.ids import QueueName, TaskId
from quorate.v1 import placement_pb2 as p
from quorate.v1 import task_pb2
from scheduler.core.model import events as e
from scheduler.core.model.rows import Control, PauseRow
from scheduler.core.place_rules import Taint
from scheduler.core.values import PauseScope, TaskSpec
from scheduler.storage import records
from tests.simulation.calls.limits import ARRAYS, WORK

if TYPE_CHECKING:
    from tests.simulation.callers import Callers

_TAINTS: Final = (Taint("old"), Taint("for", "x"), Taint("for", "y"))
# Pauses that are there at once.
_NAMES: Final = "pqr"
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
_LABELS: Final = (
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


class PlaceCalls:
    """Those of one world."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._world = callers.world
        self.pauses = 0

    def dressed(self, what: TaskSpec) -> TaskSpec:
        """A spec with some labels, and with rules now and then."""
        rng = self._world.rng
        if rng.random() >= self._world.ruled:
            return what
        spec = task_pb2.TaskSpec.FromString(what.spec)
        spec.labels["app"] = rng.choice("xyz")
        if rng.random() < 0.5:
            spec.labels["team"] = rng.choice("ab")
        for kind in rng.sample((_TOLERATIONS, _LABELS, _OTHERS), rng.choice([0, 1, 1, 2])):
            rng.choice(kind)(spec)
        return records.task_spec(spec, spec.SerializeToString(deterministic=True))

    def taint_node(self) -> None:
        """Taint a node, or take its taints away."""
        rng = self._world.rng
        name = rng.choice(sorted(self._world.agents))
        taints = tuple(rng.sample(_TAINTS, rng.choice([0, 1, 1, 2])))
        request = self._callers.request(b"taint")
        self._callers.ask(lambda _, t: e.NodeControlAsked(name, Control(taints=taints), request, t))

    def pause_matching(self) -> None:
        """Pause what has a label, or is of a tenant, in one queue or all, or end such a pause."""
        rng, world = self._world.rng, self._world
        name = rng.choice(_NAMES)
        if rng.random() < 0.5:
            self._end(name)
            return
        labels = rng.choice([(), (("app", "x"),), (("team", "a"),), (("app", "y"), ("team", "b"))])
        pause = PauseRow(
            name,
            QueueName(rng.choice(["", WORK, ARRAYS])),
            labels=labels,
            tenant="" if labels else rng.choice(["gold", "silver"]),
            scope=rng.choice(list(PauseScope)),
            until=rng.choice([0.0, world.wall() + 1.5]),
        )
        request = self._callers.request(b"pause")
        self.pauses += 1
        self._callers.ask(lambda _, t: e.PauseSubmitted(pause, request, t))

    def _end(self, name: str) -> None:
        request = self._callers.request(b"end")
        term = self._world.some_leader()
        row = term.driver.state.pauses.rows.get(name) if term is not None else None
        if row is not None:
            queue = row.queue
            self._callers.ask(lambda _, t: e.PauseDeleteAsked(name, queue, request, t))

    def end(self) -> None:
        """Nothing is held back any longer; what nobody is near ends, too."""
        driver = self._world.driver
        assert driver is not None
        for name in driver.state.pauses.rows:
            self._end(name)
        for task, row in driver.state.tasks.items():
            if row.rules is not None and any(not rule.preferred for rule in row.rules.near):
                self._cancel(task)

    def _cancel(self, task: TaskId) -> None:
        request = self._callers.request(b"cancel")
        self._callers.ask(lambda _, t: e.TaskCancelAsked(task, request, t))
