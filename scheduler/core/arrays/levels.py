"""Levels of reduces: how many there are, how large each is, what one reduce of them gets.

    4,500 subtasks, fan-in 100:   level 1: 45 reduces of 100 results   level 2: 1 reduce of 45
    fan-in 0 (all at once):       level 1: 1 reduce of 4,500

Level k runs as an array whose subtask at position p reduces consecutive results of level k-1 (level
1: of the job's own subtasks). The last level is the first one of a single reduce. Also an array
without subtasks has one: its reduce gets no result."""

from __future__ import annotations

from typing import Final

# Of 10,000,000 subtasks with a fan-in of 2.
MOST_LEVELS: Final = 24
LEAST_FAN_IN: Final = 2


def size_of_next(count: int, fan_in: int) -> int:
    """How many reduces the level has that reduces `count` results."""
    return max(1, -(-count // fan_in)) if fan_in else 1


def levels(count: int, fan_in: int) -> int:
    """How many levels it takes from `count` results to one."""
    found, left = 1, size_of_next(count, fan_in)
    while left > 1:
        found, left = found + 1, size_of_next(left, fan_in)
    return found


def reduces(count: int, fan_in: int) -> int:
    """How many reduces all these levels have together."""
    found = left = size_of_next(count, fan_in)
    while left > 1:
        left = size_of_next(left, fan_in)
        found += left
    return found


def inputs(position: int, fan_in: int, count: int) -> tuple[int, int]:
    """Which of `count` results the reduce at a position gets: the first, and behind the last."""
    if not fan_in:
        return 0, count
    return min(count, position * fan_in), min(count, (position + 1) * fan_in)
