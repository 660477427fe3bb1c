"""Cron expressions: what `cronsim` (the semantics of Debian's cron) does not have itself.

* Names: `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`.
* `H` spreads schedules (as Jenkins has it): a number drawn from the schedule's name and the field,
  the same on every scheduler. `H` is any value of the field, `H(0-29)` one of a range, `H/15` every
  15 from a drawn start, `H(0-29)/10` both. `H` of a day of the month is 1 to 28, which every month
  has.

Six fields begin with seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final
from zlib import crc32

from cronsim import CronSim, CronSimError

MAX_LENGTH: Final = 256
# A list of this many terms in one field; `*` and steps are no lists.
MAX_TERMS: Final = 64

_NAMED: Final[Mapping[str, str]] = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# (name, least, most, most of `H`) of the six fields.
_FIELDS: Final = (
    ("second", 0, 59, 59),
    ("minute", 0, 59, 59),
    ("hour", 0, 23, 23),
    ("day of month", 1, 31, 28),
    ("month", 1, 12, 12),
    ("day of week", 0, 7, 6),
)
_HASH: Final = re.compile(r"H(?:\((\d{1,2})-(\d{1,2})\))?(?:/(\d{1,2}))?", re.IGNORECASE)
# Any instant: an expression is parsed together with one.
_SOME: Final = datetime(2000, 1, 1)  # noqa: DTZ001  # local times are naive here


class BadExpression(Exception):
    """An expression cannot be understood; the text says which field, and what is wrong."""


class NeverFires(BadExpression):
    """Nothing can match an expression."""


class Expression:
    """A parsed expression: gives local times, of no time zone, that match it.

    Attributes:
        follows_clock: whether the second, minute or hour begins with `*`: such ticks follow the
            wall clock when it changes, those at fixed times have a policy.
    """

    def __init__(self, text: str, name: str) -> None:
        """Parse `text` for the schedule of this name. Raises BadExpression."""
        self._key = (text, name)
        # `_next` is the answer for all local times from `_from` up to itself.
        self._from: datetime | None = None
        self._next: datetime | None = None
        fields = _fields(text)
        expanded = [_expand(place, field, name) for place, field in enumerate(fields)]
        self.follows_clock = any(field.startswith("*") for field in fields[:3])
        # Found out field by field: cronsim's own message names no value.
        for place, field in enumerate(expanded):
            title, least, most, _ = _FIELDS[place]
            _parse(_only(place, field), f"{title} {fields[place]!r}; values are {least}-{most}")
        self._cron = " ".join(expanded)
        try:
            _cron(self._cron)
        except CronSimError:
            raise NeverFires(f"{text!r} never fires: no month of it has such a day") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other._key == self._key

    def __hash__(self) -> int:
        return hash(self._key)  # pure: for equality alone

    def after(self, local: datetime) -> datetime | None:
        """The first match later than `local`; None: there is none within 50 years.

        A search of 50 years takes 15 ms, so the last answer is kept for as long as it holds.
        """
        begin = local.replace(microsecond=0)
        known = self._from
        if known is None or begin < known or (self._next is not None and begin >= self._next):
            cron = _cron(self._cron)
            cron.dt = begin
            try:
                self._next = next(cron)
            except (StopIteration, OverflowError, ValueError):
                # The last two: the year 10,000.
                self._next = None
            self._from = begin
        return self._next


# About 10 KB each: there may be tens of thousands of expressions, of which few are in use at once.
@lru_cache(maxsize=512)
def _cron(expression: str) -> CronSim:
    """The iterator of an expression; whoever uses it sets where it begins."""
    return CronSim(expression, _SOME)


def _fields(text: str) -> list[str]:
    """The six fields of an expression, seconds first."""
    if len(text) > MAX_LENGTH:
        raise BadExpression(f"{len(text)} characters; at most {MAX_LENGTH} are allowed")
    stripped = text.strip()
    if stripped.startswith("@"):
        named = _NAMED.get(stripped.lower())
        if named is None:
            raise BadExpression(
                f"{stripped[:40]!r} is not one of {', '.join(_NAMED)}; "
                "for every so many seconds set `interval`"
            )
        stripped = named
    if not stripped.isascii():
        raise BadExpression("only ASCII characters are allowed")
    fields = stripped.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != 6:
        raise BadExpression(
            f"{len(fields)} fields; 5 are needed (minute, hour, day of month, month, day of week), "
            "or 6 with seconds first"
        )
    for place, field in enumerate(fields):
        if field.count(",") >= MAX_TERMS:
            raise BadExpression(f"{_FIELDS[place][0]}: at most {MAX_TERMS} terms are allowed")
    return fields


def _only(place: int, field: str) -> str:
    """An expression in which nothing but one field can be wrong."""
    fields = ["*"] * 6
    fields[place] = field
    return " ".join(fields)


def _parse(expression: str, what: str) -> None:
    try:
        CronSim(expression, _SOME)
    except (CronSimError, AssertionError, TypeError, ValueError) as error:
        raise BadExpression(f"bad {what}") from error


def _expand(place: int, field: str, name: str) -> str:
    """A field without `H`."""
    return ",".join(_term(place, term, name) for term in field.split(","))


def _term(place: int, term: str, name: str) -> str:
    match = _HASH.fullmatch(term)
    if match is None:
        return term
    title, least, most, most_drawn = _FIELDS[place]
    first, last, step = match.groups()
    begin, end = (least, most_drawn) if first is None else (int(first), int(last))
    if not least <= begin <= end <= most:
        raise BadExpression(f"{title} {term!r}: the range must lie within {least}-{most}")
    draw = crc32(f"{place}:{name}".encode())
    if step is None:
        return str(begin + draw % (end - begin + 1))
    every = int(step)
    if not every:
        raise BadExpression(f"{title} {term!r}: the step must be 1 or more")
    start = begin + draw % min(every, end - begin + 1)
    return ",".join(str(value) for value in range(start, end + 1, every))
