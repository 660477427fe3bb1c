"""Arrays through whole histories: what was accepted stays and never runs again, and every job ends.

Leaders and agents die, sessions break, reports are lost, late and repeated.
"""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.simulation.world import World, play


class JobWorld(World):
    """A world whose work is arrays, with a few tasks between them."""

    weights: ClassVar[dict[str, float]] = {
        "submit": 2,
        "submit_job": 5,
        "append_items": 2,
        "control_job": 4,
        "pause_queue": 0.3,
        "resume_queue": 1,
        "change_limits": 1,
        "break_session": 3,
        "kill_agent": 1,
        "cut_off_agent": 1,
        "kill_leader": 0.8,
        "depose_leader": 0.8,
        "lose_etcd": 0.4,
        "compact": 0.5,
        "nothing": 60,
    }


@pytest.mark.parametrize("seed", range(6))
def test_what_is_accepted_stays_and_every_job_ends(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(JobWorld, seed, 20.0)
    assert world.terms > 1
    assert world.history.arrays.accepted > 100
