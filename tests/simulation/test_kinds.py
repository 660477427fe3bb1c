"""Kinds of worlds in which callers change, place, pause and add: what they are about does happen,
and every promise is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.history import History
from tests.simulation.kinds import BY_NAME, KINDS, Arrays, Changing, Graphs, Placing, kind_of
from tests.simulation.world import World, play

SEEDS = range(4)
# What has to happen in all seeds together, by kind.
HAPPENS: dict[type[World], dict[str, Callable[[History], int]]] = {
    Changing: {
        "tasks go to other queues": lambda history: history.places.moved,
        "letters are redriven": lambda history: sum(history.redriven.values()),
        "unique keys are taken over": lambda history: history.keys.replaced,
        "tasks get other limits and keys": lambda history: history.starting.changed_limits,
        "tasks snooze": lambda history: list(history.ended.values()).count("SNOOZED"),
    },
    Placing: {
        "tasks start on nodes with taints": lambda history: history.nodes.tolerated,
        "tasks start by rules": lambda history: history.nodes.ruled,
        "tasks start while others are paused": lambda history: history.pauses.passed,
    },
    Graphs: {
        "tasks add tasks": lambda history: history.members.added,
        "subtasks wait each for one of another array": lambda history: history.graphs.each,
        "graphs end as the reference model says": lambda history: history.graphs.judged,
    },
    Arrays: {
        "reduces get every result once, in order": lambda history: history.results.checked,
        "subtasks add tasks": lambda history: history.members.added,
    },
}


@pytest.mark.parametrize("kind", HAPPENS, ids=lambda kind: kind.__name__.lower())
def test_what_a_kind_is_about_happens_and_every_promise_is_kept(kind: type[World]) -> None:
    """A failure names its seed: `python -m tests.simulation.seeds --kind ... --first ...`."""
    worlds = [play(kind, seed, 10.0) for seed in SEEDS]
    assert sum(world.terms > 1 for world in worlds) > 1
    for what, count in HAPPENS[kind].items():
        assert sum(count(world.history) for world in worlds) > 0, what


def test_the_room_of_a_node_is_kept_in_some_seed() -> None:
    assert sum(play(Placing, seed, 6.0).reserved for seed in SEEDS) > len(SEEDS)


def test_seeds_one_after_another_play_every_kind() -> None:
    assert {kind_of(seed) for seed in range(len(KINDS))} == set(BY_NAME.values())
