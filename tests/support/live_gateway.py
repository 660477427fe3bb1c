"""A gateway's live updates on a real socket, for tests of what clients meet there."""

from __future__ import annotations

from contextlib import asynccontextmanager

from gateway.live.endpoint import Live
from tests.support.live import (
    serving,
)


@asynccontextmanager
async def gateway(cluster, **options):
    """What it serves, and its host:port."""
    live = Live(cluster, "g1", **options)
    async with serving(live) as address:
        yield live, address
