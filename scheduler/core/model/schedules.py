"""Schedules as the machine keeps them, and their index.

Instants of this module are whole microseconds since the Unix epoch, by the wall clock: a schedule's
instants do not drift with a leader's term (`scheduler.core.handlers.schedules.due` says why), and
ticks of an interval must be exact. 0 is "none".

What is on record is what a new leader needs to go on: everything but the last four fields of
`ScheduleRow`. Bounds: `MOST_RUNS`, `MOST_MISSES` and `MOST_WAITING` entries of each schedule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heappop, heappush
from typing import Final, NamedTuple, NewType, Protocol

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.arrays.spec import GraphArray, JobSpec
from scheduler.core.values import TaskSpec

ScheduleName = NewType("ScheduleName", str)

# Runs and misses remembered of one schedule, and ticks that wait for a run to end.
MOST_RUNS: Final = 10
MOST_MISSES: Final = 10
MOST_WAITING: Final = 100
# Timers that are out of date and not worth clearing away.
_CLEAR_ABOVE: Final = 256


class Overlap(IntEnum):
    """What to do at a tick while a run is not finished (`quorate.v1.OverlapPolicy`)."""

    SKIP = 1
    QUEUE_ONE = 2
    QUEUE_ALL = 3
    CANCEL_RUNNING = 4
    ALLOW = 5


class Cause(IntEnum):
    """Why a run was started (`quorate.v1.ScheduleCause`)."""

    TICK = 1
    BACKFILL = 2
    BY_HAND = 3


class MissReason(IntEnum):
    """Why a tick has no run (`quorate.v1.MissReason`)."""

    OVERLAP = 1
    TOO_MANY_WAITING = 2
    CATCH_UP_WINDOW = 3
    CATCH_UP_COUNT = 4
    BLACKOUT = 5
    PAUSED = 6
    EDITED = 7
    NOT_CREATED = 8


class Ticks(Protocol):
    """The nominal instants of a schedule: `scheduler.core.jobs.schedules.ticks`."""

    def after(self, instant: int) -> int | None:
        """The first tick later than `instant`; None when there is none."""


class Blackout(NamedTuple):
    """A time without runs: from `begin` to `end`, or for `length` from each of `begins`."""

    begin: int = 0
    end: int = 0
    begins: Ticks | None = None
    length: int = 0


class JobTemplate(NamedTuple):
    """A run that is a job: its spec, the template of its subtasks, and its items, if it has any."""

    spec: JobSpec
    template: bytes
    size: int
    items: tuple[bytes, ...] = ()
    # The template of its reduces.
    reduce: bytes = b""
    # Of a graph: its tasks, as those of a job without an id.
    graph: tuple[TaskSpec | GraphArray, ...] = ()


class ScheduleSpec(NamedTuple):
    """What the machine must know of a schedule; the rest of its spec is opaque bytes."""

    spec: bytes
    queue: QueueName
    # What each run is, without the instant.
    work: TaskSpec | JobTemplate
    ticks: Ticks
    overlap: Overlap = Overlap.SKIP
    # How late a tick may be dealt with, and how many of those that are due at once.
    window: int = 3_600_000_000
    most_due: int = 100
    jitter: int = 0
    blackouts: tuple[Blackout, ...] = ()
    start: int = 0
    # No tick is later; 0: no end.
    end: int = 0
    # Ticks that get a run; 0: no limit.
    max_runs: int = 0
    pause_on_failure: bool = False


class Run(NamedTuple):
    """A task, or a job, that the schedule made. `state` (a TaskState, also of a job) is 0 until its
    end was noticed."""

    tick: int
    task: TaskId
    cause: Cause
    state: int = 0
    is_job: bool = False


class Miss(NamedTuple):
    """Ticks in a row, from `first` to `last`, that got no run. `total` is -1 for more than were
    counted; `detail` says more of the reason, such as QUEUE_NOT_FOUND."""

    first: int
    last: int
    total: int
    reason: MissReason
    detail: str = ""


class Backfill(NamedTuple):
    """Ticks of the past that are to run: those later than `cursor`, up to `end`."""

    cursor: int
    end: int
    overlap: Overlap


class Pause(NamedTuple):
    """Since it is there no tick fires, until `until` (0: until it is resumed)."""

    reason: str
    by: str
    until: int = 0


@dataclass(slots=True, eq=False)
class ScheduleRow:
    """A schedule."""

    name: ScheduleName
    create_time: float
    spec: ScheduleSpec
    # `<role>:<name>` of who created it: its runs count as theirs.
    created_by: str
    # No tick at or before it fires any more: the latest of creation, edit, resume and the last tick
    # that was decided.
    cursor: int
    version: int = 1
    pause: Pause | None = None
    # Ticks that wait for a run to end, in order.
    waiting: tuple[int, ...] = ()
    backfill: Backfill | None = None
    # The newest last.
    runs: tuple[Run, ...] = ()
    misses: tuple[Miss, ...] = ()
    # Of all time: runs by ticks, all runs, missed ticks (as far as they were counted).
    fired: int = 0
    run_count: int = 0
    miss_count: int = 0
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
    # Memory only. When it is to be looked at again; 0: not by itself.
    due: int = 0
    # Why the task of a due tick cannot be created at the moment ("" when it can), and since when.
    blocked: str = ""
    blocked_since: int = 0
    # Of the next ticks, how many are known to be within `spec.most_due`.
    admitted: int = 0


@dataclass(slots=True, eq=False)
class ScheduleIndex:
    """The schedules of a state, their live runs, and when to look at which.

    `touched` are those of which something changed: the leader looks at each. A standby, which looks
    at none, has all of them there when it is elected.
    """

    rows: dict[ScheduleName, ScheduleRow] = field(default_factory=dict)
    # Live tasks and jobs by schedule, in the order in which they were made or folded, and the other
    # way.
    live: dict[ScheduleName, dict[TaskId, None]] = field(default_factory=dict)
    owners: dict[TaskId, ScheduleName] = field(default_factory=dict)
    touched: dict[ScheduleName, None] = field(default_factory=dict)
    # (instant, name); those whose row has another `due` are out of date.
    timers: list[tuple[int, ScheduleName]] = field(default_factory=list)

    def put(self, row: ScheduleRow) -> None:
        """A schedule is there, or is another one now."""
        self.rows[row.name] = row
        self.touched[row.name] = None

    def drop(self, name: ScheduleName) -> None:
        """A schedule is gone; its tasks stay."""
        self.rows.pop(name, None)
        self.touched.pop(name, None)

    def began(self, name: ScheduleName, task: TaskId) -> None:
        """A task of a schedule is live."""
        self.owners[task] = name
        self.live.setdefault(name, {})[task] = None

    def ended(self, task: TaskId) -> None:
        """A live task or job ended, which may be a schedule's."""
        name = self.owners.pop(task, None)
        if name is None:
            return
        live = self.live[name]
        del live[task]
        if not live:
            del self.live[name]
        if name in self.rows:
            self.touched[name] = None

    def note_job(self, name: ScheduleName, job: TaskId, finished: bool) -> None:
        """A job of a schedule is there, or changed."""
        if finished:
            self.ended(job)
        elif job not in self.owners:
            self.began(name, job)

    def wake(self, row: ScheduleRow, instant: int) -> None:
        """Look at `row` at `instant` and not before, unless something changes; 0: never."""
        if row.due == instant:
            return
        row.due = instant
        if instant:
            timers = self.timers
            if len(timers) > 2 * len(self.rows) + _CLEAR_ABOVE:
                timers[:] = sorted((row.due, name) for name, row in self.rows.items() if row.due)
            else:
                heappush(timers, (instant, row.name))

    def next_due(self) -> tuple[int, ScheduleName] | None:
        """The schedule that is to be looked at next, and when: 0 for at once."""
        if self.touched:
            return 0, next(iter(self.touched))
        timers = self.timers
        while timers:
            instant, name = timers[0]
            row = self.rows.get(name)
            if row is not None and row.due == instant:
                return timers[0]
            heappop(timers)
        return None


def micros(seconds: float) -> int:
    """Seconds since the epoch as whole microseconds."""
    return round(seconds * 1_000_000)
