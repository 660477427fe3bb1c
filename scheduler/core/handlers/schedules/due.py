"""A schedule is looked at: its ticks fire, wait, or are noted as missed.

**Exactly one fire for each tick.** The schedule's record with its cursor is written in the Txn that
creates the task. Whoever leads next goes on behind the cursor: no tick is a timer's memory.

Time is the wall clock that comes with the event, not the step's `now`: a term's clock keeps the
offset that it had at the election, and in a term of months ticks would drift. When the wall clock
goes back, ticks up to the cursor do not fire again; when it jumps forward, those in between are
caught up as after an outage.

One step decides about one tick, or about a run of ticks that are missed together. The schedule is
looked at again at once if there may be more:

```
 a run failed, and pause_on_failure -> paused       paused, `until` has come -> goes on from there
 a tick waits, and no run is live -> fires
 a tick is due -- older than the window, or more than `most_due` at once -> missed
              |-- in a blackout -> missed
              |-- a run is live -> by the overlap policy: missed | waits | fires
              `-- fires -> PutTask, PutSchedule
 a backfill is under way -> its next tick fires
```

A tick whose task cannot be created (its queue is gone, a quota is used up) is tried again every
second within the window, and is then missed for that reason.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from scheduler.core.handlers.finishing import cancel_live
from scheduler.core.handlers.schedules import runs
from scheduler.core.jobs.schedules import rules
from scheduler.core.model.effects import Effects, PutSchedule
from scheduler.core.model.events import ScheduleDue
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.schedules import (
    MOST_WAITING,
    Cause,
    MissReason,
    Overlap,
    Pause,
    ScheduleRow,
)
from scheduler.core.model.state import State
from scheduler.core.values import TaskState

# Microseconds until a tick whose task could not be created is tried again.
RETRY: Final = 1_000_000
# Runs cancelled in one step, and looked at.
_CANCELLED_AT_ONCE: Final = 50
_LOOKED_AT_ONCE: Final = 500


def on_schedule_due(
    state: State, limits: Limits, event: ScheduleDue, now: float, out: Effects
) -> None:
    index = state.schedules
    index.touched.pop(event.schedule, None)
    row = index.rows.get(event.schedule)
    if row is None:
        return
    changed = _note_failure(state, row)
    pause = row.pause
    if pause is not None and pause.until and pause.until <= event.wall:
        resume(row, pause.until)
        changed = True
    step = _Step(state, limits, row, event, now, out)
    # Paused or not: a backfill was asked for by somebody.
    again = (row.pause is None and (step.fire_waiting() or step.decide())) or step.backfill()
    if changed or again:
        put(state, row, out)
    due = _next_look(row, event.wall)
    if again and (row.waiting or row.backfill is not None or 0 < due <= event.wall):
        # There may be more to do.
        index.touched[row.name] = None
    index.wake(row, due)


def put(state: State, row: ScheduleRow, out: Effects) -> None:
    """Write a schedule's record, with what is known of its runs by now."""
    row.runs = tuple(run._replace(state=runs.state_of(state, run)) for run in row.runs)
    out.writes.append(PutSchedule(row))


def resume(row: ScheduleRow, instant: int) -> None:
    """A paused schedule goes on: what was due while it was paused is missed."""
    row.pause = None
    rules.pass_over(row, instant, MissReason.PAUSED)


def pause(row: ScheduleRow, why: Pause) -> None:
    """No tick fires from now on; those that waited for a run to end are missed."""
    row.pause = why
    rules.drop_waiting(row, MissReason.PAUSED)
    rules.unblock(row)


def _note_failure(state: State, row: ScheduleRow) -> bool:
    """Pause a schedule that wants it when a run failed. A failure counts once."""
    if not row.spec.pause_on_failure or row.pause is not None:
        return False
    for run in row.runs:
        if run.state != TaskState.FAILED and runs.state_of(state, run) == TaskState.FAILED:
            pause(row, Pause(f"run {run.task} failed", ""))
            return True
    return False


def _next_look(row: ScheduleRow, wall: int) -> int:
    """When to look at a schedule again if nothing changes; 0: never."""
    times = [wall + RETRY] if row.blocked else []
    if row.pause is not None:
        if row.pause.until:
            times.append(row.pause.until)
    elif not row.blocked:
        tick = rules.next_decided(row)
        if tick is not None:
            times.append(rules.fires_at(row.spec, row.name, tick))
    return min(times, default=0)


