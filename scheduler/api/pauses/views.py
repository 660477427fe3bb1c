"""Pauses as callers see them."""

from __future__ import annotations

from quorate.v1 import pause_pb2
from scheduler.api.views import instant
from scheduler.core.model.rows import PauseRow


def pause(row: PauseRow) -> pause_pb2.Pause:
    """A pause with who made it and when."""
    view = pause_pb2.Pause(
        name=row.name,
        queue=row.queue,
        labels=dict(row.labels),
        fairness_key=row.tenant,
        scope=int(row.scope),  # type: ignore[arg-type]
        reason=row.reason,
        paused_by=row.by,
        pause_time=instant(row.since),
    )
    if row.until:
        view.until.CopyFrom(instant(row.until))
    return view
