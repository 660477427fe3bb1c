"""What the spec of a schedule says about its ticks, and what is noted of those without a run.

Each function looks at a bounded number of ticks (`COUNTED_AT_ONCE`): after a month without a leader
a schedule of every second has millions of them.
"""

from __future__ import annotations

from zlib import crc32

from scheduler.core.model.schedules import (
    MOST_MISSES,
    Blackout,
    Miss,
    MissReason,
    ScheduleName,
    ScheduleRow,
    ScheduleSpec,
)

# Ticks counted in one step: 50 us each.
COUNTED_AT_ONCE = 200
# Behind a tick that is further away, no others are looked for: ten years.
_FAR = 10 * 366 * 86_400_000_000


def next_tick(spec: ScheduleSpec, instant: int) -> int | None:
    """The first tick later than `instant` within the schedule's start and end."""
    tick = spec.ticks.after(max(instant, spec.start - 1))
    return None if tick is None or (spec.end and tick > spec.end) else tick


def fires_at(spec: ScheduleSpec, name: ScheduleName, tick: int) -> int:
    """When a tick is to fire: itself and the jitter, which never reaches the next tick.

    Drawn from name and tick: the same on every leader.
    """
    if not spec.jitter:
        return tick
    following = next_tick(spec, tick)
    most = spec.jitter if following is None else min(spec.jitter, following - tick)
    return tick + most * crc32(f"{name}:{tick}".encode()) // 2**32


def due_behind(spec: ScheduleSpec, tick: int, wall: int, most: int) -> list[int]:
    """Up to `most` ticks later than `tick`, none later than `wall`."""
    found: list[int] = []
    following: int | None = tick
    while len(found) < most:
        assert following is not None
        following = next_tick(spec, following)
        if following is None or following > wall:
            break
        found.append(following)
    return found


def in_blackout(spec: ScheduleSpec, tick: int) -> bool:
    """Whether a tick is in one of the times without runs."""
    return any(_covers(blackout, tick) for blackout in spec.blackouts)


def _covers(blackout: Blackout, tick: int) -> bool:
    if blackout.begins is None:
        return blackout.begin <= tick < blackout.end
    begin = blackout.begins.after(tick - blackout.length)
    return begin is not None and begin <= tick


def upcoming(row: ScheduleRow, wall: int, most: int) -> list[int]:
    """The next ticks that are to run, up to `most`: none while it is paused without end."""
    spec, instant = row.spec, row.cursor
    if row.pause is not None:
        if not row.pause.until:
            return []
        instant = max(instant, row.pause.until)
    if spec.max_runs:
        most = min(most, spec.max_runs - row.fired - len(row.waiting))
    found: list[int] = []
    # Of those that are in blackouts it looks at as many more.
    for _ in range(COUNTED_AT_ONCE):
        if len(found) >= most:
            break
        tick = next_tick(spec, instant)
        if tick is None:
            break
        if tick > wall - spec.window - spec.jitter and not in_blackout(spec, tick):
            found.append(tick)
        if tick > wall + _FAR:
            # A day that comes once in 28 years takes milliseconds to find.
            break
        instant = tick
    return found


def next_decided(row: ScheduleRow) -> int | None:
    """The tick about which is to be decided next; None when no tick will fire any more."""
    spec = row.spec
    if spec.max_runs and row.fired + len(row.waiting) >= spec.max_runs:
        return None
    return next_tick(spec, row.cursor)


def unblock(row: ScheduleRow) -> None:
    """A task could be created, or is not to be any more."""
    row.blocked = ""
    row.blocked_since = 0


def miss(
    row: ScheduleRow, first: int, last: int, count: int, reason: MissReason, detail: str = ""
) -> None:
    """Note ticks that get no run; neighbours with one reason are one entry."""
    misses = row.misses
    row.miss_count += COUNTED_AT_ONCE if count < 0 else count
    if misses:
        before = misses[-1]
        if before.reason is reason and before.detail == detail and before.last < first:
            total = -1 if before.total < 0 or count < 0 else before.total + count
            row.misses = (*misses[:-1], before._replace(last=last, total=total))
            return
    row.misses = (*misses[-(MOST_MISSES - 1) :], Miss(first, last, count, reason, detail))


def pass_over(row: ScheduleRow, until: int, reason: MissReason, detail: str = "") -> None:
    """Decide that no tick up to `until` fires, and note those that there are."""
    tick = next_tick(row.spec, row.cursor)
    if tick is not None and tick <= until:
        behind = due_behind(row.spec, tick, until, COUNTED_AT_ONCE)
        if len(behind) < COUNTED_AT_ONCE:
            miss(row, tick, behind[-1] if behind else tick, 1 + len(behind), reason, detail)
        else:
            miss(row, tick, until, -1, reason, detail)
    row.cursor = max(row.cursor, until)
    row.admitted = 0
    unblock(row)


def drop_waiting(row: ScheduleRow, reason: MissReason) -> None:
    """The ticks that wait for a run to end get none."""
    for tick in row.waiting:
        miss(row, tick, tick, 1, reason)
    row.waiting = ()
