"""Shared limits as callers see them."""

from __future__ import annotations

from quorate.v1 import limit_pb2
from scheduler.api.rates import rate_view
from scheduler.api.views import instant
from scheduler.core.model.answers import LimitSeen


def limit(seen: LimitSeen) -> limit_pb2.Limit:
    """A shared limit with what is used of it."""
    view = limit_pb2.Limit(
        name=seen.name,
        create_time=instant(seen.create_time),
        running=seen.running,
        live_tasks=seen.live,
    )
    if seen.max_running:
        view.max_running = seen.max_running
    if seen.rate is not None:
        view.rate.CopyFrom(rate_view(seen.rate))
    return view
