"""Schedules in whole histories: each tick is fired once or noted as missed, whatever happens to
leaders, and however their clocks differ."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.simulation.world import CLOSE_CLOCKS, World, play
from tests.support.jumping_loop import JumpingLoop


class ScheduledWorld(World):
    """A cluster with four schedules that people pause and resume."""

    weights: ClassVar[dict[str, float]] = {
        **World.weights,
        "submit": 3,
        "change_service": 0,
        "create_schedules": 20,
        "change_schedule": 6,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        self.clocks_ahead = CLOSE_CLOCKS


@pytest.mark.parametrize("seed", range(6))
def test_each_tick_fires_once_or_is_missed_for_a_reason(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(ScheduledWorld, seed, 15.0)
    assert world.terms > 1
    # Seeds 0 to 5 fire at least nine times: what must not fire twice did fire.
    assert len(world.history.ticks.fired) > 5
