"""Fast failover: a standby that sees the leader's process die does not wait for its lease to end.

```
  follow(leader)
       |
       v          answered by the leader's instance
   REACHING ------------------------------------------> WATCHING (health Watch stream)
     ^  |  not reached: again after a pause                |  stream breaks
     |  |                                                  v
     |  +-- another instance answers, and             SUSPECTING
     |      the leader had been seen --> GONE <------- connect refused
     +------------------------------------------------ anything else (silence proves nothing)

   GONE: its lease is revoked, so its candidate key vanishes and the next candidate leads at once.
```

A wrong guess costs a change of leaders and nothing else: whether a leader may still commit is
decided by the fence of the journal, never by this module. A partition, a power loss or a SIGSTOP
gives no refusal; for those the lease's TTL decides.

Owned here: the watch stream and its channel, and the allowance that keeps replicas from deposing
one leader after the other: `BURST` revocations, then one every `REFILL` seconds. Each leader is
revoked at most once. When etcd does not answer the revocation, the TTL decides too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from quorate.etcd.api import Etcd, EtcdError
from quorate.runtime.ids import INSTANCE_METADATA, InstanceId
from quorate.runtime.network.reachability import refused
from quorate.runtime.timing.clock import Clock
from quorate.runtime.timing.token_bucket import TokenBucket
from quorate.security.tls.dialer import ONE_QUESTION, Dialer
from scheduler.api.forwarding.role import Leader
from scheduler.leadership.racing import first_of
from scheduler.telemetry.health import SERVICE

log = structlog.get_logger(__name__)

BURST: Final = 4
REFILL: Final = 1.0
_REACH_TIMEOUT = 2.0
_REACH_PAUSE = 0.2
_REVOKE_TIMEOUT = 2.0


class LeaderWatch:
    """Watches the process that leads and revokes its lease when it is gone.

    Args:
        etcd: where the lease is.
        clock: for the allowance.
        instance: this process's instance id: it does not watch itself.
        dialer: opens the channel to a leader; a plaintext one when left out.
        revoked: called after each revocation, e.g. `Leadership.look_again`.
    """

    def __init__(
        self,
        etcd: Etcd,
        clock: Clock,
        instance: InstanceId,
        *,
        dialer: Dialer | None = None,
        revoked: Callable[[], None] = lambda: None,
    ) -> None:
        self._etcd = etcd
        self._clock = clock
        self._instance = instance
        self._dialer = dialer or Dialer(None)
        self._revoked = revoked
        self._leader: Leader | None = None
        self._changed = asyncio.Event()
        # Set while the leader's process is being watched, that is, while its death would be seen.
        self.established = asyncio.Event()
        self._revocations = TokenBucket(1.0 / REFILL, BURST, clock.monotonic())

    def follow(self, leader: Leader | None) -> None:
        """`leader` leads now; None: nobody does."""
        if leader != self._leader:
            self._leader = leader
            self._changed.set()

    async def run(self) -> None:
        """Watch whoever leads, until cancelled."""
        while True:
            self._changed.clear()
            leader = self._leader
            if leader is None or not leader.address or leader.instance == self._instance:
                await self._changed.wait()
            else:
                await first_of(self._changed.wait(), self._watch(leader))

    async def _watch(self, leader: Leader) -> None:
        seen = False
        while True:
            answered = await self._until_broken(leader)
            seen = seen or answered == leader.instance
            if seen and (answered not in (leader.instance, "") or await refused(leader.address)):
                break
            if answered != leader.instance:
                await asyncio.sleep(_REACH_PAUSE)
        await self._revoke(leader)
        # At most once: there is nothing left to do about this leader.
        await asyncio.Event().wait()

    async def _until_broken(self, leader: Leader) -> str:
        """Watch until the stream breaks; the instance id that answered, empty when none did."""
        answered = ""
        channel = self._dialer.open(leader.address, ONE_QUESTION)
        try:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            stream = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
            async with asyncio.timeout(_REACH_TIMEOUT):
                metadata = await stream.initial_metadata()
            answered = str(metadata.get(INSTANCE_METADATA, ""))
            if answered == leader.instance:
                self.established.set()
                log.info("failure_detector_watching", leader=leader.name, elected=leader.elected)
                while await stream.read() is not grpc.aio.EOF:  # type: ignore[attr-defined]
                    pass
        except (grpc.aio.AioRpcError, TimeoutError):
            pass
        finally:
            self.established.clear()
            await channel.close(None)
        return answered

    async def _revoke(self, leader: Leader) -> None:
        await self._await_allowance()
        log.warning("failure_detector_leader_gone", leader=leader.name, elected=leader.elected)
        try:
            await self._etcd.lease_revoke(leader.lease, timeout=_REVOKE_TIMEOUT)
        except EtcdError as error:
            log.warning("failure_detector_lease_not_revoked", leader=leader.name, error=str(error))
        self._revoked()

    async def _await_allowance(self) -> None:
        # Taken before the pause, so that a leader that changes meanwhile still counts.
        if wait := self._revocations.reserve(self._clock.monotonic()):
            await asyncio.sleep(wait)
