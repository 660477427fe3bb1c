"""Scale-down marks through whole histories: agents know what the log says, and nothing else."""

from __future__ import annotations

import pytest

from quorate.runtime.ids import InstanceId
from scheduler.core.handlers.scaling_down import decided
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.state import State
from tests.simulation.core_world import Agent, World


class MarkingWorld(World):
    """A world with little work, in which nodes are marked and marks taken back at random."""

    def __init__(self, seed: int) -> None:
        # As sessions keep it: who is to know that it may be ended, of what is committed.
        self.told: set[InstanceId] = set()
        # What the agents were told last.
        self.known: dict[InstanceId, bool] = {}
        self.marks = 0
        super().__init__(seed)

    def _elect(self, state: State, latest: float = 0.0) -> None:
        self.told = {mark.instance for mark in state.scaling_down.values()}
        super()._elect(state, latest)

    def step(self, event: e.Event) -> None:
        super().step(event)
        if not self.leading:
            return
        state = self.machine.state
        self.told &= {node.instance for node in state.nodes.values()}
        for name in state.scaling_down:
            assert not state.nodes[name].allocation.rows, f"{name} may be ended and holds work"
        if isinstance(event, e.SessionOpened):
            self.known[event.instance] = event.instance in self.told

    def _perform(self, effect: fx.After) -> None:
        if not isinstance(effect, fx.OrderScaleDown):
            super()._perform(effect)
            return
        (self.told.add if effect.scaling_down else self.told.discard)(effect.instance)
        if any(a.instance == effect.instance and a.connected for a in self.agents.values()):
            self.known[effect.instance] = effect.scaling_down

    def commit(self, most: int) -> None:
        super().commit(most)
        if self.leading and not self.journal:
            assert self.log.fold.state.scaling_down == self.machine.state.scaling_down

    def _one(self) -> None:
        draw = self.rng.random()
        if draw < 0.05 and self.leading:
            self._mark()
        elif draw < 0.06:
            self.kill_leader()
        elif draw < 0.08:
            self.kill_agent()
        elif draw < 0.7:
            self.commit(self.rng.choice([0, 0, 5, 60]))
            self.run(0.2)
        else:
            super()._one()

    def _mark(self) -> None:
        state, rng = self.machine.state, self.rng
        mark = [(n.name, n.instance) for n in state.nodes.values() if rng.random() < 0.5]
        back = [(name, m.instance) for name, m in state.scaling_down.items() if rng.random() < 0.3]
        for event in decided(mark, back):
            self.step(event)
        self.marks += len(state.scaling_down)


def _wrongly_told(world: MarkingWorld, agent: Agent) -> bool:
    mark = world.machine.state.scaling_down.get(agent.name)
    marked = mark is not None and mark.instance == agent.instance
    return agent.alive and agent.connected and world.known[agent.instance] != marked


@pytest.mark.parametrize("seed", range(8))
def test_agents_know_their_marks_whatever_leader_and_agents_died_of(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = MarkingWorld(seed)
    world.live(240.0)
    assert world.epoch > 1
    assert world.marks > 3
    world.settle()
    world.run(20.0)
    world.commit(100_000)
    state = world.machine.state
    assert [a.name for a in world.agents.values() if _wrongly_told(world, a)] == []
    assert world.log.loaded().state.scaling_down == state.scaling_down
