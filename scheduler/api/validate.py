"""Bounds that the requests of all families share: each error names its field and the limit.

Called at the service's edge, so that the core sees only values that are within bounds. What one
family alone asks for is in its own `validate`; task specs, which several hold, in `specs`.
"""

from __future__ import annotations

import re
from typing import Final

from google.protobuf.duration_pb2 import Duration

from quorate.runtime.errors import invalid
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.storage.records import seconds

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
DAY: Final = 86_400.0

NANOS: Final = 1_000_000_000

MAX_PAGE = 1_000
DEFAULT_PAGE = 100
MAX_AHEAD = 366 * DAY
# Longer ones are the core's own: `scheduler.core.handlers.requests`.
MAX_REQUEST_ID = 128
MAX_LABEL = 128


def between(field: str, value: float, least: float, most: float) -> None:
    """Refuse a value outside `[least, most]`, both included; the error's limit is the one of the
    two that was broken."""
    # A NaN compares false with everything, so it is refused too.
    if not least <= value <= most:
        limit = least if value < least else most
        raise invalid(field, f"{value} is not within {least} and {most}", limit=limit, value=value)


def at_most(field: str, value: int, limit: int, what: str) -> None:
    """Refuse more than `limit` of `what`."""
    if value > limit:
        raise invalid(
            field,
            f"{value} {what} are too many; at most {limit} are allowed",
            limit=limit,
            value=value,
        )


def duration(field: str, value: Duration, most: float, *, zero: bool = False) -> float:
    """Seconds of a duration within (0, most], or [0, most]."""
    whole, nanos = value.seconds, value.nanos
    if abs(nanos) >= NANOS or (whole > 0 > nanos) or (whole < 0 < nanos):
        raise invalid(field, "nanos must be below a second and have the sign of the seconds")
    amount = seconds(value)
    if amount < 0 or amount > most or (amount == 0 and not zero):
        least = "0 or more" if zero else "more than 0"
        raise invalid(
            field,
            f"{amount:g} s is out of range; it must be {least} and at most {most:g} s",
            limit=0 if amount <= 0 else most,
            value=amount,
        )
    return amount


def request_id(value: str) -> None:
    """A mutating call's id, of a sane length."""
    at_most("request_id", len(value), MAX_REQUEST_ID, "characters")


def page_size(value: int) -> int:
    """1 to 1,000; 0 means the default."""
    if value == 0:
        return DEFAULT_PAGE
    between("page_size", value, 1, MAX_PAGE)
    return value


def queue_name(field: str, name: str, *, default: bool = False) -> str:
    """A well-formed queue name; `default` allows it to be left out."""
    if not name:
        if default:
            return DEFAULT_QUEUE
        raise invalid(field, "is required")
    if not NAME.fullmatch(name):
        raise invalid(
            field,
            f"{name[:80]!r} is not 1 to 64 characters of a-z 0-9 . _ - beginning with a letter "
            "or digit",
            limit=64,
        )
    return name


def required(field: str, value: str) -> str:
    """A value that must be there, of a sane length."""
    if not value:
        raise invalid(field, "is required")
    at_most(field, len(value), 256, "characters")
    return value


def known_enum(field: str, value: int, known: range) -> int:
    """An enum value that this version knows."""
    if value not in known:
        raise invalid(field, f"{value} is not a known value", value=value)
    return value
