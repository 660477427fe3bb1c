"""The nominal instants of a schedule: cron in a time zone, an anchored interval, or one instant.

A tick is the instant itself, whatever the jitter adds and whenever it is dealt with. Ticks of one
schedule are strictly later one than the other.

When clocks change, ticks whose second, minute or hour begins with `*` follow the wall clock: those
in a gap do not exist, those in a fold come twice. Ticks at fixed times:

| | in a gap | in a fold |
|---|---|---|
| default | once, right after the gap | once, in the first pass |
| option | `skip`: not at all | `both`: in either pass |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from scheduler.core.jobs.schedules import local_time
from scheduler.core.jobs.schedules.expression import Expression
from scheduler.core.jobs.schedules.local_time import SECOND

# The longest time that clocks were ever put back (islands that changed sides of the date line), and
# an hour. Local times that were passed longer ago than this are not passed again.
_LONGEST_FOLD: Final = 25 * 3_600 * SECOND
# Local times in a row that are no tick: those of one gap. A schedule of every second that skips
# gaps has 3,600 of them in most zones.
_MOST_IN_A_GAP: Final = 100_000
_SECOND: Final = timedelta(seconds=1)
# No later instants: datetime ends with the year 9999.
LAST_INSTANT: Final = 250_000_000_000 * SECOND


@dataclass(frozen=True, slots=True)
class CronTicks:
    """Ticks of a cron expression.

    Attributes:
        skip_gap: leave out fixed times that do not exist.
        both: fixed times that exist twice come twice.
    """

    expression: Expression
    zone: tzinfo
    skip_gap: bool = False
    both: bool = False

    def after(self, instant: int) -> int | None:
        """The first tick later than `instant`; None when there is none."""
        first = self._in_order(instant)
        if not (self.both or self.expression.follows_clock):
            return first
        # What is passed a second time comes before the next new local time.
        until = instant + _LONGEST_FOLD
        if first is not None and first < until:
            until = first
        back = local_time.next_fold(self.zone, instant, until)
        if back is not None:
            again = self._second_pass(back)
            if again is not None and (first is None or again < first):
                return again
        return first

    def _in_order(self, instant: int) -> int | None:
        """The first tick later than `instant` whose local time is later too; or which is the second
        pass of such a one."""
        zone = self.zone
        wall: datetime | None = local_time.local(zone, instant)
        for _ in range(_MOST_IN_A_GAP):
            assert wall is not None
            wall = self.expression.after(wall)
            if wall is None:
                return None
            found = local_time.passes(zone, wall)
            if found:
                if found[0] > instant:
                    return found[0]
                if len(found) == 2 and (self.both or self.expression.follows_clock):
                    return found[1]
            elif not (self.skip_gap or self.expression.follows_clock):
                end = local_time.gap_end(zone, wall)
                if end > instant:
                    return end
        return None

    def _second_pass(self, back: int) -> int | None:
        """The first tick at or after `back`, at which clocks go back, with the offset from then."""
        offset = local_time.offset_at(self.zone, back)
        wall = self.expression.after(local_time.utc(back + offset) - _SECOND)
        if wall is None:
            return None
        found = local_time.passes(self.zone, wall)
        return found[-1] if found and found[-1] >= back else None


@dataclass(frozen=True, slots=True)
class IntervalTicks:
    """Ticks every so many microseconds, counted from an anchor either way."""

    every: int
    anchor: int

    def after(self, instant: int) -> int | None:
        """The first tick later than `instant`."""
        tick = self.anchor + ((instant - self.anchor) // self.every + 1) * self.every
        return tick if tick <= LAST_INSTANT else None


@dataclass(frozen=True, slots=True)
class NoTicks:
    """No tick at all."""

    def after(self, instant: int) -> int | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True)
class OneTick:
    """A single instant."""

    at: int

    def after(self, instant: int) -> int | None:
        """The tick, while `instant` is before it."""
        return self.at if self.at > instant else None
