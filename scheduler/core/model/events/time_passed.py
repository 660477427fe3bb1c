"""The passing of time, and leadership."""

from __future__ import annotations

from typing import NamedTuple

from quorate.runtime.ids import TaskId
from scheduler.core.values import (
    ServiceName,
)


class ServiceDue(NamedTuple):
    """Something of a service changed. `first` is the id of the first replica to be made, the
    others follow it."""

    service: ServiceName
    first: TaskId


class TimersDue(NamedTuple):
    """Some SCHEDULED task may be due."""


class ExpiriesDue(NamedTuple):
    """Some PENDING task's start deadline may have passed."""


class StartDeadlinePassed(NamedTuple):
    """The start deadline of a PENDING task that has not started has passed."""

    task: TaskId


class StartsDue(NamedTuple):
    """Some attempt may have lived long enough for its start to be put on record."""


class RetentionDue(NamedTuple):
    """Time to delete what is finished and expired, at most `limit` tasks.

    `by`: the instant by which it is, where that is not the step's: see `scheduler.engine.clocks`.
    """

    limit: int
    by: float | None = None


class Elected(NamedTuple):
    """This process leads from now on; its state holds all of the log."""
