"""The metrics of a node agent: its slots and what is in them, and what became of attempts.

Everything is read at a scrape; what became of attempts is counted by `engine.attempt_metrics`.
Nothing is labelled with a task or a queue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric

from node_agent.engine.driver import Driver
from node_agent.session.session import Sessions
from quorate.etcd.lease import LeaseSession
from quorate.runtime.timing.clock import Clock
from quorate.telemetry.families import counter, gauge, gauges
from quorate.telemetry.lease import lease_metrics


class AgentMetrics:
    """One agent's metrics; a collector for prometheus_client.

    Args:
        lease: of the node's registration; None while there is none.
    """

    def __init__(
        self,
        driver: Driver,
        sessions: Sessions,
        clock: Clock,
        lease: Callable[[], LeaseSession | None],
    ) -> None:
        self._driver = driver
        self._sessions = sessions
        self._clock = clock
        self._lease = lease

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        now = self._clock.monotonic()
        yield from self._driver.metrics.collect()
        yield from self._collect_machine(now)
        yield from self._collect_machine_stats()
        yield from lease_metrics(self._lease(), now)

    def _collect_machine(self, now: float) -> Iterator[Metric]:
        machine = self._driver.machine
        slots = machine.slots
        used, yielded = slots.busy(), slots.yielded
        queued = sum(len(lane.attempts) for lane in slots) - used - yielded
        yield gauge("quorate_agent_slots", "Attempts that may run at once.", slots.count)
        yield gauge("quorate_agent_slots_used", "Attempts that use a slot.", used)
        held = {
            "running": used,
            "yielded": yielded,
            "queued": queued,
            "waiting": len(machine.waiting),
            "replica": len(machine.services),
        }
        yield gauge(
            "quorate_agent_yielded_limit",
            "The most functions that may wait for other tasks without a slot.",
            slots.most_yielded,
        )
        yield gauges("quorate_agent_attempts", "Attempts on this node, by state.", ("state",), held)
        yield gauge(
            "quorate_agent_credit",
            "The most attempts that this node accepts at a time.",
            machine.credit(now),
        )
        yield gauge(
            "quorate_agent_outbox_reports",
            "Results, and reports about chunks, that the leader has not acknowledged.",
            machine.unacknowledged,
        )
        yield gauge(
            "quorate_agent_session",
            "1 while the leader has a session with this node, else 0.",
            machine.connected,
        )
        yield gauge(
            "quorate_agent_draining",
            "1 while this node drains and takes no new work, else 0.",
            machine.draining,
        )
        disk = self._driver.disk
        yield gauge(
            "quorate_agent_disk_writable",
            "0 while this node takes no work because it cannot write to its disk, else 1.",
            not disk.error,
        )
        yield counter("quorate_agent_disk_write_failures", "Failed writes to the disk.", disk.lost)
        yield counter(
            "quorate_agent_disk_freed_logs",
            "Attempts whose logs were deleted to free the disk.",
            disk.freed,
        )
        yield gauge(
            "quorate_agent_log_bytes",
            "Bytes on disk of the logs of attempts, looked up once a minute.",
            self._driver.logs.bytes,
        )
        yield gauge(
            "quorate_agent_epoch", "The greatest epoch that this node has seen.", machine.epoch
        )

    def _collect_machine_stats(self) -> Iterator[Metric]:
        stats = self._sessions.stats
        if stats is None:
            return
        yield gauge("quorate_node_cpu_ratio", "Use of the machine's processors, 0 to 1.", stats.cpu)
        yield gauge(
            "quorate_node_memory_used_bytes",
            "Memory of the machine that is in use.",
            stats.memory_used,
        )
        yield gauge("quorate_node_memory_bytes", "Memory of the machine.", stats.memory_total)
        yield gauge(
            "quorate_node_disk_used_bytes",
            "Bytes in use on the disk where the agent stores its data.",
            stats.disk_used,
        )
        yield gauge(
            "quorate_node_disk_bytes",
            "Size of the disk where the agent stores its data.",
            stats.disk_total,
        )
        yield gauge("quorate_node_load1", "Load average of one minute.", stats.load1)
