"""Bad input to the calls about schedules, refused before anything is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final
from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.runtime.errors import QuorateError, invalid
from quorate.v1 import job_pb2, task_pb2
from quorate.v1 import schedule_pb2 as pb
from scheduler.api import validate
from scheduler.api.request_sizes import MAX_SCHEDULE_BYTES
from scheduler.api.specs.check import SpecCheck
from scheduler.api.validate import DAY, NANOS, at_most, between, known_enum
from scheduler.core.graphs.members import KEYED
from scheduler.core.jobs.schedules import rules
from scheduler.core.jobs.schedules.expression import BadExpression, Expression, NeverFires
from scheduler.core.model.schedules import (
    Backfill,
    Overlap,
    Pause,
    ScheduleName,
    ScheduleSpec,
    micros,
)
from scheduler.storage import records
from scheduler.storage.records.schedules import instant

MAX_SPAN: Final = 366 * DAY
MIN_INTERVAL: Final = 1.0
MAX_COUNT: Final = 100
MAX_JITTER: Final = DAY
MAX_BLACKOUTS: Final = 16
MAX_BLACKOUT: Final = 31 * DAY
MAX_RUNS: Final = 1_000_000_000
MAX_BACKFILL: Final = 1_000
_TICKS_AT_ONCE: Final = 50
MAX_REASON: Final = 256
# Of a graph: two records each, and one more for each array with items.
MAX_GRAPH_TASKS: Final = 48
MAX_ITEM_ARRAYS: Final = 8
# Seconds since the epoch; the year 9000.
LATEST: Final = 221_845_392_000
_BACKFILL_POLICIES: Final = (Overlap.SKIP, Overlap.QUEUE_ALL, Overlap.ALLOW)


def name(field: str, value: str) -> ScheduleName:
    """A well-formed name of a schedule."""
    return ScheduleName(validate.queue_name(field, value))


# `(spec, check, now)`: raises QuorateError about fields of "spec".
JobCheck = Callable[[job_pb2.JobSpec, SpecCheck, float], object]


def spec(
    check: SpecCheck,
    check_job: JobCheck,
    schedule: ScheduleName,
    message: pb.ScheduleSpec,
    now: float,
    wall: float,
) -> ScheduleSpec:
    """What the core needs of a valid spec, which the interval's anchor is filled into.

    Args:
        now: the leader's clock, wall: the wall clock; seconds since the epoch.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    size = message.ByteSize()
    if size > MAX_SCHEDULE_BYTES:
        raise invalid(
            "schedule.spec",
            f"{size} bytes; at most {MAX_SCHEDULE_BYTES} are allowed, because it is written again "
            "with each run: pass large data by reference",
            reason="PAYLOAD_TOO_LARGE",
            limit=MAX_SCHEDULE_BYTES,
            value=size,
        )
    _zone("schedule.spec.time_zone", message.time_zone)
    _timing(schedule, message, wall)
    if message.queue:
        validate.queue_name("schedule.spec.queue", message.queue)
    _work(check, check_job, message, now)
    _bounds(message)
    for place, blackout in enumerate(message.blackouts):
        _blackout(schedule, blackout, f"schedule.spec.blackouts[{place}]")
    found = records.schedule_spec(schedule, message)
    _fires(message, found, micros(wall))
    return found


def _zone(field: str, value: str) -> None:
    if not value:
        return
    try:
        # Of a name with "..", or an absolute one: ValueError.
        ZoneInfo(value)
    except (OSError, ValueError, LookupError):
        raise invalid(
            field,
            f"{value[:80]!r} is not a known time zone; use an IANA name such as Europe/Berlin",
            reason="UNKNOWN_TIME_ZONE",
        ) from None


def _timing(schedule: ScheduleName, message: pb.ScheduleSpec, wall: float) -> None:
    match message.WhichOneof("timing"):
        case "cron":
            _cron("schedule.spec.cron", message.cron, schedule)
        case "interval":
            field = "schedule.spec.interval.every"
            between(field, _span(field, message.interval.every, MAX_SPAN), MIN_INTERVAL, MAX_SPAN)
            if message.interval.HasField("anchor"):
                _instant("schedule.spec.interval.anchor", message.interval.anchor)
            else:
                message.interval.anchor.FromMicroseconds(micros(wall))
        case "at":
            _instant("schedule.spec.at", message.at)
        case _:
            raise invalid("schedule.spec.timing", "is required: set cron, interval or at")


