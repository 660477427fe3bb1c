"""Whether this scheduler should get calls: what `/readyz` says."""

from __future__ import annotations

from typing import Final

from quorate.etcd.api import EtcdError
from quorate.etcd.client import EtcdClient
from quorate.runtime.timing.clock import Clock
from scheduler.api.forwarding.role import Roles, Unknown
from scheduler.storage.replica.loaded import Loaded

# Seconds; probes commonly wait one.
_PROBE_TIMEOUT: Final = 0.8
# Seconds for which etcd may answer late. All schedulers ask the same etcd: were one late answer
# enough, load would take all of them out of service at the same moment.
SILENT: Final = 10.0


class Readiness:
    """Asked by each probe.

    One that loads could pass calls on. But whoever replaces schedulers one by one waits for this
    before the next: the last loaded one must not be stopped.
    """

    def __init__(self, roles: Roles, etcd: EtcdClient, loaded: Loaded, clock: Clock) -> None:
        self._roles = roles
        self._etcd = etcd
        self._loaded = loaded
        self._clock = clock
        self._answered: float | None = None

    async def __call__(self) -> str:
        """Why this scheduler should get no calls; empty when it should."""
        if isinstance(self._roles.role, Unknown):
            return "there is no leader at present; try again"
        if not self._loaded.is_set():
            return "it still loads the log: it cannot take over yet"
        try:
            await self._etcd.status(timeout=_PROBE_TIMEOUT)
        except EtcdError as error:
            if self._answered is None or self._clock.monotonic() - self._answered > SILENT:
                return f"etcd does not answer: {error}"
        else:
            self._answered = self._clock.monotonic()
        return ""
