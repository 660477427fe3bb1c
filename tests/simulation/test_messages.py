"""Whole histories of the broker, with the real driver and journal: no confirmed message is lost,
none is delivered after its acknowledgement was confirmed, order is kept, nothing is delivered once
it has expired, `x-death` is as documented."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.messages.world import play

STEPS = 500


@pytest.mark.parametrize("seed", range(8))
def test_every_promise_of_messages_is_kept(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(seed, STEPS)
    assert world.terms > 1
    assert world.delivered > 50


def test_what_histories_are_about_does_happen() -> None:
    worlds = [play(seed, STEPS) for seed in range(8, 16)]
    reasons = sum((Counter(world.reasons) for world in worlds), Counter[str]())
    assert set(reasons) == {"rejected", "expired", "maxlen", "delivery_limit"}
    assert sum(world.transactions.done for world in worlds) > 10
    assert any(copy.acked for world in worlds for copy in world.model.copies.values())
    retried = [copy for world in worlds for copy in world.model.copies.values() if copy.deaths[4:]]
    assert retried, "a message is tried for the third time"
