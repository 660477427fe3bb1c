"""Ranges behave as sets of the numbers in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.runtime.ranges import EMPTY, Ranges, text_of

numbers = st.sets(st.integers(0, 60))


def of(positions: set[int]) -> Ranges:
    return Ranges.of_positions(sorted(positions))


def is_normal(ranges: Ranges) -> bool:
    flat = [number for pair in ranges.pairs for number in pair]
    gaps = zip(ranges.pairs, ranges.pairs[1:], strict=False)
    return flat == sorted(flat) and all(left[1] + 1 < right[0] for left, right in gaps)


@given(numbers, numbers)
def test_set_operations(left: set[int], right: set[int]) -> None:
    ours, theirs = of(left), of(right)
    for result, expected in (
        (ours | theirs, left | right),
        (ours & theirs, left & right),
        (ours - theirs, left - right),
    ):
        assert is_normal(result)
        assert list(result) == sorted(expected)
        assert len(result) == len(expected)
        assert bool(result) == bool(expected)
        assert result == of(expected)
    assert (ours >= theirs) == (left >= right)
    assert ours.isdisjoint(theirs) == left.isdisjoint(right)
    assert [number in ours for number in range(62)] == [number in left for number in range(62)]


@given(numbers, st.integers(-1, 62))
def test_split_gives_the_least_numbers(positions: set[int], count: int) -> None:
    head, rest = of(positions).split(count)
    assert is_normal(head)
    assert is_normal(rest)
    assert list(head) == sorted(positions)[: max(0, count)]
    assert list(rest) == sorted(positions)[max(0, count) :]


@given(numbers, st.integers(1, 70))
def test_blocks_are_parts_of_one_size(positions: set[int], size: int) -> None:
    blocks = list(of(positions).blocks(size))
    assert [number for _, part in blocks for number in part] == sorted(positions)
    assert [block for block, _ in blocks] == sorted({number // size for number in positions})
    assert all(number // size == block for block, part in blocks for number in part)


def test_touching_pairs_are_joined() -> None:
    assert Ranges.of([(1, 2), (3, 3), (5, 9)]).pairs == ((1, 3), (5, 9))


@pytest.mark.parametrize("pairs", [[(3, 2)], [(1, 5), (5, 6)], [(4, 5), (1, 2)]])
def test_pairs_that_are_no_set_are_refused(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="range"):
        Ranges.of(pairs)


def test_ends_span_and_text() -> None:
    ranges = Ranges.of([(1, 3), (7, 7)])
    assert (ranges.first, ranges.last) == (1, 7)
    assert text_of(ranges) == "1-3,7"
    assert Ranges.span(4, 3).pairs == ((4, 6),)
    assert Ranges.span(4, 0) == EMPTY
