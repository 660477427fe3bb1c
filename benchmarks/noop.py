"""The task that does nothing: what remains is the cost of the system."""

from __future__ import annotations


def noop() -> None:
    """Return at once."""
