"""Values of options that are more than a word or a number: KEY=VALUE, sizes."""

from __future__ import annotations

from collections.abc import Iterable

import typer

_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def pairs(option: str, words: Iterable[str] | None) -> dict[str, str]:
    """`a=1`, `b=2` as a mapping. Raises BadParameter naming the option."""
    found = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{option} {word!r} is not KEY=VALUE")
        found[key] = value
    return found


def count(option: str, text: str) -> int:
    """A whole number. Raises BadParameter naming the option."""
    if not text.isdigit():
        raise typer.BadParameter(f"{option}: {text!r} is not a whole number")
    return int(text)


def size_in_bytes(option: str, text: str) -> int:
    """`512M`, `2G`, `1048576`; binary multiples. Raises BadParameter naming the option."""
    if not text:
        return 0
    number = text.upper().removesuffix("B").removesuffix("I")
    factor = _UNITS.get(number[-1:], 1)
    digits = number[:-1] if factor > 1 else number
    return count(option, digits) * factor
