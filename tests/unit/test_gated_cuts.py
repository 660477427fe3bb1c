"""Chunks of an array whose subtasks wait for those of another one, far ahead of some of them."""

from __future__ import annotations

import pytest

from scheduler.core.arrays.array import Array
from scheduler.core.arrays.positions import BLOCK, FULL, offsets_of

BLOCKS = 40


@pytest.fixture
def array() -> Array:
    """The first subtask waits, those of the last two blocks may start, all others succeeded."""
    gate, array = Array(BLOCKS * BLOCK), Array(BLOCKS * BLOCK)
    array.gated, array.gate = True, gate
    for number in range(BLOCKS):
        mask = FULL & ~1 if number == 0 else FULL
        gate.succeed(number, mask)
        if number < BLOCKS - 2:
            array.succeed(number, mask)
    return array


def test_one_that_waits_for_long_costs_little(
    array: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    of = Array.pending_mask

    def count(array: Array, number: int) -> int:
        looked.append(number)
        return of(array, number)

    monkeypatch.setattr(Array, "pending_mask", count)
    for _ in range(64):
        (number, mask), *more = array.cut(2).items()
        assert not more
        array.give_out(number, mask)
    assert len(looked) < 64 * 4


def test_it_is_given_out_soon_and_each_one_once(array: Array) -> None:
    assert array.gate is not None
    given: list[int] = []

    def give(size: int) -> None:
        found = array.cut(size)
        assert list(found) == sorted(found)
        for number, mask in found.items():
            array.give_out(number, mask)
            given.extend(number * BLOCK + place for place in offsets_of(mask))

    give(1)
    array.gate.succeed(0, 1)
    for _ in range(32):
        give(1)
    assert 0 in given
    while array.pending:
        give(700)
    assert sorted(given) == [0, *range((BLOCKS - 2) * BLOCK, BLOCKS * BLOCK)]
    assert not array.cut(1)
