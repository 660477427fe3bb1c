"""The instances of services in etcd: followed by the leader, and kept for outside processes.

Each is a key under a lease: that of the agent which runs it, or one of its own. The lease is the
record, as for nodes: nothing about instances is journalled, and what the leader knows of them it
learns from the watch alone, also of those that it has written itself.

Writes for outside processes are fenced by the leader's key and by the service's record: a leader
that was deposed writes nothing, and no instance outlives its service by a late write.
"""

from __future__ import annotations

from typing import Final

import structlog

from quorate.etcd.api import (
    Compacted,
    Compare,
    Etcd,
    EtcdError,
    EtcdNoSpace,
    LeaseNotFound,
    Put,
    Range,
    WatchEvent,
    prefix_end,
)
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import QuorateError, leader_lost, not_found, unavailable
from quorate.v1 import service_pb2
from scheduler.core.model import events as e
from scheduler.core.values import ServiceName
from scheduler.engine.driver import Driver
from scheduler.engine.write_admission import no_space
from scheduler.storage import keys, records

log = structlog.get_logger(__name__)

# Seconds; etcd may grant more than was asked for, but no more than this.
_LEAST_TTL: Final = 5


async def follow_instances(driver: Driver, etcd: Etcd, prefix: bytes, revision: int) -> None:
    """Tell the driver of instances, from where its fold ended, until cancelled."""
    instances = prefix + keys.INSTANCES
    end = prefix_end(instances)
    while True:
        try:
            async with etcd.watch(instances, end, start_revision=revision + 1) as batches:
                async for batch in batches:
                    driver.handle(
                        [event for one in batch.events if (event := _event(one, len(prefix)))]
                    )
        except Compacted:
            # The stream broke, and the last change was longer ago than what etcd keeps.
            found = await etcd.range(Range(instances, end))
            revision = found.revision
            seen = [_event(WatchEvent(False, kv), len(prefix)) for kv in found.kvs]
            there = {kv.key for kv in found.kvs}
            gone = [
                e.InstanceGone(service, name)
                for service, known in driver.state.instances.items()
                for name in known
                if prefix + keys.instance_key(service, name) not in there
            ]
            driver.handle([*gone, *(event for event in seen if event is not None)])


def _event(change: WatchEvent, skip: int) -> e.InstanceSeen | e.InstanceGone | None:
    named = keys.split_instance_key(change.kv.key[skip:])
    if named is None:
        return None
    service, name = named
    if change.deleted:
        return e.InstanceGone(ServiceName(service), name)
    row = records.instance_row(service, name, change.kv.value, change.kv.lease)
    if row is None:
        log.warning("instance_unreadable", service=service, instance=name)
        # Whatever it was before, it can no longer be known.
        return e.InstanceGone(ServiceName(service), name)
    return e.InstanceSeen(row)


class InstanceKeys:
    """Writes the keys of outside processes, for one epoch.

    Args:
        leader_key, elected: the key and its create_revision: what every write compares.

    All methods raise QuorateError UNAVAILABLE when etcd does not answer: the outcome is unknown,
    and the caller is to repeat. RESOURCE_EXHAUSTED: etcd has no space.
    """

    def __init__(self, etcd: Etcd, prefix: bytes, leader_key: bytes, elected: int) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._fence = Compare(leader_key, "create", "=", elected)

    async def renew(self, lease: int, ttl: int) -> bool:
        """Renew a lease for `ttl` seconds; False when it is gone, or of another length."""
        try:
            granted = await self._etcd.lease_keepalive(lease)
        except LeaseNotFound:
            return False
        except EtcdError as error:
            raise _silent(error) from error
        return granted == ttl or ttl < granted <= _LEAST_TTL

    async def put(self, instance: service_pb2.ServiceInstance, lease: int, ttl: int) -> int:
        """Write an instance under `lease`, or under a new one (0) of `ttl` seconds; the lease.

        Raises:
            QuorateError: NOT_FOUND when the service is gone.
        """
        key = self._prefix + keys.instance_key(instance.service, instance.id)
        value = r.InstanceRecord(instance=instance).SerializeToString()
        record = self._prefix + keys.service_key(instance.service)
        try:
            under = lease or (await self._etcd.lease_grant(ttl)).id
            done = await self._etcd.txn(
                (self._fence, Compare(record, "version", ">", 0)),
                (Put(key, value, under),),
                (Range(record, keys_only=True),),
            )
            if done.succeeded:
                return under
            if not lease:
                await self._etcd.lease_revoke(under)
        except EtcdError as error:
            # A lease that was granted in vain ends by itself.
            raise _silent(error) from error
        raise leader_lost() if done.ranges[0].kvs else not_found("service", instance.service)

    async def revoke(self, lease: int) -> None:
        """End a lease, and what is under it."""
        try:
            await self._etcd.lease_revoke(lease)
        except EtcdError as error:
            raise _silent(error) from error


def _silent(error: EtcdError) -> QuorateError:
    if isinstance(error, EtcdNoSpace):
        # Repeated at once, it would be refused again.
        return no_space()
    return unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}")
