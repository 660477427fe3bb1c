"""What the reduces of a chunk get, and where their results are read. Pure."""

from __future__ import annotations

from typing import NamedTuple


class ReduceInput(NamedTuple):
    """Results of an array, or of the level of reduces before: `fan_in` of them (0: all) for the
    reduce at each position."""

    results: int
    fan_in: int
    # Its subtasks are programs: one without a result gave exit code 0, not None.
    programs: bool


class Wanted(NamedTuple):
    """Results that a worker waits for: its request, and the position of the first one."""

    number: int
    position: int


class ResultsPage(NamedTuple):
    """Results of consecutive positions, from `first` to `end` - 1.

    `runs`: first position, whether pickles, values; what is in none gave no value. `error`: why
    there are none.
    """

    first: int
    end: int
    runs: tuple[tuple[int, bool, tuple[bytes, ...]], ...] = ()
    error: str = ""
