"""Whole histories of a cluster: nothing acknowledged is lost, no result is accepted twice."""

from __future__ import annotations

import pytest

from tests.simulation.world import World, play


@pytest.mark.parametrize("seed", range(8))
def test_nothing_acknowledged_is_lost_and_everything_ends_once(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(World, seed, 15.0)
    assert world.terms > 1
    assert world.steps > 500
    assert len(world.history.finals) > 100


def test_a_seed_makes_one_history() -> None:
    first, second = (play(World, 3, 4.0).history for _ in range(2))
    assert first.runs == second.runs
    assert first.head == second.head
