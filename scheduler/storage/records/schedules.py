"""Schedules as records: the spec, and how far the schedule has come."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import QueueName, TaskId
from quorate.v1 import schedule_pb2 as pb
from scheduler.core.jobs.schedules.expression import BadExpression, Expression
from scheduler.core.jobs.schedules.ticks import CronTicks, IntervalTicks, NoTicks, OneTick
from scheduler.core.model.schedules import (
    Backfill,
    Blackout,
    Cause,
    JobTemplate,
    Miss,
    MissReason,
    Overlap,
    Pause,
    Run,
    ScheduleName,
    ScheduleRow,
    ScheduleSpec,
    Ticks,
)
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import TaskSpec
from scheduler.storage.records.graphs import specs_of
from scheduler.storage.records.jobs import job_spec, kept_spec
from scheduler.storage.records.tasks.specs import task_spec
from scheduler.storage.unknown_fields import unknown_fields

DEFAULT_WINDOW = 3_600_000_000
DEFAULT_COUNT = 100
UTC = "UTC"


def schedule_record(row: ScheduleRow) -> r.ScheduleRecord:
    record = r.ScheduleRecord(
        name=row.name,
        spec=pb.ScheduleSpec.FromString(row.spec.spec),
        version=row.version,
        create_time=row.create_time,
        created_by=row.created_by,
        cursor=row.cursor,
        waiting=row.waiting,
        fired=row.fired,
        run_count=row.run_count,
        miss_count=row.miss_count,
    )
    if row.pause is not None:
        record.pause.reason, record.pause.by, record.pause.until = row.pause
        record.pause.SetInParent()
    if row.backfill is not None:
        record.backfill.cursor = row.backfill.cursor
        record.backfill.end = row.backfill.end
        record.backfill.overlap = int(row.backfill.overlap)  # type: ignore[assignment]
    for run in row.runs:
        record.runs.add(
            tick=run.tick,
            task=run.task,
            cause=int(run.cause),
            state=run.state,
            is_job=run.is_job,
        )
    for miss in row.misses:
        record.misses.add(
            first=miss.first,
            last=miss.last,
            ticks=miss.total,
            reason=int(miss.reason),
            detail=miss.detail,
        )
    record.MergeFromString(row.unknown_fields)
    return record


def schedule_row(data: bytes, known: ScheduleRow | None = None) -> ScheduleRow:
    """The schedule of a record; `known`: as it was before. Its record is written with each run, and
    its spec seldom changes: that is not read again."""
    record = r.ScheduleRecord.FromString(data)
    name = ScheduleName(record.name)
    spec = known.spec if known is not None else None
    if spec is None or spec.spec != record.spec.SerializeToString(deterministic=True):
        spec = schedule_spec(name, record.spec)
    return ScheduleRow(
        name,
        record.create_time,
        spec,
        record.created_by,
        record.cursor,
        record.version,
        Pause(record.pause.reason, record.pause.by, record.pause.until)
        if record.HasField("pause")
        else None,
        tuple(record.waiting),
        Backfill(
            record.backfill.cursor,
            record.backfill.end,
            _OVERLAPS.get(record.backfill.overlap, Overlap.QUEUE_ALL),
        )
        if record.HasField("backfill")
        else None,
        tuple(
            Run(
                run.tick,
                TaskId(run.task),
                _CAUSES.get(run.cause, Cause.TICK),
                int(run.state),
                run.is_job,
            )
            for run in record.runs
        ),
        tuple(
            Miss(
                miss.first,
                miss.last,
                miss.ticks,
                _REASONS.get(miss.reason, MissReason.NOT_CREATED),
                miss.detail,
            )
            for miss in record.misses
        ),
        record.fired,
        record.run_count,
        record.miss_count,
        unknown_fields(record),
    )


def schedule_spec(name: ScheduleName, message: pb.ScheduleSpec) -> ScheduleSpec:
    """What the core must know of a validated spec.

    A spec that this version cannot read (written by a newer one, with a newer list of time zones)
    has no ticks: better none than wrong ones.
    """
    try:
        ticks = ticks_of(name, message)
        blackouts = tuple(_blackout(name, message, each) for each in message.blackouts)
    except (BadExpression, OSError, ValueError, LookupError):
        ticks, blackouts = NoTicks(), ()
    return ScheduleSpec(
        message.SerializeToString(deterministic=True),
        QueueName(message.queue) if message.queue else DEFAULT_QUEUE,
        _work(message),
        ticks,
        _OVERLAPS.get(message.overlap, Overlap.SKIP),
        span(message.catch_up_window) if message.HasField("catch_up_window") else DEFAULT_WINDOW,
        message.catch_up_count or DEFAULT_COUNT,
        span(message.jitter),
        blackouts,
        instant(message.start_time) if message.HasField("start_time") else 0,
        instant(message.end_time) if message.HasField("end_time") else 0,
        message.max_runs,
        message.pause_on_failure,
    )


def _work(message: pb.ScheduleSpec) -> TaskSpec | JobTemplate:
    if message.WhichOneof("work") != "job":
        task = message.task
        return task_spec(task, task.SerializeToString(deterministic=True))
    job = message.job
    kept = kept_spec(job)
    data = kept.SerializeToString(deterministic=True)
    return JobTemplate(
        job_spec(kept, data, items=bool(job.items)),
        job.template.SerializeToString(deterministic=True),
        len(job.items) or job.count,
        tuple(job.items),
        job.reduce.template.SerializeToString(deterministic=True),
        specs_of(job.graph, TaskId("")),
    )


def ticks_of(name: ScheduleName, message: pb.ScheduleSpec) -> Ticks:
    """The ticks of a spec.

    Raises:
        BadExpression: of `cron`.
        OSError, ValueError, LookupError: of the time zone (ZoneInfo's own).
    """
    match message.WhichOneof("timing"):
        case "cron":
            return _cron(message.cron, name, message)
        case "interval":
            return IntervalTicks(span(message.interval.every), instant(message.interval.anchor))
        case "at":
            return OneTick(instant(message.at))
        case _:
            return NoTicks()


def _cron(text: str, name: ScheduleName, message: pb.ScheduleSpec) -> CronTicks:
    return CronTicks(
        Expression(text, name),
        ZoneInfo(message.time_zone or UTC),
        skip_gap=message.dst_gap == pb.DST_GAP_POLICY_SKIP,
        both=message.dst_fold == pb.DST_FOLD_POLICY_BOTH,
    )


def _blackout(name: ScheduleName, message: pb.ScheduleSpec, blackout: pb.Blackout) -> Blackout:
    if blackout.cron:
        return Blackout(begins=_cron(blackout.cron, name, message), length=span(blackout.duration))
    return Blackout(instant(blackout.start_time), instant(blackout.end_time))


def span(value: Duration) -> int:
    """A duration in microseconds."""
    return value.seconds * 1_000_000 + value.nanos // 1_000


def instant(value: Timestamp) -> int:
    """Microseconds since the epoch."""
    return value.seconds * 1_000_000 + value.nanos // 1_000


_OVERLAPS = {int(value): value for value in Overlap}
_CAUSES = {int(value): value for value in Cause}
_REASONS = {int(value): value for value in MissReason}
