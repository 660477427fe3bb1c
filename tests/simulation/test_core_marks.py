"""Scale-down marks through whole histories: agents know what the log says, and nothing else."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.simulation.world import World, play


class MarkingWorld(World):
    """A world with little work, in which nodes are marked and marks taken back at random."""

    weights: ClassVar[dict[str, float]] = {
        "submit": 2,
        "mark": 10,
        "break_session": 1,
        "kill_agent": 2,
        "kill_leader": 1,
        "depose_leader": 1,
        "lose_etcd": 0.3,
        "nothing": 80,
    }


@pytest.mark.parametrize("seed", range(6))
def test_agents_know_their_marks_whatever_leader_and_agents_died_of(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(MarkingWorld, seed, 30.0)
    assert world.terms > 1
    assert world.marks > 3
