"""What happens to schedules.

`wall` is the leader's wall clock in microseconds since the epoch: an argument of its own, beside
the step's `now` (see `scheduler.core.model.schedules`).
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.runtime.ids import TaskId
from scheduler.core.model.events.calls import Request, Token
from scheduler.core.model.schedules import Backfill, Pause, ScheduleName, ScheduleSpec
from scheduler.core.values import Change


class ScheduleSubmitted(NamedTuple):
    """CreateSchedule. `changes` are for the audit log: the spec is opaque here."""

    schedule: ScheduleName
    spec: ScheduleSpec
    wall: int
    request: Request
    token: Token
    created_by: str = ""
    changes: tuple[Change, ...] = ()


class ScheduleUpdateAsked(NamedTuple):
    """UpdateSchedule: `spec` was made from the one of `version`, which must still be the newest."""

    schedule: ScheduleName
    spec: ScheduleSpec
    version: int
    wall: int
    request: Request
    token: Token
    changes: tuple[Change, ...] = ()


class ScheduleDeleteAsked(NamedTuple):
    schedule: ScheduleName
    request: Request
    token: Token


class SchedulePauseAsked(NamedTuple):
    """PauseSchedule; ResumeSchedule when `pause` is None."""

    schedule: ScheduleName
    pause: Pause | None
    wall: int
    request: Request
    token: Token


class ScheduleRunAsked(NamedTuple):
    """RunSchedule: `task` is the id of the task to be made."""

    schedule: ScheduleName
    task: TaskId
    wall: int
    request: Request
    token: Token


class ScheduleBackfillAsked(NamedTuple):
    """RunSchedule with a range of the past."""

    schedule: ScheduleName
    backfill: Backfill
    request: Request
    token: Token


class ScheduleDue(NamedTuple):
    """A schedule is to be looked at: a tick is due, or something changed.

    `first` is the id of the task that may be made. `refused`: the reason why none can be made at
    the moment, such as ETCD_SPACE_LOW.
    """

    schedule: ScheduleName
    wall: int
    first: TaskId
    refused: str = ""
