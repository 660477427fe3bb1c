"""Limits in whole histories: permits, rates, order, pauses and shares, whatever happens to leaders.

What must hold is in `tests.simulation.promises`. Leaders have one clock here: what starts in a
window of time is counted by theirs.
"""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.simulation.world import ONE_CLOCK, World, play
from tests.support.jumping_loop import JumpingLoop


class LimitedWorld(World):
    """A busy queue with limits that people change."""

    weights: ClassVar[dict[str, float]] = {
        **World.weights,
        "submit": 14,
        "change_service": 0,
        "change_limits": 4,
        "retry_some": 4,
        "kill_leader": 1.5,
        "depose_leader": 1.5,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        self.clocks_ahead = ONE_CLOCK


@pytest.mark.parametrize("seed", range(6))
def test_limits_hold_through_all_leaders(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(LimitedWorld, seed, 12.0)
    assert world.terms > 1
    assert world.history.starting.started > 100
    assert world.history.rates.counted > 100
