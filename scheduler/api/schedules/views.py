"""Schedules as callers see them."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.timestamp_pb2 import Timestamp

from quorate.v1 import schedule_pb2 as pb
from scheduler.api.views import instant
from scheduler.core.handlers.schedules.calls import ScheduleSeen
from scheduler.core.jobs.schedules import rules
from scheduler.core.model.schedules import Run, ScheduleRow

NEXT = 10


def schedule(
    seen: ScheduleSeen, state_of: Callable[[Run], int], wall: int, most: int = NEXT
) -> pb.Schedule:
    """A schedule with up to `most` next ticks.

    Args:
        state_of: the state of a run's task, by its number; 0: not known.
    """
    row = seen.row
    view = pb.Schedule(
        name=row.name,
        spec=pb.ScheduleSpec.FromString(row.spec.spec),
        state=_state(row),
        etag=etag(row),
        create_time=instant(row.create_time),
        created_by=row.created_by,
        next_ticks=[stamp(tick) for tick in rules.upcoming(row, wall, most)],
        runs=row.run_count,
        missed_ticks=row.miss_count,
        live_runs=seen.live,
        waiting_ticks=map(stamp, row.waiting),
        blocked_reason=row.blocked,
    )
    if row.pause is not None:
        view.pause_reason, view.paused_by = row.pause.reason, row.pause.by
        if row.pause.until:
            view.pause_until.CopyFrom(stamp(row.pause.until))
    for run in reversed(row.runs):
        view.last_runs.add(
            task="" if run.is_job else run.task,
            job=run.task if run.is_job else "",
            tick_time=stamp(run.tick),
            cause=int(run.cause),
            state=state_of(run),
        )
    for miss in reversed(row.misses):
        view.last_misses.add(
            first_time=stamp(miss.first),
            last_time=stamp(miss.last),
            ticks=miss.total,
            reason=int(miss.reason),
            detail=miss.detail,
        )
    if row.spec.max_runs:
        view.remaining_runs = max(0, row.spec.max_runs - row.fired)
    if row.backfill is not None:
        view.backfill.start_time.CopyFrom(stamp(row.backfill.cursor + 1))
        view.backfill.end_time.CopyFrom(stamp(row.backfill.end))
        view.backfill.overlap = int(row.backfill.overlap)  # type: ignore[assignment]
    return view


def _state(row: ScheduleRow) -> pb.ScheduleState:
    if row.pause is not None:
        return pb.SCHEDULE_STATE_PAUSED
    if rules.next_decided(row) is None and not row.waiting:
        return pb.SCHEDULE_STATE_ENDED
    return pb.SCHEDULE_STATE_ACTIVE


def etag(row: ScheduleRow) -> str:
    """Opaque; another one for another schedule that had the same name before."""
    return f"{int(row.create_time * 1000):x}-{row.version:x}"


def stamp(tick: int) -> Timestamp:
    """An instant as a Timestamp."""
    found = Timestamp()
    found.FromMicroseconds(tick)
    return found
