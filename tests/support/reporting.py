"""Calls that say how far they are."""

from __future__ import annotations

import math
import os
import time
from typing import Any

import quorate


def says_progress(go: str) -> str:
    """Say something very often, then wait for a file."""
    for step in range(20_000):
        quorate.progress(step / 20_000, f"step {step}")
    quorate.progress(3.0, "the last one")
    while not os.path.exists(go):
        time.sleep(0.02)
    return "done"


def says_nonsense() -> str:
    """Say what can be no progress."""
    for fraction in (math.nan, math.inf, -1, None):
        quorate.progress(fraction, "x" * 10_000_000)
    quorate.progress(0.5, "\x1b[31m\ud800\n")
    nonsense: tuple[Any, ...] = (("soon",), (0.5, b"1"), ([],))
    for one in nonsense:
        try:
            quorate.progress(*one)
        except (TypeError, ValueError):
            continue
        return f"{one} was not refused"
    return "done"


def snoozes(path: str) -> str:
    """Run again once."""
    if not os.path.exists(path):
        with open(path, "w"):
            pass
        raise quorate.Snooze(1, "not yet")
    return "done"


def cancels() -> None:
    """Give up for good."""
    raise quorate.Cancel("no such customer")


def quiet_hook() -> None:
    """A hook that does well."""


def failing_hook() -> None:
    """A hook that fails."""
    raise ValueError("no licence")
