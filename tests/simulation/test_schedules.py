"""Schedules in whole histories: each tick is fired once or noted as missed, whatever happens to
leaders, and however their clocks differ."""

from __future__ import annotations

import pytest

from tests.simulation.kinds import Scheduled
from tests.simulation.world import play


@pytest.mark.parametrize("seed", range(6))
def test_each_tick_fires_once_or_is_missed_for_a_reason(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(Scheduled, seed, 15.0)
    assert world.terms > 1
    # Seeds 0 to 5 fire at least nine times: what must not fire twice did fire.
    assert len(world.history.ticks.fired) > 5
