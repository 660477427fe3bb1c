"""Graphs through whole histories: leaders die while one is created, skipped, or ends."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.simulation.world import World, play


class GraphWorld(World):
    """A world whose work is graphs, with a few tasks between them."""

    weights: ClassVar[dict[str, float]] = {
        "submit": 2,
        "submit_graph": 8,
        "control_graph": 4,
        "cancel_some": 1,
        "retry_some": 3,
        "delete_some": 1,
        "pause_queue": 0.3,
        "resume_queue": 1,
        "break_session": 2,
        "kill_agent": 1,
        "cut_off_agent": 0.5,
        "kill_leader": 1.5,
        "depose_leader": 1.5,
        "lose_etcd": 0.4,
        "compact": 0.5,
        "nothing": 60,
    }


@pytest.mark.parametrize("seed", range(4))
def test_tasks_run_in_their_order_and_every_graph_ends(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(GraphWorld, seed, 12.0)
    assert world.terms > 1
    assert world.history.graphs.started > 50
    assert world.history.graphs.skipped > 10
