"""Services and their instances as this gateway treats them, kept up with the scheduler's view.

`Services` owns them. The view decides first: only instances that it calls HEALTHY are candidates;
among those the gateway leaves out what it has ejected itself, and outside ones that fail its checks
(`checks`). What is taken out of the view, or is draining, gets no new request, and its connections
end as their requests do.

A change of policy takes effect with the next request.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import structlog

from gateway.proxy.balancing.balance import Balancer, Random, balancer
from gateway.proxy.balancing.ejection import Ejection, may_eject
from gateway.proxy.balancing.health_tracker import CheckTerms, HealthTracker, terms_of
from gateway.proxy.balancing.limits import RetryBudget, rate_limit
from gateway.proxy.balancing.policy import Policy, policy_of
from gateway.proxy.balancing.pool import Pool
from gateway.proxy.balancing.stats import InstanceStats, ServiceStats
from gateway.proxy.options import ProxyOptions
from quorate.runtime.network.addresses import split_address
from quorate.runtime.timing.token_bucket import TokenBucket
from quorate.v1 import service_pb2 as pb

log = structlog.get_logger(__name__)

_STATES: Final = {
    value: name.removeprefix("INSTANCE_STATE_") for name, value in pb.InstanceState.items()
}


class Instance:
    """One process behind a service's name. A candidate of `balance`."""

    __slots__ = (
        "address",
        "authority",
        "ejection",
        "health_tracker",
        "id",
        "in_flight",
        "labels",
        "node",
        "pool",
        "state",
        "stats",
        "weight",
    )

    def __init__(self, message: pb.ServiceInstance, pool: Pool) -> None:
        self.id = message.id
        self.address = message.address
        self.authority = message.address.encode("latin-1", "replace")
        self.pool = pool
        self.in_flight = 0
        self.ejection = Ejection()
        self.stats = InstanceStats()
        self.health_tracker: HealthTracker | None = None
        """What this gateway's checks say; None when it does not check this one."""
        self.update(message)

    def update(self, message: pb.ServiceInstance) -> None:
        """Take over what may change of an instance."""
        self.weight = max(1, message.weight)
        self.labels = dict(message.labels)
        self.node = message.node
        self.state = message.state
        self.take_verdict()

    def take_verdict(self) -> None:
        """Connections are kept only where requests may go."""
        if self.healthy:
            self.pool.revive()
        else:
            self.pool.retire()

    @property
    def healthy(self) -> bool:
        """Whether the scheduler's view, and this gateway's own checks, let it have requests."""
        return self.state == pb.INSTANCE_STATE_HEALTHY and (
            self.health_tracker is None or self.health_tracker.passing
        )

    def snapshot(self, now: float) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.id,
            "address": self.address,
            "node": self.node,
            "state": _STATES.get(self.state, str(self.state)),
            "weight": self.weight,
            "in_flight": self.in_flight,
            "idle_connections": self.pool.idle,
            "requests": self.stats.requests,
            "failures": self.stats.failures,
            "ejected": self.ejection.active(now),
            "ejections": self.ejection.count,
            "passing": None if self.health_tracker is None else self.health_tracker.passing,
            "latency": self.stats.latencies.snapshot(),
        }


