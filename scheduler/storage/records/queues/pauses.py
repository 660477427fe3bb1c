"""Pauses of tasks that match, as records."""

from __future__ import annotations

from collections.abc import Mapping

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import QueueName
from scheduler.core.model.rows import PauseRow
from scheduler.core.values import PauseScope
from scheduler.storage.unknown_fields import unknown_fields

_SCOPES: Mapping[int, PauseScope] = {int(value): value for value in PauseScope}


def pause_row(data: bytes) -> PauseRow:
    """A pause on record."""
    record = r.PauseRecord.FromString(data)
    return PauseRow(
        record.name,
        QueueName(record.queue),
        tuple(sorted(record.labels.items())),
        record.fairness_key,
        _SCOPES.get(record.scope, PauseScope.DISPATCH),
        record.reason,
        record.until,
        record.by,
        record.since,
        unknown_fields(record),
    )


def pause_record(row: PauseRow) -> bytes:
    """Undoes `pause_row`."""
    record = r.PauseRecord(
        name=row.name,
        queue=row.queue,
        labels=dict(row.labels),
        fairness_key=row.tenant,
        scope=int(row.scope),  # type: ignore[arg-type]
        reason=row.reason,
        until=row.until,
        by=row.by,
        since=row.since,
    )
    record.MergeFromString(row.unknown_fields)
    return record.SerializeToString(deterministic=True)
