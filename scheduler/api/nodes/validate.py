"""Bounds of the requests about nodes; see `scheduler.api.validate`."""

from __future__ import annotations

from typing import Final

from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.validate import duration

# Seconds.
NODE_DRAIN_GRACE: Final = 30.0
MAX_DRAIN_GRACE: Final = 86_400.0


def drain_grace(request: pb.DrainNodeRequest) -> float:
    """Seconds that the attempts of a node have before they are ended."""
    if not request.HasField("grace"):
        return NODE_DRAIN_GRACE
    return duration("grace", request.grace, MAX_DRAIN_GRACE, zero=True)
