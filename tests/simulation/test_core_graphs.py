"""Graphs through whole histories: leaders die while one is created, skipped, or ends."""

from __future__ import annotations

import pytest

from tests.simulation.kinds import Graphs
from tests.simulation.world import play


@pytest.mark.parametrize("seed", range(4))
def test_tasks_run_in_their_order_and_every_graph_ends(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(Graphs, seed, 12.0)
    assert world.terms > 1
    assert world.history.graphs.started > 50
    assert world.history.graphs.skipped > 10
