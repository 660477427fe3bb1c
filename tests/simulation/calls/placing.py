"""Callers whose tasks choose nodes, operators that taint these, and pauses of all that match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model import events as e
from scheduler.core.model.rows import Control, PauseRow
from scheduler.core.values import PauseScope, TaskSpec
from tests.simulation.calls.limits import ARRAYS, WORK
from tests.support.core_rules import TAINTS, with_rules

if TYPE_CHECKING:
    from tests.simulation.callers import Callers

# Pauses that are there at once.
_NAMES: Final = "pqr"


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
        return with_rules(what, rng)

    def taint_node(self) -> None:
        """Taint a node, or take its taints away."""
        rng = self._world.rng
        name = rng.choice(sorted(self._world.agents))
        taints = tuple(rng.sample(TAINTS, rng.choice([0, 1, 1, 2])))
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
