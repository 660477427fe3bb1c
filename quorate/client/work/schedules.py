"""Schedules as messages: what `client.schedules` sends, from plain Python values."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.client.work.texts import text_of
from quorate.runtime.errors import invalid
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import schedule_pb2 as pb

Overlap = Literal["skip", "queue_one", "queue_all", "cancel_running", "allow"]
Seconds = float | dt.timedelta


class ScheduleArgs(TypedDict, total=False):
    """When a schedule fires, and what it does with ticks that cannot run.

    Times are datetimes with a time zone; spans are seconds or timedeltas.
    """

    cron: str
    """"30 2 * * *" or "@daily"; one of `cron`, `every` and `at` is required."""
    every: Seconds
    """An interval, counted from `anchor` (default: when the schedule is created)."""
    anchor: dt.datetime
    at: dt.datetime
    """One instant."""
    time_zone: str
    """Of `cron`, such as "Europe/Berlin"; UTC by default."""
    overlap: Overlap
    """At a tick while a run is not finished; "skip" by default."""
    catch_up_window: Seconds
    """How late a tick may run; 1 h by default."""
    catch_up_count: int
    """How many ticks that are due at once run; 100 by default."""
    jitter: Seconds
    """Puts each run off by a part of this."""
    blackouts: Sequence[tuple[dt.datetime, dt.datetime] | tuple[str, Seconds]]
    """Times without runs: (from, to), or (cron, length)."""
    start: dt.datetime
    end: dt.datetime
    max_runs: int
    """Ticks that run before the schedule ends."""
    pause_on_failure: bool
    dst_gap: Literal["run_after", "skip"]
    """A fixed time that does not exist when clocks are put forward."""
    dst_fold: Literal["first", "both"]
    """A fixed time that exists twice when clocks are put back."""


class Declared(NamedTuple):
    """What `@quorate.schedule` says about a function."""

    name: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    when: ScheduleArgs


# The attribute of a function that has one.
DECLARED = "__quorate_schedule__"
_KNOWN = frozenset(ScheduleArgs.__annotations__)


def spec_of(
    options: ScheduleArgs,
    work: task_pb2.TaskSpec | job_pb2.JobSpec | None = None,
    queue: str = "",
) -> pb.ScheduleSpec:
    """The message of what is given.

    Raises:
        TypeError: an option has no such name.
        QuorateError: INVALID_ARGUMENT naming an option that no message can hold.
    """
    for name in options:
        if name not in _KNOWN:
            known = ", ".join(sorted(_KNOWN))
            raise TypeError(f"no option of a schedule is called {name!r}; there are {known}")
    spec = pb.ScheduleSpec(queue=queue)
    given = [name for name in ("cron", "every", "at") if name in options]
    if len(given) > 1:
        raise invalid(given[1], f"cannot be set together with {given[0]}")
    # A run belongs to no caller's span.
    if isinstance(work, job_pb2.JobSpec):
        spec.job.CopyFrom(work)
        if spec.job.HasField("template"):
            spec.job.template.ClearField("trace_context")
    elif work is not None:
        spec.task.CopyFrom(work)
        spec.task.ClearField("trace_context")
    _timing(spec, options)
    for name in ("cron", "time_zone"):
        if name in options:
            setattr(spec, name, text_of(name, options[name]))  # type: ignore[literal-required]
    for name in ("catch_up_count", "max_runs"):
        if name in options:
            setattr(spec, name, _number(name, options[name]))  # type: ignore[literal-required]
    if "pause_on_failure" in options:
        spec.pause_on_failure = bool(options["pause_on_failure"])
    for name, enum in _ENUMS.items():
        if name in options:
            setattr(spec, name, _enum(name, enum, options[name]))  # type: ignore[literal-required]
    for name in ("catch_up_window", "jitter"):
        if name in options:
            getattr(spec, name).CopyFrom(duration(name, options[name]))  # type: ignore[literal-required]
    for name, field in (("start", "start_time"), ("end", "end_time")):
        if name in options:
            getattr(spec, field).CopyFrom(instant(name, options[name]))  # type: ignore[literal-required]
    for begin, end in options.get("blackouts", ()):
        _blackout(spec.blackouts.add(), begin, end)
    return spec


def _timing(spec: pb.ScheduleSpec, options: ScheduleArgs) -> None:
    if "every" in options:
        spec.interval.every.CopyFrom(duration("every", options["every"]))
        if "anchor" in options:
            spec.interval.anchor.CopyFrom(instant("anchor", options["anchor"]))
    elif "anchor" in options:
        raise invalid("anchor", "needs every")
    if "at" in options:
        spec.at.CopyFrom(instant("at", options["at"]))


def _blackout(blackout: pb.Blackout, begin: Any, end: Any) -> None:
    if isinstance(begin, str):
        blackout.cron = text_of("blackouts", begin)
        blackout.duration.CopyFrom(duration("blackouts", end))
    else:
        blackout.start_time.CopyFrom(instant("blackouts", begin))
        blackout.end_time.CopyFrom(instant("blackouts", end))


_ENUMS = {
    "overlap": pb.OverlapPolicy,
    "dst_gap": pb.DstGapPolicy,
    "dst_fold": pb.DstFoldPolicy,
}
_PREFIXES = {
    "overlap": "OVERLAP_POLICY_",
    "dst_gap": "DST_GAP_POLICY_",
    "dst_fold": "DST_FOLD_POLICY_",
}


def _enum(name: str, enum: Any, value: Any) -> int:
    prefix = _PREFIXES[name]
    words = [one.removeprefix(prefix).lower() for one in enum.keys()[1:]]
    if value not in words:
        raise invalid(name, f"{value!r} is not one of {', '.join(words)}")
    return int(enum.Value(prefix + str(value).upper()))


def overlap_policy(value: Overlap | None) -> Any:
    """The policy of this name; unspecified for None."""
    return 0 if value is None else _enum("overlap", pb.OverlapPolicy, value)


def _number(name: str, value: Any) -> int:
    if not isinstance(value, int) or abs(value) >= 2**31:
        raise invalid(name, f"{value!r} is not a whole number in range")
    return value


def duration(name: str, value: Any) -> Duration:
    """Seconds or a timedelta as a message."""
    seconds = value.total_seconds() if isinstance(value, dt.timedelta) else value
    if not isinstance(seconds, int | float) or not abs(seconds) < 1e10:
        raise invalid(name, f"{value!r} is not a number of seconds in range")
    found = Duration()
    found.FromMicroseconds(round(seconds * 1_000_000))
    return found


def instant(name: str, value: Any) -> Timestamp:
    """A datetime as a message."""
    if not isinstance(value, dt.datetime):
        raise invalid(name, f"{value!r} is not a datetime")
    if value.tzinfo is None:
        raise invalid(name, "a datetime must have a time zone")
    found = Timestamp()
    found.FromDatetime(value.astimezone(dt.UTC))
    return found
