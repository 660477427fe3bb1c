"""How many subtasks go into a chunk."""

from __future__ import annotations

from scheduler.core.arrays.sizes import GROWTH, LARGEST, LEAST, TARGET, Durations


def known(seconds: float, count: int = LARGEST) -> Durations:
    durations = Durations()
    durations.reported(seconds * count, count)
    return durations


def test_a_chunk_is_one_while_nobody_knows_how_long_subtasks_take() -> None:
    assert Durations().chunk(1_000_000, 2) == 1


def test_a_chunk_is_some_work_and_no_more_than_was_reported_before_grows_to() -> None:
    assert known(0.001).chunk(1_000_000, 2) == int(TARGET / 0.001)
    assert known(1e-7).chunk(10_000_000, 2) == LARGEST
    assert known(1e-7, count=2).chunk(10_000_000, 2) == 2 * GROWTH
    assert known(60.0).chunk(1_000_000, 2) == 1


def test_the_last_chunks_are_small_but_worth_what_they_cost() -> None:
    durations = known(0.001)
    assert durations.chunk(200, 2) == 50
    assert durations.chunk(20, 2) == 5
    # A chunk of less work takes longer than its work does.
    assert durations.chunk(4, 2) == int(LEAST / 0.001)
    assert durations.chunk(100, 1_000) == int(LEAST / 0.001)
    assert known(1e-6).chunk(10, 2) > 10
