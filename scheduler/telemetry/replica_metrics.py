"""The metrics of a scheduler as a replica, leading or standing by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import Metric

from quorate.etcd.generation import epoch_of
from quorate.etcd.lease import LeaseSession
from quorate.runtime.timing.clock import Clock
from quorate.telemetry.families import counters, gauge
from quorate.telemetry.lease import lease_metrics
from scheduler.api.forwarding.role import Roles
from scheduler.core.model.limits.quotas import NAMES
from scheduler.engine.task_metrics import TaskMetrics


class ReplicaMetrics:
    """A collector for prometheus_client.

    Args:
        roles: who leads.
        clock: of leases.
        tasks: the leader's counts.
        rows: how many tasks are in memory.
        loaded: whether this process could lead, as far as its memory goes.
        generation: of the cluster, as far as this process has followed the log.
        refused: calls refused for what their callers ask of this process, by quota.
        lease: this process's candidacy; None while it has none.
    """

    def __init__(
        self,
        roles: Roles,
        clock: Clock,
        tasks: TaskMetrics,
        *,
        rows: Callable[[], int],
        loaded: Callable[[], bool],
        generation: Callable[[], int],
        refused: Callable[[], Mapping[str, int]],
        lease: Callable[[], LeaseSession | None],
    ) -> None:
        self._roles = roles
        self._clock = clock
        self._tasks = tasks
        self._rows = rows
        self._loaded = loaded
        self._generation = generation
        self._refused = refused
        self._lease = lease

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        leader = self._roles.leader
        epoch = epoch_of(self._generation(), leader.elected) if leader is not None else 0
        yield gauge(
            "quorate_epoch", "Epoch of the leader that this scheduler knows; 0 without any.", epoch
        )
        yield gauge(
            "quorate_replica_loaded",
            "1 while this scheduler has the whole state in memory, 0 while it loads it from etcd.",
            self._loaded(),
        )
        yield gauge(
            "quorate_tasks_in_memory",
            "Tasks in the memory of this scheduler, finished ones included.",
            self._rows(),
        )
        yield from lease_metrics(self._lease(), self._clock.monotonic())
        refused = dict.fromkeys(NAMES, 0)
        for counts in (self._refused(), self._tasks.refused):
            for quota, count in counts.items():
                refused[quota] += count
        yield counters(
            "quorate_quota_refusals", "Calls refused because of a quota.", ("quota",), refused
        )
