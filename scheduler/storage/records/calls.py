"""The answers to calls as records."""

from __future__ import annotations

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model.rows import (
    DedupRow,
)
from scheduler.storage.unknown_fields import unknown_fields


def dedup_record(row: DedupRow) -> r.DedupRecord:
    """Undoes `dedup_row`."""
    record = r.DedupRecord(
        digest=row.digest,
        create_time=row.create_time,
        queue=row.queue,
        first_id=row.first_id,
        count=row.count,
        progress=row.progress,
        caller=row.caller,
        counts=row.counts,
        last_id=row.last_id,
    )
    if row.unknown_fields:
        record.MergeFromString(row.unknown_fields)
    return record


def dedup_row(data: bytes) -> DedupRow:
    record = r.DedupRecord.FromString(data)
    return DedupRow(
        record.digest,
        record.create_time,
        QueueName(record.queue),
        TaskId(record.first_id),
        record.count,
        record.progress,
        caller=record.caller,
        counts=tuple(record.counts),
        last_id=TaskId(record.last_id),
        unknown_fields=unknown_fields(record),
    )
