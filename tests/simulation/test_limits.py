"""Limits in whole histories: permits, rates, order, pauses and shares, whatever happens to leaders.

What must hold is in `tests.simulation.promises`. Leaders have one clock here: what starts in a
window of time is counted by theirs.
"""

from __future__ import annotations

import pytest

from tests.simulation.kinds import Limited
from tests.simulation.world import play


@pytest.mark.parametrize("seed", range(6))
def test_limits_hold_through_all_leaders(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(Limited, seed, 12.0)
    assert world.terms > 1
    assert world.history.starting.started > 100
    assert world.history.rates.counted > 100
