"""Options of `schedule create` and `schedule update`, and what they make.

An option that is not given to `update` changes nothing.
"""

from __future__ import annotations

import datetime as dt
import enum
import re
import time
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast
from zoneinfo import ZoneInfo

import typer

from quorate.cli.groups import given, option, refuse
from quorate.cli.jobs.options import CloseAfterIdle, Open
from quorate.cli.tasks.options import Delay, Env, Secret
from quorate.client.work.schedules import ScheduleArgs

_WHEN = "When there are ticks"
_PANEL = "Ticks that cannot run"
_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPANS = "seconds, or a number with s, m, h or d, such as 90, 15m or 2h"
_NOT_OF_SCHEDULES: Final = {
    "delay": "is for one task; a schedule says when its runs start, see --jitter and --start",
    "open": "makes no sense for a schedule: nobody would append items to its runs",
    "close_after_idle": "is for open jobs, and a schedule has none",
}
_ONE_DATE: Final = "a date such as 2026-12-31T23:00"
_DATES: Final = f"{_ONE_DATE}, in the zone of this machine unless it has an offset such as +01:00"


class Overlap(enum.StrEnum):
    """What to do at a tick while a run is not finished."""

    SKIP = "skip"
    QUEUE_ONE = "queue-one"
    QUEUE_ALL = "queue-all"
    CANCEL_RUNNING = "cancel-running"
    ALLOW = "allow"


class BackfillOverlap(enum.StrEnum):
    """What to do at a tick of a backfill while a run is not finished."""

    SKIP = "skip"
    QUEUE_ALL = "queue-all"
    ALLOW = "allow"


class OnFailure(enum.StrEnum):
    """What happens when a run has failed."""

    CONTINUE = "continue"
    PAUSE = "pause"


class Gap(enum.StrEnum):
    """A fixed time that does not exist when clocks are put forward."""

    RUN_AFTER = "run-after"
    SKIP = "skip"


