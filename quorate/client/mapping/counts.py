"""What calls about many tasks count: one class for each call. `+` joins those of several pages."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TypeVar

C = TypeVar("C", bound="Counts")


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers that add up."""

    def __add__(self: C, other: C) -> C:
        sums = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields(self)
            if isinstance(getattr(self, field.name), int)
        }
        return type(self)(**sums)


@dataclass(frozen=True, slots=True)
class Cancelled(Counts):
    """How many tasks a bulk cancel found, and what became of them."""

    cancelled: int = 0
    """CANCELLED now: they were waiting."""
    stopping: int = 0
    """Running: their attempts are being ended."""
    finished: int = 0
    """Finished before, cancelled ones included."""
    not_found: int = 0
    """Of the tasks that were named: not on record (any longer)."""
    skipped: int = 0
    """Of the tasks that were named: not finished, and in none of the states asked for."""


@dataclass(frozen=True, slots=True)
class Retried(Counts):
    """How many tasks a bulk retry found, and what became of them."""

    retried: int = 0
    """Waiting for their next attempt now."""
    not_finished: int = 0
    """Not finished: nothing was done."""
    skipped: int = 0
    """Finished, and in none of the states that can be retried or were asked for; or replicas."""
    not_found: int = 0
    """Of the tasks that were named: not on record (any longer)."""
    over_quota: int = 0
    """Not retried because a quota, or the limit of unfinished tasks, is reached."""
    last_start: datetime | None = None
    """With a rate: when the last of them may start."""

    def __add__(self, other: Retried) -> Retried:
        both = [one for one in (self.last_start, other.last_start) if one is not None]
        return Retried(
            self.retried + other.retried,
            self.not_finished + other.not_finished,
            self.skipped + other.skipped,
            self.not_found + other.not_found,
            self.over_quota + other.over_quota,
            max(both, default=None),
        )


@dataclass(frozen=True, slots=True)
class Deleted(Counts):
    """How many tasks a bulk delete found, and what became of them."""

    deleted: int = 0
    """Their records, results and errors are gone."""
    not_finished: int = 0
    """Not finished: nothing was done."""
    skipped: int = 0
    """Finished, and in none of the states asked for."""
    not_found: int = 0
    """Of the tasks that were named: not on record (any longer)."""


@dataclass(frozen=True, slots=True)
class Updated(Counts):
    """How many tasks a bulk update found, and what became of them."""

    updated: int = 0
    """Changed: they wait."""
    not_waiting: int = 0
    """Assigned, running or finished: nothing was done."""
    skipped: int = 0
    """In none of the states asked for; replicas; or failed more often than the new retry policy
    allows; or tasks of jobs, which stay in their queue."""
    not_found: int = 0
    """Of the tasks that were named: not on record (any longer)."""
    refused: int = 0
    """The queue that they should go to did not accept them."""
