"""Rate limits and numbers of tasks in requests and answers, for the families that have them."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from quorate.runtime.errors import invalid
from quorate.v1 import limit_pb2
from scheduler.api.validate import DAY, between, duration
from scheduler.core.values import Rate

MAX_STARTS: Final = 1_000_000
MAX_PER_SECOND: Final = 100_000
MIN_PERIOD: Final = 0.001
MAX_PERIOD: Final = 31 * DAY
MAX_COUNT: Final = 1_000_000_000
# Seconds of starts that may come at once where a request does not say.
_BURST: Final = 0.1


def count(message: Message, name: str, above: str) -> int:
    """A number of tasks; 0: not set, no limit.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    if not message.HasField(name):
        return 0
    value: int = getattr(message, name)
    field = f"{above}.{name}"
    if value == 0:
        raise invalid(
            field, "0 would let nothing start; leave it out for no limit", limit=1, value=0
        )
    between(field, value, 1, MAX_COUNT)
    return value


def rate(message: Message, name: str, above: str) -> Rate | None:
    """A rate limit; None: not set. Raises as `count`."""
    if not message.HasField(name):
        return None
    value: limit_pb2.RateLimit = getattr(message, name)
    field = f"{above}.{name}"
    if value.count == 0:
        raise invalid(
            f"{field}.count",
            "0 would let nothing start; set a number, or leave the rate out for no limit",
            limit=1,
            value=0,
        )
    between(f"{field}.count", value.count, 1, MAX_STARTS)
    period = 1.0
    if value.HasField("period"):
        period = duration(f"{field}.period", value.period, MAX_PERIOD)
        between(f"{field}.period", period, MIN_PERIOD, MAX_PERIOD)
    if value.count / period > MAX_PER_SECOND:
        raise invalid(
            field,
            f"{value.count} in {period:g} s is more than {MAX_PER_SECOND} a second",
            limit=MAX_PER_SECOND,
            value=value.count / period,
        )
    between(f"{field}.burst", value.burst, 0, MAX_STARTS)
    # Rounded first: a tenth of ten is not to be less than one.
    default = max(1, int(value.count * _BURST / period + 1e-9))
    return Rate(value.count, period, value.burst or default)


def rate_view(value: Rate) -> limit_pb2.RateLimit:
    """A rate limit as callers see it."""
    view = limit_pb2.RateLimit(count=value.starts, burst=value.burst)
    view.period.FromNanoseconds(round(value.period * 1e9))
    return view
