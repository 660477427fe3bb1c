"""Queues as records."""

from __future__ import annotations

from collections.abc import Mapping

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import QueueName
from scheduler.core.model.rows import (
    QueueRow,
)
from scheduler.core.place_rules import USUAL_PLACE
from scheduler.core.values import (
    USUAL_ORDER,
    Disconnect,
    EventsTo,
    PauseScope,
    Placement,
    QueuePause,
)
from scheduler.storage.records.placement import place_settings, put_place_settings
from scheduler.storage.records.queues.limits import put_limits, queue_limits, queue_order
from scheduler.storage.records.tasks.specs import message_template
from scheduler.storage.unknown_fields import unknown_fields_with_enums


def queue_record(row: QueueRow) -> r.QueueRecord:
    record = r.QueueRecord(
        name=row.name,
        placement=int(row.placement),  # type: ignore[arg-type]
        retention_age=row.retention_age,
        retention_count=row.retention_count,
        disconnect=int(row.disconnect),  # type: ignore[arg-type]
        paused=row.paused,
        create_time=row.create_time,
    )
    if row.pause is not None:
        scope, by, reason, since, until = row.pause
        record.pause.MergeFrom(
            r.QueuePauseRecord(
                scope=int(scope),  # type: ignore[arg-type]
                by=by,
                reason=reason,
                since=since,
                until=until,
            )
        )
    put_limits(record, row.limits)
    if row.order is not USUAL_ORDER:
        record.aging = row.order.aging
        record.weights.update(row.order.weights)
        if row.order.share != 1.0:
            record.share = row.order.share
    if row.place is not USUAL_PLACE:
        put_place_settings(record, row.place)
    if row.template is not None:
        record.message_template = row.template.spec
    if row.events is not None:
        record.events_exchange, record.events_virtual_host = row.events
    record.MergeFromString(row.unknown_fields)
    return record


def queue_row(data: bytes) -> QueueRow:
    record = r.QueueRecord.FromString(data)
    # What a newer version can do and this one cannot is done by default until it leads again.
    return QueueRow(
        QueueName(record.name),
        record.create_time,
        _PLACEMENTS.get(record.placement, Placement.LEAST_LOADED),
        _DISCONNECTS.get(record.disconnect, Disconnect.KEEP),
        record.retention_age,
        record.retention_count,
        record.paused,
        _pause(record),
        unknown_fields=unknown_fields_with_enums(record),
        limits=queue_limits(record),
        order=queue_order(record),
        place=place_settings(record),
        template=message_template(record.message_template),
        events=EventsTo(record.events_exchange, record.events_virtual_host)
        if record.events_exchange
        else None,
    )


def _pause(record: r.QueueRecord) -> QueuePause | None:
    """None for a queue that is not paused; also of one that an earlier version resumed."""
    if not record.HasField("pause"):
        return QueuePause() if record.paused else None
    pause = record.pause
    scope = _SCOPES.get(pause.scope, PauseScope.DISPATCH)
    if scope.dispatch and not record.paused:
        return None
    return QueuePause(scope, pause.by, pause.reason, pause.since, pause.until)


_SCOPES: Mapping[int, PauseScope] = {int(value): value for value in PauseScope}


_PLACEMENTS: Mapping[int, Placement] = {int(value): value for value in Placement}


_DISCONNECTS: Mapping[int, Disconnect] = {int(value): value for value in Disconnect}
