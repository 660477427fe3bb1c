"""How a process that cannot start says so."""

from __future__ import annotations


class CannotStart(Exception):
    """One sentence for the operator; the process exits with 1."""
