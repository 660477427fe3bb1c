"""Which instants local times are, where clocks are put forward (a gap) and back (a fold).

A time zone is any `tzinfo` with the semantics of PEP 495: in a fold, `fold=0` is the first pass; in
a gap, `fold=0` counts with the offset of before. Offsets of whole seconds.

```
            gap (clocks forward)                      fold (clocks back)
  local  ...01:59 | 03:00...                  ...01:00..01:59 | 01:00..01:59 ...
                  T = both ends of it           first pass    T  second pass
```
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001  # UTC, written without its name
_MICRO: Final = timedelta(microseconds=1)


def utc(instant: int) -> datetime:
    """An instant in UTC, without a time zone's name."""
    return _EPOCH + timedelta(microseconds=instant)


def offset_at(zone: tzinfo, instant: int) -> int:
    """By how many microseconds the zone's clock is ahead of UTC at an instant."""
    return _micros(utc(instant).replace(tzinfo=UTC).astimezone(zone).utcoffset())


def local(zone: tzinfo, instant: int) -> datetime:
    """What the zone's clock shows at an instant."""
    return utc(instant + offset_at(zone, instant))


def passes(zone: tzinfo, wall: datetime) -> tuple[int, ...]:
    """The instants at which the zone's clock shows `wall`: one; none in a gap; two in a fold."""
    reading = (wall - _EPOCH) // _MICRO
    first = _micros(wall.replace(tzinfo=zone, fold=0).utcoffset())
    second = _micros(wall.replace(tzinfo=zone, fold=1).utcoffset())
    if first == second:
        return (reading - first,)
    # In a gap the clock goes forward: the offset of after it is the greater one.
    return () if second > first else (reading - first, reading - second)


def gap_end(zone: tzinfo, wall: datetime) -> int:
    """The instant of the change whose gap holds the local time `wall`."""
    reading = (wall - _EPOCH) // _MICRO
    before = _micros(wall.replace(tzinfo=zone, fold=0).utcoffset())
    after = _micros(wall.replace(tzinfo=zone, fold=1).utcoffset())
    return _change(zone, reading - after, reading - before)


def next_fold(zone: tzinfo, begin: int, end: int) -> int | None:
    """The first instant in `(begin, end]` at which clocks go back; None: there is none.

    The two may be up to about a month apart: a zone changes at most once in between.
    """
    if end <= begin or offset_at(zone, end) >= offset_at(zone, begin):
        return None
    return _change(zone, begin, end)


def _change(zone: tzinfo, before: int, after: int) -> int:
    """The first instant with the offset that holds at `after` and not at `before`."""
    offset = offset_at(zone, before)
    # Changes are at whole seconds.
    low, high = before // SECOND, -(-after // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, middle * SECOND) == offset:
            low = middle
        else:
            high = middle
    return high * SECOND


def _micros(offset: timedelta | None) -> int:
    assert offset is not None, "a zone of schedules has an offset at any time"
    return offset // _MICRO