def _cron(field: str, text: str, schedule: ScheduleName) -> None:
    try:
        Expression(text, schedule)
    except NeverFires as error:
        raise invalid(field, str(error), reason="SCHEDULE_NEVER_FIRES") from None
    except BadExpression as error:
        raise invalid(field, str(error), reason="INVALID_CRON") from None


def _work(check: SpecCheck, check_job: JobCheck, message: pb.ScheduleSpec, now: float) -> None:
    kind = message.WhichOneof("work")
    if kind is None:
        raise invalid("schedule.spec.work", "is required: set task or job")
    field = f"schedule.spec.{kind}"
    if kind == "job":
        _job(check, check_job, message.job, field, now)
        return
    task = message.task
    _inline(task, field)
    if task.HasField("not_before"):
        raise invalid(f"{field}.not_before", "is the schedule's to say; leave it out")
    check.spec(task, field, now)
    for _ in check.large_json(task, field):
        pass


def _job(
    check: SpecCheck, check_job: JobCheck, job: job_pb2.JobSpec, field: str, now: float
) -> None:
    if job.open:
        raise invalid(f"{field}.open", "a schedule's jobs cannot be open")
    _inline(job.template, f"{field}.template")
    _graph(job.graph, f"{field}.graph")
    if job.HasField("reduce"):
        _inline(job.reduce.template, f"{field}.reduce.template")
    try:
        check_job(job, check, now)
        for part, template in (
            ("template", job.template),
            ("reduce.template", job.reduce.template),
        ):
            for _ in check.large_json(template, f"spec.{part}"):
                pass
    except QuorateError as error:
        # It knows the job as "spec".
        path = error.field.removeprefix("spec")
        words = error.message.removeprefix(error.field)
        metadata = {key: value for key, value in error.metadata.items() if key != "field"}
        raise QuorateError(
            error.code,
            error.reason,
            f"{field}{path}{words}",
            field=f"{field}{path}",
            metadata=metadata,
        ) from None


def _graph(graph: job_pb2.JobGraph, field: str) -> None:
    """All of a run is written at once, in one transaction of etcd."""
    keyed = sum(task.task.HasField("unique") for task in graph.tasks)
    what = "tasks in a schedule's graph"
    if keyed:
        what += f", where one with a unique key counts as {KEYED}"
    at_most(f"{field}.tasks", len(graph.tasks) + (KEYED - 1) * keyed, MAX_GRAPH_TASKS, what)
    with_items = sum(bool(task.array.items) for task in graph.tasks)
    at_most(f"{field}.tasks", with_items, MAX_ITEM_ARRAYS, "arrays with items in a schedule")
    for place, task in enumerate(graph.tasks):
        _inline(task.task, f"{field}.tasks[{place}].task")
        if task.task.HasField("not_before"):
            raise invalid(
                f"{field}.tasks[{place}].task.not_before",
                "is the schedule's to say; leave it out",
            )


def _inline(task: task_pb2.TaskSpec, field: str) -> None:
    """A blob is kept for as long as a task on record names it: a schedule's would be deleted."""
    if task.HasField("payload_blob"):
        raise invalid(
            f"{field}.payload_blob",
            "is not kept for a schedule; put the value where its runs find it",
        )


def _bounds(message: pb.ScheduleSpec) -> None:
    field = "schedule.spec"
    known_enum(f"{field}.overlap", message.overlap, range(6))
    known_enum(f"{field}.dst_gap", message.dst_gap, range(3))
    known_enum(f"{field}.dst_fold", message.dst_fold, range(3))
    if message.HasField("catch_up_window"):
        window = f"{field}.catch_up_window"
        between(window, _span(window, message.catch_up_window, MAX_SPAN), 1.0, MAX_SPAN)
    between(f"{field}.catch_up_count", message.catch_up_count, 0, MAX_COUNT)
    if message.HasField("jitter"):
        _span(f"{field}.jitter", message.jitter, MAX_JITTER, zero=True)
    between(f"{field}.max_runs", message.max_runs, 0, MAX_RUNS)
    for name in ("start_time", "end_time"):
        if message.HasField(name):
            _instant(f"{field}.{name}", getattr(message, name))
    if message.HasField("start_time") and message.HasField("end_time"):
        _ordered(f"{field}.end_time", message.start_time, message.end_time)
    at_most(f"{field}.blackouts", len(message.blackouts), MAX_BLACKOUTS, "blackouts")


