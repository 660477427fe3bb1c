"""Runs replicas of services: a port and a program for each, its health, its record.

```
 start -> STARTING -> HEALTHY -----------+-> drain -> DRAINING -> exited
               |          |              |
               +----------+--> UNHEALTHY (reported to the machine, which ends it) -> exited
```

Owned by the driver; the machine decides when a replica is ended, this module carries it out. Each
replica has one task, which checks its health until the replica drains or ends; it is awaited by
`close`. Nothing here waits for etcd (see `instance_records`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import structlog
from google.protobuf.timestamp_pb2 import Timestamp

from node_agent.core.attempts import BEGIN_SECONDS, Attempt, Failure, Outcome
from node_agent.core.services.health import Health, HealthState
from node_agent.services.checks import Checker, checker_for
from node_agent.services.instance_records import InstanceRecords
from node_agent.services.ports import NoPort, Ports
from node_agent.task.work import Command, Replica
from quorate.runtime.timing.clock import Clock
from quorate.runtime.timing.lateness import own_delay
from quorate.v1 import service_pb2

_log = structlog.get_logger("node_agent.services")

_STATES = {
    HealthState.STARTING: service_pb2.INSTANCE_STATE_STARTING,
    HealthState.HEALTHY: service_pb2.INSTANCE_STATE_HEALTHY,
    HealthState.UNHEALTHY: service_pb2.INSTANCE_STATE_UNHEALTHY,
}


@dataclass(slots=True, eq=False)
class _Running:
    """One replica whose program has not exited."""

    attempt: Attempt
    work: Replica
    port: int
    started: Timestamp
    checking: asyncio.Task[None] | None = None
    # Gets no new request any more.
    retired: bool = False


class Replicas:
    """All replicas of the node.

    Args:
        node: the node's name.
        host: where others reach this node's programs.
        labels: the node's labels; an instance has them beside those of its service.
        run: starts a program for an attempt.
        on_exited: called with a replica that could not be started.
        on_unhealthy: called with a replica that has to be ended, and why.
    """

    def __init__(
        self,
        *,
        node: str,
        host: str,
        labels: Mapping[str, str],
        clock: Clock,
        records: InstanceRecords,
        run: Callable[[Attempt, Command], None],
        on_exited: Callable[[Attempt, Outcome], None],
        on_unhealthy: Callable[[Attempt, str], None],
    ) -> None:
        self._node = node
        self._host = host
        self._labels = labels
        self._clock = clock
        self._records = records
        self._run = run
        self._on_exited = on_exited
        self._on_unhealthy = on_unhealthy
        self._ports = Ports()
        self._running: dict[Attempt, _Running] = {}
        # Checks that were cancelled and may not have ended yet.
        self._stopping: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop all checks; the programs are ended by the spawner."""
        for running in self._running.values():
            self._stop_checks(running)
        await asyncio.gather(*self._stopping, return_exceptions=True)

    def start(self, attempt: Attempt) -> None:
        """Start a replica's program; `exited` follows, or `on_exited` at once."""
        work = attempt.work
        assert isinstance(work, Replica)
        try:
            port = self._ports.take()
        except NoPort as error:
            self._on_exited(attempt, Outcome(Failure("NOT_STARTED", str(error))))
            return
        started = Timestamp()
        started.FromNanoseconds(int(self._clock.wall() * 1e9))
        running = _Running(attempt, work, port, started)
        self._running[attempt] = running
        env = {
            **work.command.env,
            "PORT": str(port),
            "QUORATE_INSTANCE": attempt.task_id,
            "QUORATE_SERVICE": work.service,
        }
        self._run(attempt, replace(work.command, env=env))
        if attempt not in self._running:
            return  # it could not be started; `exited` was called
        self._report(running, service_pb2.INSTANCE_STATE_STARTING)
        checker = checker_for(work.check, self._host, port)
        running.checking = asyncio.create_task(
            self._check(running, checker), name=f"health-{attempt.task_id}"
        )

    def retire(self, attempt: Attempt) -> None:
        """The replica is being ended: it is to get no new request."""
        running = self._running.get(attempt)
        if running is None or running.retired:
            return
        running.retired = True
        self._stop_checks(running)
        self._report(running, service_pb2.INSTANCE_STATE_DRAINING)

    def exited(self, attempt: Attempt) -> None:
        """The program is gone."""
        running = self._running.pop(attempt, None)
        if running is None:
            return
        self._stop_checks(running)
        self._ports.release(running.port)
        self._records.remove(running.work.service, attempt.task_id, attempt.number)

    # -- inside --------------------------------------------------------------------------------

    def _report(self, running: _Running, state: service_pb2.InstanceState) -> None:
        work, attempt = running.work, running.attempt
        instance = service_pb2.ServiceInstance(
            service=work.service,
            id=attempt.task_id,
            address=f"{self._host}:{running.port}",
            state=state,
            node=self._node,
            weight=1,
            labels={**self._labels, **work.labels},
            generation=work.generation,
            start_time=running.started,
        )
        self._records.put(instance, attempt.number)

    async def _check(self, running: _Running, checker: Checker) -> None:
        """Check one replica until it is unhealthy, or this is cancelled."""
        attempt, terms = running.attempt, running.work.terms
        handed_over = self._clock.monotonic()
        health = Health(terms, handed_over, f"{attempt.task_id}.{attempt.number}")
        try:
            while health.state is not HealthState.UNHEALTHY:
                await asyncio.sleep(health.pause())
                asked = self._clock.monotonic()
                try:
                    why = await checker.run(terms.timeout)
                except Exception as error:  # noqa: BLE001 - see below
                    # A check that breaks is a failed check, whatever broke it: without checks the
                    # replica would stay as it is for ever, and nobody would know.
                    _log.error("health_check_failed", task=attempt.task_id, exc_info=error)
                    why = f"the check broke: {error!r}"
                now = self._clock.monotonic()
                if why and own_delay(asked, now, terms.timeout):
                    # This agent had no time to listen: that says nothing of the replica.
                    continue
                if attempt.running_since:
                    health.began(attempt.running_since)
                elif why and now - handed_over < BEGIN_SECONDS:
                    # Many start at once: there is no program yet that could be unhealthy.
                    continue
                if health.on_checked(not why, now):
                    self._on_health(running, health.state, why)
        finally:
            await checker.close()

    def _on_health(self, running: _Running, state: HealthState, why: str) -> None:
        attempt = running.attempt
        _log.info(
            "replica",
            service=running.work.service,
            task=attempt.task_id,
            state=state.value,
            why=why,
        )
        self._report(running, _STATES[state])
        if state is HealthState.UNHEALTHY:
            running.retired = True
            self._on_unhealthy(attempt, why)

    def _stop_checks(self, running: _Running) -> None:
        task, running.checking = running.checking, None
        if task is None or task.done():
            return
        task.cancel()
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
