"""Limits as records: of queues, shared ones, and what was taken of rate limits."""

from __future__ import annotations

from collections.abc import Mapping

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from scheduler.core.model.limits.permits import UniqueWindow
from scheduler.core.model.rows import LimitRow
from scheduler.core.values import (
    NO_LIMITS,
    USUAL_ORDER,
    LengthPolicy,
    QueueLimits,
    QueueOrder,
    Rate,
)
from scheduler.storage.unknown_fields import unknown_fields

_POLICIES: Mapping[int, LengthPolicy] = {int(value): value for value in LengthPolicy}


def limit_row(data: bytes) -> LimitRow:
    """A shared limit."""
    record = r.LimitGroupRecord.FromString(data)
    return LimitRow(
        record.name,
        record.create_time,
        record.max_running,
        _rate(record.rate) if record.HasField("rate") else None,
        unknown_fields(record),
    )


def limit_record(row: LimitRow) -> r.LimitGroupRecord:
    """Undoes `limit_row`."""
    record = r.LimitGroupRecord(
        name=row.name, max_running=row.max_running, create_time=row.create_time
    )
    if row.rate is not None:
        record.rate.CopyFrom(_rate_record(row.rate))
    record.MergeFromString(row.unknown_fields)
    return record


def queue_limits(record: r.QueueRecord) -> QueueLimits:
    """The limits of a queue; `NO_LIMITS` itself when there are none."""
    limits = QueueLimits(
        record.max_running,
        _rate(record.rate) if record.HasField("rate") else None,
        record.max_running_per_key,
        _rate(record.rate_per_key) if record.HasField("rate_per_key") else None,
        record.max_length,
        _POLICIES.get(record.length_policy, LengthPolicy.REJECT),
    )
    return NO_LIMITS if limits == NO_LIMITS else limits


def queue_order(record: r.QueueRecord) -> QueueOrder:
    """In what order the tasks of a queue go; `USUAL_ORDER` itself where that is the usual one."""
    share = record.share or 1.0
    if not record.aging and not record.weights and share == 1.0:
        return USUAL_ORDER
    return QueueOrder(record.aging, tuple(sorted(record.weights.items())), share)


def put_limits(record: r.QueueRecord, limits: QueueLimits) -> None:
    """Write the limits of a queue into its record."""
    if limits is NO_LIMITS:
        return
    record.max_running = limits.max_running
    record.max_running_per_key = limits.max_running_per_key
    record.max_length = limits.max_length
    if limits.length_policy is not LengthPolicy.REJECT:
        record.length_policy = int(limits.length_policy)  # type: ignore[assignment]
    if limits.rate is not None:
        record.rate.CopyFrom(_rate_record(limits.rate))
    if limits.rate_per_key is not None:
        record.rate_per_key.CopyFrom(_rate_record(limits.rate_per_key))


def arrival(data: bytes) -> float:
    """GCRA's theoretical arrival time."""
    return r.RateUseRecord.FromString(data).arrival


def arrival_record(value: float) -> bytes:
    """Undoes `arrival`, serialized."""
    return r.RateUseRecord(arrival=value).SerializeToString()


def window(data: bytes) -> UniqueWindow:
    """Until when a unique key is a task's."""
    record = r.UniqueRecord.FromString(data)
    return UniqueWindow(TaskId(record.task), record.until, record.create_time)


def window_record(row: UniqueWindow) -> r.UniqueRecord:
    """Undoes `window`."""
    return r.UniqueRecord(task=row.task, until=row.until, create_time=row.create_time)


def _rate(record: r.RateRecord) -> Rate:
    return Rate(record.count, record.period, record.burst)


def _rate_record(rate: Rate) -> r.RateRecord:
    return r.RateRecord(count=rate.starts, period=rate.period, burst=rate.burst)
