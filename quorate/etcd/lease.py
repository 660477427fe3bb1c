"""A lease kept alive: the heartbeat of schedulers and node agents.

    held --no answer for a TTL--> silent --answer--> held
      |                              |
      +-------LeaseNotFound----------+--> lost (for good)

`LeaseSession` owns the lease and the task that renews it. Its holder may trust the lease until
`trusted_until` minus a margin of its own. That instant counts from the START of the last renewal
that succeeded, because etcd's countdown began somewhere between its start and its end.

Silence and loss are different things: while etcd does not answer, the lease may well be alive (a
stopped etcd starts its leases afresh), so `lost` is set only once etcd says that the lease is gone.

Late is not silent either. A renewal is given up early, so that another endpoint has its turn. Under
load that would give up every answer, of renewals that etcd did: so each one that fails gives the
next more time, up to a TTL, until an answer comes early again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from quorate.etcd.api import Etcd, EtcdError, LeaseNotFound
from quorate.runtime.timing.clock import Clock, SystemClock

# Renewals are tried often enough that two may fail within a TTL.
_RENEWALS_PER_TTL = 3
_RETRY_PAUSE = 0.1
_REVOKE_TIMEOUT = 1.0


class LeaseSession:
    """A lease that is renewed until it is closed or lost.

    Use `open`, or `async with await LeaseSession.open(...)`.

    Attributes:
        id: the lease.
        ttl: seconds, as the server settled on.
        trusted_until: an instant of `clock.monotonic()`; before it the lease is surely alive.
        lost: set once etcd said that the lease is gone; never cleared.
    """

    def __init__(
        self, etcd: Etcd, lease: int, ttl: int, trusted_until: float, clock: Clock
    ) -> None:
        self.id = lease
        self.ttl = ttl
        self.trusted_until = trusted_until
        self.lost = asyncio.Event()
        self._timeout = self._interval
        self._started = clock.monotonic()
        self._etcd = etcd
        self._clock = clock
        self._task = asyncio.create_task(self._keep(), name=f"lease-{lease:x}")

    @classmethod
    async def open(cls, etcd: Etcd, ttl: int, *, clock: Clock | None = None) -> LeaseSession:
        """Grant a lease of `ttl` seconds (etcd's least is about 2) and keep it alive.

        Raises EtcdError when it cannot be granted.
        """
        clock = clock or SystemClock()
        start = clock.monotonic()
        grant = await etcd.lease_grant(ttl)
        return cls(etcd, grant.id, grant.ttl, start + grant.ttl, clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def trusted(self, margin: float = 0.0) -> bool:
        """Whether the lease is surely alive for `margin` more seconds."""
        return not self.lost.is_set() and self._clock.monotonic() < self.trusted_until - margin

    @property
    def silent(self) -> bool:
        """Not lost, as far as we know, but not renewed for a whole TTL either."""
        return not self.lost.is_set() and not self.trusted()

    async def renew(self) -> None:
        """Renew now. Raises LeaseNotFound (then `lost` is set) or another EtcdError."""
        start = self._started = self._clock.monotonic()
        try:
            ttl = await self._etcd.lease_keepalive(self.id, timeout=self._timeout)
        except LeaseNotFound:
            self.lost.set()
            raise
        except EtcdError:
            self._timeout = min(self.ttl, 2 * self._timeout)
            raise
        if self._clock.monotonic() - start < self._interval / 2:
            self._timeout = self._interval
        # Two renewals may overlap; the later start is the better knowledge.
        self.trusted_until = max(self.trusted_until, start + ttl)

    async def close(self, *, revoke: bool = True) -> None:
        """Stop renewing, and revoke the lease unless told not to; its keys go with it.

        A revocation that fails is left to the TTL. Raises what ended the renewing, if that was a
        bug.
        """
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()
        if revoke and not self.lost.is_set():
            with suppress(EtcdError):
                await self._etcd.lease_revoke(self.id, timeout=_REVOKE_TIMEOUT)

    @property
    def _interval(self) -> float:
        return self.ttl / _RENEWALS_PER_TTL

    async def _keep(self) -> None:
        pause = self._interval
        while True:
            await asyncio.sleep(pause)
            try:
                await self.renew()
            except LeaseNotFound:
                return
            except EtcdError:
                # Silence: `trusted_until` runs out by itself, and the holder looks at that.
                pause = _RETRY_PAUSE
            else:
                # From start to start: a late answer does not delay the next question, too.
                taken = self._clock.monotonic() - self._started
                pause = max(_RETRY_PAUSE, self._interval - taken)