class ProxiedService:
    """One service. Made and changed by `Services`."""

    def __init__(self, name: str, options: ProxyOptions, random: Random, now: float) -> None:
        self.name = name
        self.key = name.encode()
        self.policy = Policy()
        self.check: CheckTerms | None = None
        """Of instances without a node; None when they are not checked."""
        self.stats = ServiceStats()
        self.instances: dict[str, Instance] = {}
        self.in_flight = 0
        self.rate: TokenBucket | None = None
        self.budget = RetryBudget(self.policy.retry_budget, now)
        self._options = options
        self._random = random
        self._preferred: Balancer[Instance] | None = None
        self._all: Balancer[Instance] = balancer(0, (), random)
        # When the candidates must be looked at again: an ejection ends then.
        self._stale_at = 0.0

    def update(self, message: pb.Service, now: float) -> list[Instance]:
        """Take over the view; what is not in it any more, for the caller to let end."""
        policy = policy_of(message.spec.proxy)
        if policy.rate_limit != self.policy.rate_limit:
            self.rate = rate_limit(policy.rate_limit, now) if policy.rate_limit else None
        self.budget.share = policy.retry_budget
        self.policy = policy
        self.check = terms_of(message.spec)
        before, self.instances = self.instances, {}
        for one in message.instances:
            known = before.get(one.id)
            if known is not None and known.address == one.address:
                del before[one.id]
                known.update(one)
            else:
                made = self._make(one)
                if made is None:
                    continue
                known = made
            self.instances[one.id] = known
            self._look_after(known, now)
        self._stale_at = 0.0
        gone = list(before.values())
        for instance in gone:
            instance.pool.retire()
        return gone

    def _look_after(self, instance: Instance, now: float) -> None:
        """Replicas on nodes are looked after by their agents."""
        if self.check is None or instance.node:
            instance.health_tracker = None
        elif instance.health_tracker is None:
            instance.health_tracker = HealthTracker(self.check, now, self._random)
        else:
            instance.health_tracker.retarget(self.check, now, self._random)
        instance.take_verdict()

    def _make(self, message: pb.ServiceInstance) -> Instance | None:
        try:
            host, port = split_address(message.address)
        except ValueError:
            log.warning("instance_without_address", service=self.name, instance=message.id)
            return None
        return Instance(message, Pool(host, port, self._options))

    @property
    def healthy(self) -> list[Instance]:
        """Instances that the scheduler's view, and this gateway's checks, let have requests."""
        return [one for one in self.instances.values() if one.healthy]

    def pick(self, key: bytes | None, avoid: Collection[Instance], now: float) -> Instance | None:
        """The instance for a request; None when none may have it."""
        if now >= self._stale_at:
            self._renew(now)
        breaker = self.policy.circuit_breaker
        if self._preferred is not None:
            found = self._preferred.pick(key, avoid, breaker)
            if found is not None:
                return found
        return self._all.pick(key, avoid, breaker)

    def _renew(self, now: float) -> None:
        """Make the balancers anew, of those that are candidates now."""
        healthy = self.healthy
        admitted = [one for one in healthy if not one.ejection.active(now)]
        # Ejected ones whose neighbours have left the view since: better than nothing.
        candidates = admitted or healthy
        policy, label = self.policy, self.policy.prefer_label
        self._all = balancer(policy.balancing, candidates, self._random)
        own = self._options.labels.get(label) if label else None
        near = [one for one in candidates if own is not None and one.labels.get(label) == own]
        self._preferred = (
            balancer(policy.balancing, near, self._random)
            if near and len(near) < len(candidates)
            else None
        )
        self._stale_at = min(
            (one.ejection.until for one in healthy if one.ejection.active(now)), default=math.inf
        )

    def on_checked(self, instance: Instance, failure: str, now: float) -> None:
        """An active check has ended: why it failed, or "" when it passed."""
        health_tracker = instance.health_tracker
        if health_tracker is None or not health_tracker.on_checked(not failure, now, self._random):
            return
        instance.take_verdict()
        self._stale_at = 0.0
        log.warning(
            "instance_healthy" if health_tracker.passing else "instance_unhealthy",
            service=self.name,
            instance=instance.id,
            address=instance.address,
            failure=failure,
        )

    def on_failure(self, instance: Instance, now: float) -> None:
        """An instance did not answer, or with 502, 503 or 504: perhaps eject it."""
        instance.stats.failures += 1
        if not instance.ejection.failed(now, eject_after=self.policy.eject_after):
            return
        if self.instances.get(instance.id) is not instance:
            return
        healthy = self.healthy
        ejected = sum(one.ejection.active(now) for one in healthy)
        if may_eject(ejected, len(healthy)):
            instance.ejection.eject(now, eject_for=self.policy.eject_for)
            self.stats.ejections += 1
            self._stale_at = 0.0
            log.warning(
                "instance_ejected",
                service=self.name,
                instance=instance.id,
                address=instance.address,
                seconds=instance.ejection.length,
            )

    def snapshot(self, now: float) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "in_flight": self.in_flight,
            **self.stats.snapshot(),
            "instances": [one.snapshot(now) for one in self.instances.values()],
        }


class Services:
    """All of them, by name and by host."""

    def __init__(self, options: ProxyOptions, random: Random) -> None:
        self._options = options
        self._random = random
        self._by_name: dict[bytes, ProxiedService] = {}
        self._hosts_of: dict[bytes, list[str]] = {}
        self.by_host: dict[bytes, bytes] = {}
        """Keys of services by the hosts that they claim, in lower case."""
        # Pools of instances that left the view, until their last request is over.
        self._removed: list[Instance] = []

    def get(self, name: bytes) -> ProxiedService | None:
        """The service of this name."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[ProxiedService]:
        return iter(self._by_name.values())

    def replace(self, services: Iterable[pb.Service], now: float) -> None:
        """The whole view: what is not in it is gone."""
        found = {one.name.encode(): one for one in services}
        self.apply(
            found.values(),
            [name.decode() for name in self._by_name if name not in found],
            now,
        )

    def apply(self, changed: Iterable[pb.Service], removed: Iterable[str], now: float) -> None:
        """Some services as they are now, and names of those that are gone."""
        for name in removed:
            key = name.encode()
            self._hosts_of.pop(key, None)
            service = self._by_name.pop(key, None)
            if service is not None:
                self._removed += service.update(pb.Service(), now)
        for message in changed:
            key = message.name.encode()
            service = self._by_name.get(key)
            if service is None:
                service = self._by_name[key] = ProxiedService(
                    message.name, self._options, self._random, now
                )
            self._removed += service.update(message, now)
            self._hosts_of[key] = list(message.spec.proxy.hosts)
        # Schedulers refuse a host that is another service's. Of claims from before they did, the
        # first by name has it, in every gateway.
        self.by_host.clear()
        for key in sorted(self._hosts_of, reverse=True):
            for host in self._hosts_of[key]:
                self.by_host[host.lower().encode()] = key

    def sweep(self, now: float) -> None:
        """Close idle connections; forget instances whose last request is over."""
        for service in self._by_name.values():
            for instance in service.instances.values():
                instance.pool.sweep(now)
        if self._removed:
            self._removed = [one for one in self._removed if one.pool.links or one.in_flight]

    async def close(self) -> None:
        """End all connections to instances."""
        instances = [one for service in self for one in service.instances.values()]
        for instance in [*instances, *self._removed]:
            await instance.pool.close()