class _Step:
    """One look at one schedule. Each method returns whether it decided something."""

    def __init__(
        self,
        state: State,
        limits: Limits,
        row: ScheduleRow,
        event: ScheduleDue,
        now: float,
        out: Effects,
    ) -> None:
        self._state = state
        self._limits = limits
        self._row = row
        self._event = event
        self._now = now
        self._out = out
        self._live = state.schedules.live.get(row.name, {})

    def fire_waiting(self) -> bool:
        """The first tick that waits for a run to end fires, once none is live."""
        row = self._row
        if not row.waiting:
            return False
        tick, *others = row.waiting
        if self._live and row.spec.overlap is Overlap.CANCEL_RUNNING:
            self._cancel()
        if not self._live and self._fired(tick, Cause.TICK):
            row.waiting = tuple(others)
            row.fired += 1
            return True
        if self._given_up():
            row.waiting = tuple(others)
            self._missed(tick, MissReason.NOT_CREATED, row.blocked)
            rules.unblock(row)
            return True
        return False

    def decide(self) -> bool:
        """The next tick fires, waits or is missed, if it is due."""
        row, wall = self._row, self._event.wall
        spec = row.spec
        tick = rules.next_decided(row)
        if tick is None or rules.fires_at(spec, row.name, tick) > wall:
            return False
        # A tick that is to be late by its jitter is not late.
        oldest = wall - spec.window - spec.jitter
        if tick < oldest:
            why = MissReason.NOT_CREATED if row.blocked else MissReason.CATCH_UP_WINDOW
            rules.pass_over(row, oldest - 1, why, row.blocked)
            return True
        if not row.admitted and self._too_many(tick):
            return True
        if rules.in_blackout(spec, tick):
            self._missed(tick, MissReason.BLACKOUT)
        elif (self._live or row.waiting) and spec.overlap is not Overlap.ALLOW:
            self._overlaps(tick)
        elif self._fired(tick, Cause.TICK):
            row.fired += 1
        else:
            return False
        row.cursor = tick
        row.admitted = max(0, row.admitted - 1)
        return True

    def backfill(self) -> bool:
        """The next tick of a backfill fires, if there is one."""
        row = self._row
        under_way = row.backfill
        if under_way is None:
            return False
        tick = rules.next_tick(row.spec, under_way.cursor)
        if tick is None or tick > under_way.end:
            row.backfill = None
            return True
        if self._live and under_way.overlap is Overlap.QUEUE_ALL:
            return False
        if self._live and under_way.overlap is Overlap.SKIP:
            self._missed(tick, MissReason.OVERLAP)
        elif not self._fired(tick, Cause.BACKFILL):
            if not self._given_up():
                return False
            self._missed(tick, MissReason.NOT_CREATED, row.blocked)
            rules.unblock(row)
        row.backfill = under_way._replace(cursor=tick)
        return True

    def _too_many(self, tick: int) -> bool:
        """Miss the oldest of the ticks that are due when these are more than `count`."""
        row = self._row
        spec = row.spec
        most = spec.most_due + rules.COUNTED_AT_ONCE
        behind = rules.due_behind(spec, tick, self._event.wall, most)
        due = 1 + len(behind)
        if due <= spec.most_due:
            row.admitted = due
            return False
        ticks = [tick, *behind][: due - spec.most_due]
        self._missed(tick, MissReason.CATCH_UP_COUNT, row.blocked, ticks[-1], len(ticks))
        row.cursor = ticks[-1]
        rules.unblock(row)
        return True

    def _overlaps(self, tick: int) -> None:
        """A tick is due while a run is live, or an earlier tick waits."""
        row = self._row
        match row.spec.overlap:
            case Overlap.QUEUE_ONE if not row.waiting:
                row.waiting = (tick,)
            case Overlap.QUEUE_ALL if len(row.waiting) < MOST_WAITING:
                row.waiting = (*row.waiting, tick)
            case Overlap.QUEUE_ALL:
                self._missed(tick, MissReason.TOO_MANY_WAITING)
            case Overlap.CANCEL_RUNNING:
                # The newest is the one that counts.
                rules.drop_waiting(row, MissReason.OVERLAP)
                row.waiting = (tick,)
            case _:
                self._missed(tick, MissReason.OVERLAP)

    def _fired(self, tick: int, cause: Cause) -> bool:
        """Create the task of a tick; whether it could be created."""
        why = self._event.refused
        if not why:
            rejection = runs.rejection_of(self._state, self._limits, self._row)
            why = rejection.reason if rejection is not None else ""
        if why:
            if not self._row.blocked:
                self._row.blocked_since = self._event.wall
            self._row.blocked = why
            return False
        rules.unblock(self._row)
        runs.start(
            *(self._state, self._limits, self._row, tick, cause),
            *(self._event.first, self._now, self._out),
        )
        return True

    def _given_up(self) -> bool:
        """Whether creating a task was refused for longer than the catch-up window."""
        row = self._row
        return bool(row.blocked) and self._event.wall - row.blocked_since > row.spec.window

    def _missed(
        self, first: int, reason: MissReason, detail: str = "", last: int = 0, count: int = 1
    ) -> None:
        rules.miss(self._row, first, last or first, count, reason, detail)

    def _cancel(self) -> None:
        """Cancel live runs, some at a time: those that only wait end at once."""
        tasks, jobs = self._state.tasks, self._state.jobs
        left = min(_CANCELLED_AT_ONCE, self._limits.part_tasks)
        for task in list(islice(self._live, _LOOKED_AT_ONCE)):
            if task in jobs:
                left -= runs.cancel_job(self._state, jobs[task], self._now, self._out)
            elif not tasks[task].cancel_requested:
                cancel_live(self._state, tasks[task], self._now, self._out)
                left -= 1
            if not left:
                break
