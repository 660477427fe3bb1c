"""How long a leader may act: the trust window.

A leader's lease may end in etcd without the leader hearing of it. So it trusts its lease only up
to the start of its last successful keepalive + TTL, less a margin for the time between looking and
acting; outside that window it neither dispatches nor answers. The fence of the journal is what
keeps a late leader from writing; this window is what keeps it from *speaking*.

    keepalive starts          trusted until            the term is over
         |------------- TTL - margin --|------ margin -----|
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Lease(Protocol):
    """What trust rests on: `quorate.etcd.lease.LeaseSession`."""

    trusted_until: float


class Trust:
    """One term's trust window.

    Args:
        lease: the leader's lease.
        margin: seconds before the lease's last safe instant at which to fall silent.
    """

    def __init__(self, lease: Lease, margin: float) -> None:
        self._lease = lease
        self._margin = margin
        self._over = asyncio.Event()

    def ok(self, now: float) -> bool:
        """Whether the leader may act at `now` (monotonic seconds, of the lease's clock)."""
        return now < self._lease.trusted_until - self._margin and not self._over.is_set()

    def end(self) -> None:
        """The term is over: never again."""
        self._over.set()

    async def over(self) -> None:
        """Return when the term is over: what waits to be trusted again waits in vain."""
        await self._over.wait()