def _blackout(schedule: ScheduleName, blackout: pb.Blackout, field: str) -> None:
    if blackout.cron:
        _cron(f"{field}.cron", blackout.cron, schedule)
        _span(f"{field}.duration", blackout.duration, MAX_BLACKOUT)
        for other in ("start_time", "end_time"):
            if blackout.HasField(other):
                raise invalid(f"{field}.{other}", "cannot be set together with cron")
        return
    for required in ("start_time", "end_time"):
        if not blackout.HasField(required):
            raise invalid(f"{field}.{required}", "is required unless cron is set")
        _instant(f"{field}.{required}", getattr(blackout, required))
    _ordered(f"{field}.end_time", blackout.start_time, blackout.end_time)


def _fires(message: pb.ScheduleSpec, found: ScheduleSpec, wall: int) -> None:
    """Refuse a schedule without a tick in the future."""
    if rules.next_tick(found, wall) is not None:
        return
    timing = message.WhichOneof("timing")
    begin = max(wall, found.start - 1)
    if found.end and found.ticks.after(begin) is not None:
        field, why = "end_time", "no instant of the schedule lies before it"
    elif timing == "at":
        field, why = "at", "lies in the past, or before start_time"
    else:
        field, why = str(timing), "no instant of the schedule lies in the future"
    raise invalid(f"schedule.spec.{field}", f"never fires: {why}", reason="SCHEDULE_NEVER_FIRES")


def pause(request: pb.PauseScheduleRequest, by: str, wall: float) -> Pause:
    """The pause that a caller asks for."""
    at_most("reason", len(request.reason), MAX_REASON, "characters")
    until = 0
    if request.HasField("until"):
        _instant("until", request.until)
        until = instant(request.until)
        if not 0 < until - micros(wall) <= MAX_SPAN * 1e6:
            raise invalid("until", f"must lie within {MAX_SPAN / DAY:.0f} days from now")
    return Pause(request.reason, by, until)


def backfill(message: pb.Backfill, wall: float) -> Backfill:
    """The range and policy of the backfill that a caller asks for."""
    if not message.HasField("start_time"):
        raise invalid("backfill.start_time", "is required")
    _instant("backfill.start_time", message.start_time)
    begin, end = instant(message.start_time), micros(wall)
    if message.HasField("end_time"):
        _instant("backfill.end_time", message.end_time)
        _ordered("backfill.end_time", message.start_time, message.end_time)
        if instant(message.end_time) > end:
            raise invalid("backfill.end_time", "lies in the future; those ticks will run anyway")
        end = instant(message.end_time)
    known_enum("backfill.overlap", message.overlap, range(6))
    overlap = Overlap(message.overlap or Overlap.QUEUE_ALL)
    if overlap not in _BACKFILL_POLICIES:
        raise invalid("backfill.overlap", "must be skip, queue_all or allow")
    return Backfill(begin - 1, end, overlap)


def backfill_ticks(spec: ScheduleSpec, asked: Backfill) -> Iterator[list[int]]:
    """The ticks of a backfill, a few at a time: all of them take 0.1 s to find.

    Raises:
        QuorateError: INVALID_ARGUMENT when there is none, or more than MAX_BACKFILL.
    """
    found, last = 0, asked.cursor
    while ticks := rules.due_behind(spec, last, asked.end, _TICKS_AT_ONCE):
        if found + len(ticks) > MAX_BACKFILL:
            last = (ticks[MAX_BACKFILL - found - 1]) if found < MAX_BACKFILL else last
            raise invalid(
                "backfill",
                f"more than {MAX_BACKFILL} ticks lie in this range; the first {MAX_BACKFILL} end "
                f"at {_shown(last)}",
                limit=MAX_BACKFILL,
            )
        found, last = found + len(ticks), ticks[-1]
        yield ticks
    if not found:
        raise invalid("backfill.start_time", "the schedule has no tick in this range")


def _shown(tick: int) -> str:
    stamp = Timestamp()
    stamp.FromMicroseconds(tick)
    return stamp.ToJsonString()


def _span(field: str, value: Duration, most: float, *, zero: bool = False) -> float:
    """Seconds of a duration of whole microseconds."""
    amount = validate.duration(field, value, most, zero=zero)
    if value.nanos % 1_000:
        raise invalid(field, "must be whole microseconds")
    return amount


def _instant(field: str, value: Timestamp) -> None:
    if not 0 <= value.nanos < NANOS:
        raise invalid(field, f"nanos must be within 0 and {NANOS - 1}", value=value.nanos)
    between(field, value.seconds, 0, LATEST)


def _ordered(field: str, begin: Timestamp, end: Timestamp) -> None:
    if instant(begin) >= instant(end):
        raise invalid(field, "must be later than the start")
