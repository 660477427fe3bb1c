"""Whole histories of a cluster: nothing acknowledged is lost, no result is accepted twice."""

from __future__ import annotations

import pytest

from tests.simulation.core_world import World


@pytest.mark.parametrize("seed", range(12))
def test_nothing_acknowledged_is_lost_and_everything_ends_once(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = World(seed)
    world.live(60.0)
    assert world.epoch > 1
    assert world.steps > 1_500
    world.settle()
    assert len(world.finals) > 300
    world.forget()
