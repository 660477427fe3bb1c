"""Sizes and counts for people, the same in the command line, in agents and in schedulers. Pure."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def plural(number: int, noun: str) -> str:
    """A number with its noun, which takes an s: `1 node`, `2,000 nodes`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size_text(value: float) -> str:
    """A number of bytes in binary multiples, with three digits: `512 bytes`, `1.5 KiB`."""
    unit = 0
    while abs(value) >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    text = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{text} {_UNITS[unit]}"
