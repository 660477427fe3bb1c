"""Arrays through whole histories: what was accepted stays and never runs again, and every job ends.

Leaders and agents die, sessions break, reports are lost, late and repeated.
"""

from __future__ import annotations

import pytest

from tests.simulation.kinds import Arrays
from tests.simulation.world import play


@pytest.mark.parametrize("seed", range(6))
def test_what_is_accepted_stays_and_every_job_ends(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(Arrays, seed, 20.0)
    assert world.terms > 1
    assert world.history.arrays.accepted > 100
