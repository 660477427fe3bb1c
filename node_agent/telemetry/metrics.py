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
        yield gauge("quorate_agent_slots_used", "Slots that run something.", used)
        held = {
            "running": used,
            "yielded": yielded,
            "queued": queued,
            "waiting": len(machine.waiting),
            "replica": len(machine.services),
        }
        yield gauge(
            "quorate_agent_yielded_limit",
            "Tasks that may give their slots up at once while they wait for other tasks.",
            slots.most_yielded,
        )
        yield gauges("quorate_agent_attempts", "Attempts that are here.", ("state",), held)
        yield gauge(
            "quorate_agent_credit", "Attempts that this node would hold.", machine.credit(now)
        )
        yield gauge(
            "quorate_agent_outbox_reports",
            "Outcomes, and reports of chunks, that the leader has not acknowledged.",
            machine.unacknowledged,
        )
        yield gauge(
            "quorate_agent_session", "1 while the leader has a session here.", machine.connected
        )
        yield gauge("quorate_agent_draining", "1 while no new work is taken.", machine.draining)
        disk = self._driver.disk
        yield gauge(
            "quorate_agent_disk_writable", "0 while no work is taken for the disk.", not disk.error
        )
        yield counter(
            "quorate_agent_disk_write_failures", "Writes for attempts that failed.", disk.lost
        )
        yield counter(
            "quorate_agent_disk_freed_logs",
            "Attempts whose logs were deleted to free the disk.",
            disk.freed,
        )
        yield gauge("quorate_agent_epoch", "The greatest epoch seen here.", machine.epoch)

    def _collect_machine_stats(self) -> Iterator[Metric]:
        stats = self._sessions.stats
        if stats is None:
            return
        yield gauge("quorate_node_cpu_ratio", "Processors' use, 0 to 1.", stats.cpu)
        yield gauge("quorate_node_memory_used_bytes", "Memory in use.", stats.memory_used)
        yield gauge("quorate_node_memory_bytes", "Memory of the machine.", stats.memory_total)
        yield gauge(
            "quorate_node_disk_used_bytes", "Used where the agent keeps data.", stats.disk_used
        )
        yield gauge(
            "quorate_node_disk_bytes", "Size of where the agent keeps data.", stats.disk_total
        )
        yield gauge("quorate_node_load1", "Load average of one minute.", stats.load1)
