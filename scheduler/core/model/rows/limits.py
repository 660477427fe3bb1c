"""Limits that tasks of any queue share."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.core.values import Rate


@dataclass(slots=True, eq=False)
class LimitRow:
    """A limit that tasks of any queue share. What is used of it: `Permits`."""

    name: str
    create_time: float
    # 0 and None: no limit.
    max_running: int = 0
    rate: Rate | None = None
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
