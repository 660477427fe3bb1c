"""Bounds of the requests about shared limits; see `scheduler.api.validate`."""

from __future__ import annotations

from typing import Final

from quorate.runtime.errors import invalid
from quorate.v1 import limit_pb2
from scheduler.api import rates
from scheduler.core.values import Rate

SETTABLE: Final = ("max_running", "rate")


def limit(message: limit_pb2.Limit) -> tuple[int, Rate | None]:
    """(tasks that run at once, starts) of a shared limit; 0 and None: no limit.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    most = rates.count(message, "max_running", "limit")
    rate = rates.rate(message, "rate", "limit")
    if not most and rate is None:
        raise invalid("limit", "limits nothing; set max_running, rate or both")
    return most, rate
