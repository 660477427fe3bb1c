"""Which instances a request is given to, one after the other, and what is counted of it.

Each try beside the first is paid from the service's retry budget and goes to an instance that was
not tried yet; only after the loss of a kept-alive connection, which says nothing about the
instance, may it be the same one. Whether a request may be sent again at all is for its `Exchange`
to know.
"""

from __future__ import annotations

from typing import Final

from gateway.proxy.balancing.services import Instance, ProxiedService
from gateway.proxy.http1 import rejections as rejections
from gateway.proxy.http1.heads import RequestHead, cookie_of, header_of
from gateway.proxy.http1.problems import Rejection

# Answers that speak against the instance.
_BLAMED: Final = frozenset((502, 503, 504))


class Tries:
    """The tries of one request. Owned by its `Exchange`; what is chosen counts as in flight there
    until `leave` or `failed`."""

    __slots__ = ("_count", "_key", "_service", "_tried", "instance")

    def __init__(self, service: ProxiedService, head: RequestHead, target: bytes) -> None:
        self._service = service
        self._key = _hash_key(service, head, target)
        self._tried: list[Instance] = []
        self._count = 0
        self.instance: Instance | None = None
        """That has the request now."""

    def first(self, now: float) -> Instance | None:
        """The instance for the first try; None when there is none."""
        instance = self._service.pick(self._key, (), now)
        return None if instance is None else self._enter(instance)

    def again(self, now: float) -> Instance | None:
        """The instance for another try; None when policy or budget allow none."""
        service = self._service
        if self._count >= service.policy.retries:
            return None
        instance = service.pick(self._key, self._tried, now)
        if instance is None or not service.budget.take(now):
            return None
        self._count += 1
        service.stats.retries += 1
        return self._enter(instance)

    def _enter(self, instance: Instance) -> Instance:
        self.instance = instance
        instance.in_flight += 1
        instance.stats.requests += 1
        return instance

    def none_left(self) -> Rejection:
        """Why there was no instance for the first try."""
        service = self._service
        service.stats.no_instance += 1
        busy = bool(service.healthy)
        return (
            rejections.instances_busy(service.name)
            if busy
            else rejections.no_instance(service.name)
        )

    def answered(self, status: int, seconds: float, now: float) -> None:
        """An answer has begun, after so many seconds: what it says about the instance."""
        assert self.instance is not None
        service, instance = self._service, self.instance
        service.stats.statuses[min(5, status // 100)] += 1
        instance.stats.latencies.add(seconds)
        service.stats.latencies.add(seconds)
        if status in _BLAMED:
            service.on_failure(instance, now)
        elif instance.ejection.failures or instance.ejection.length:
            instance.ejection.succeeded(now)

    def failed(self, now: float, *, kept_alive: bool) -> None:
        """This try came to nothing before an answer.

        Args:
            kept_alive: a connection was lost that had carried requests before.
        """
        instance = self.instance
        assert instance is not None
        self.leave(now, failed=not kept_alive)
        if not kept_alive or self._others_left(instance):
            self._tried.append(instance)

    def _others_left(self, instance: Instance) -> bool:
        return any(one not in self._tried for one in self._service.healthy if one is not instance)

    def leave(self, now: float, *, failed: bool) -> None:
        """The instance does not have the request any more. Idempotent."""
        instance, self.instance = self.instance, None
        if instance is not None:
            instance.in_flight -= 1
            if failed:
                self._service.on_failure(instance, now)


def _hash_key(service: ProxiedService, head: RequestHead, target: bytes) -> bytes | None:
    policy = service.policy
    if policy.hash_header:
        return header_of(head.lines, policy.hash_header)
    if policy.hash_cookie:
        return cookie_of(head.lines, policy.hash_cookie)
    return target.partition(b"?")[0] if policy.hash_path else None