class Fold(enum.StrEnum):
    """A fixed time that exists twice when clocks are put back."""

    FIRST = "first"
    BOTH = "both"


Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The schedule's name.")]
Argv = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- COMMAND", help="Program of a run, and its arguments."),
]
Call = Annotated[
    str,
    typer.Option(
        "--call",
        metavar="MODULE:FUNCTION",
        help="Python function of a run, instead of a program.",
        show_default=False,
    ),
]
Arguments = Annotated[
    str,
    typer.Option(
        "--arguments",
        metavar="JSON",
        help="Arguments of --call: a JSON list, or an object with args and kwargs. "
        "\\[default: none]",
        show_default=False,
    ),
]
Graph = Annotated[
    str,
    typer.Option(
        "--graph",
        metavar="FILE",
        help="File with a graph of tasks, as TOML or JSON; each run is this graph. '-' is standard "
        "input. Options of tasks are in the file.",
        show_default=False,
        rich_help_panel="Jobs",
    ),
]
Cron = Annotated[
    str,
    typer.Option(
        metavar="EXPRESSION",
        help='Cron expression, such as "30 2 * * *" or @daily. L, # and H are possible.',
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
Every = Annotated[
    str,
    typer.Option(
        metavar="SPAN",
        help=f"Interval instead of --cron: {_SPANS}.",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
At = Annotated[
    str,
    typer.Option(
        metavar="DATE",
        help=f"One time instead of --cron: {_ONE_DATE}. Without an offset such as +01:00 it is in "
        "the zone of --zone, else of this machine.",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
Zone = Annotated[
    str,
    typer.Option(
        "--zone",
        metavar="ZONE",
        help="Time zone of --cron and --at, such as Europe/Berlin. \\[default: UTC for --cron, "
        "this machine's zone for --at]",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
Jitter = Annotated[
    str,
    typer.Option(
        metavar="SPAN",
        help="Maximum delay of each run, computed from schedule name and tick. \\[default: 0]",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
Start = Annotated[
    str,
    typer.Option(
        metavar="DATE",
        help=f"Time before which there are no ticks: {_DATES}. \\[default: none]",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
End = Annotated[
    str,
    typer.Option(
        metavar="DATE",
        help=f"Time after which there are no ticks: {_DATES}. \\[default: none]",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
MaxRuns = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Number of runs after which the schedule ends; 0: no limit. \\[default: 0]",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
DstGap = Annotated[
    Gap | None,
    typer.Option(
        help="What happens to a time of --cron, such as 02:30, that does not exist on the day when "
        "clocks are put forward. \\[default: run-after]",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
DstFold = Annotated[
    Fold | None,
    typer.Option(
        help="What happens to a time of --cron, such as 02:30, that exists twice on the day when "
        "clocks are put back. \\[default: first]",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
OverlapOption = Annotated[
    Overlap | None,
    typer.Option(
        "--overlap",
        metavar="POLICY",
        help="What happens to a tick while the previous run is not finished: skip, queue-one, "
        "queue-all, cancel-running or allow. \\[default: skip]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Window = Annotated[
    str,
    typer.Option(
        "--catch-up-window",
        metavar="SPAN",
        help="How late a run may start, for example after an outage. \\[default: 1h]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Count = Annotated[
    int | None,
    typer.Option(
        "--catch-up-count",
        metavar="N",
        min=1,
        max=100,
        help="How many ticks get runs if many are due at once: the newest ones. \\[default: 100]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Blackouts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FROM/TO",
        help="Time without runs: two dates, such as 2026-12-24/2026-12-27, or a cron expression "
        'and a length, such as "0 9 * * 1-5/8h"; may be repeated. \\[default: none]',
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
OnFailureOption = Annotated[
    OnFailure | None,
    typer.Option(
        "--on-failure",
        help="What happens when a run fails: pause the schedule, or nothing. \\[default: continue]",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]


@dataclass(frozen=True, slots=True)
class When:
    """When a schedule fires, and what it does with ticks that cannot run."""

    cron: Cron = ""
    every: Every = ""
    at: At = ""
    zone: Zone = ""
    jitter: Jitter = ""
    start: Start = ""
    end: End = ""
    max_runs: MaxRuns = None
    dst_gap: DstGap = None
    dst_fold: DstFold = None
    overlap: OverlapOption = None
    catch_up_window: Window = ""
    catch_up_count: Count = None
    blackout: Blackouts = None
    on_failure: OnFailureOption = None

    def args(self) -> ScheduleArgs:
        """What the SDK takes, of the options that were given. Raises BadParameter."""
        if sum(map(bool, (self.cron, self.every, self.at))) > 1:
            raise typer.BadParameter("only one of --cron, --every and --at is possible")
        found: dict[str, Any] = {}
        for name, text in (("cron", self.cron), ("time_zone", self.zone)):
            if text:
                found[name] = text
        for name in ("every", "jitter", "catch_up_window"):
            if text := getattr(self, name):
                found[name] = span(option(name), text)
        for name in ("start", "end"):
            if text := getattr(self, name):
                found[name] = date(option(name), text)
        if self.at:
            found["at"] = date("--at", self.at, self.zone)
        for name in ("max_runs", "catch_up_count"):
            if (number := getattr(self, name)) is not None:
                found[name] = number
        for name in ("overlap", "dst_gap", "dst_fold"):
            if (word := getattr(self, name)) is not None:
                found[name] = word.replace("-", "_")
        if self.blackout is not None:
            found["blackouts"] = [_blackout(text) for text in self.blackout]
        if self.on_failure is not None:
            found["pause_on_failure"] = self.on_failure is OnFailure.PAUSE
        return cast(ScheduleArgs, found)


@dataclass(frozen=True, slots=True)
class Work:
    """What a run is."""

    call: Call = ""
    arguments: Arguments = ""
    env: Env = None
    secret: Secret = None


@dataclass(frozen=True, slots=True)
class NotOfSchedules:
    """Options of `submit` and `call` that make no sense for a schedule."""

    delay: Delay = 0.0
    open: Open = False
    close_after_idle: CloseAfterIdle = None

    def refuse(self) -> None:
        """Raise QuorateError for one that was given."""
        refuse(given(self), _NOT_OF_SCHEDULES)


def _blackout(text: str) -> tuple[Any, Any]:
    """Two dates, or a cron expression (which holds slashes) and a span."""
    begin, slash, end = text.rpartition("/")
    if not slash or not begin:
        raise typer.BadParameter(f"--blackout: {text!r} is not FROM/TO or CRON/SPAN")
    if " " in begin or begin.startswith("@"):
        return begin, span("--blackout", end)
    return date("--blackout", begin), date("--blackout", end)


def span(option: str, text: str) -> float:
    """Seconds of `90`, `15m`, `2h`. Raises BadParameter naming the option."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{option}: {text!r} is not {_SPANS}")
    return float(found[1]) * _UNITS[found[2]]


def date(option: str, text: str, zone: str = "") -> dt.datetime:
    """An instant: a date, or a span from now. Raises BadParameter naming the option.

    Args:
        zone: of a date without an offset; empty: the zone of this machine.
    """
    ahead = _SPAN.fullmatch(text)
    if ahead is not None and ahead[2]:
        return dt.datetime.fromtimestamp(time.time() + span(option, text), dt.UTC)
    try:
        found = dt.datetime.fromisoformat(text)
        if zone and found.tzinfo is None:
            return found.replace(tzinfo=_zone(zone)).astimezone(dt.UTC)
        return found.astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{option}: {text!r} is not {_ONE_DATE}, or a span from now such as 2h"
        ) from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise typer.BadParameter(
            f"--zone: {name!r} is not a known time zone; use an IANA name such as Europe/Berlin"
        ) from None
