"""The task that does nothing: what remains is the cost of the system."""

from __future__ import annotations


def noop() -> None:
    """Return at once."""


def array_noop(index: int) -> None:
    """Return at once: as a subtask, which gets its index."""


def array_same(index: int) -> int:
    """Return the index."""
    return index
