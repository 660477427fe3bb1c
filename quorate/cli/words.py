"""Values of options that are more than a word or a number: KEY=VALUE, sizes."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable
from typing import Any, Final

import typer

# Of a hook, a function of a module. No program's name looks so by accident: write ./a:b for one.
HOOK_FUNCTION: Final = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
_AGO = re.compile(r"(\d{1,9})([smhd])")
_RATE = re.compile(r"(\d{1,9})/(\d{0,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
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


def values(option: str, words: Iterable[str] | None) -> dict[str, Any]:
    """As `pairs`, each value read as JSON where it is JSON: `a=1` is a number, `a=x` a text."""
    found: dict[str, Any] = {}
    for key, text in pairs(option, words).items():
        try:
            found[key] = json.loads(text)
        except ValueError:
            found[key] = text
    return found


def count(option: str, text: str) -> int:
    """A whole number. Raises BadParameter naming the option."""
    if not text.isdigit():
        raise typer.BadParameter(f"{option}: {text!r} is not a whole number")
    return int(text)


def rate(option: str, text: str) -> tuple[int, float]:
    """(10, 1.0) of `10/s`, (100, 900.0) of `100/15m`. Raises BadParameter naming the option."""
    found = _RATE.fullmatch(text)
    if found is None or not int(found[2] or 1):
        raise typer.BadParameter(f"{option}: {text!r} is not a rate such as 10/s, 100/m or 5/15m")
    return int(found[1]), float(int(found[2] or 1) * _SECONDS[found[3]])


def rate_text(starts: int, period: float) -> str:
    """`10/s`, as `rate` reads it."""
    for unit, seconds in reversed(_SECONDS.items()):
        if period >= seconds and period % seconds == 0:
            many = int(period // seconds)
            return f"{starts:,}/{unit if many == 1 else f'{many}{unit}'}"
    return f"{starts:,}/{period:g}s"


def instant(option: str, text: str, now: float) -> float:
    """Seconds since 1970 of `30m` before `now`, or of an ISO 8601 date, local unless it says so.

    Raises BadParameter naming the option.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return max(0.0, now - int(ago[1]) * _SECONDS[ago[2]])
    try:
        found = dt.datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        found = -1.0
    if found < 0:
        raise typer.BadParameter(
            f"{option}: {text!r} is neither like 90s, 30m, 2h or 7d "
            "nor a date like 2026-01-31T12:00"
        )
    return found


def size_in_bytes(option: str, text: str) -> int:
    """`512M`, `2G`, `1048576`; binary multiples. Raises BadParameter naming the option."""
    if not text:
        return 0
    number = text.upper().removesuffix("B").removesuffix("I")
    factor = _UNITS.get(number[-1:], 1)
    digits = number[:-1] if factor > 1 else number
    if not (digits.isascii() and digits.isdigit()):
        raise typer.BadParameter(
            f"{option}: {text!r} is not a size such as 512M or 2G (a whole number, with K, M, G or "
            "T for KiB, MiB, GiB or TiB)"
        )
    return int(digits) * factor


def sentence(description: str) -> str:
    """The description of a setting of the services, as help has it: `CA certificate for etcd.`"""
    first = (
        description if description.startswith("etcd") else description[:1].upper() + description[1:]
    )
    return first.removesuffix(".") + "."
