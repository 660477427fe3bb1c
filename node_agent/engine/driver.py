"""Carries out what the core decides: between the machine, the executors and the session.

```
session --on_...--> machine --effects--> executors
   ^                   ^  |                  |
   +---- Outgoing -----+  +<---- on_exited --+
```

Everything runs on one event loop, in plain calls: there is no task and no timer per attempt. Each
batch of events (one message of the leader, the answers fetched from the workers, one tick) ends
in `pump`, which settles the machine and carries out all effects at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from node_agent.core.attempts import Attempt, Outcome, Ref
from node_agent.core.chunks.inputs import ResultsPage, Wanted
from node_agent.core.effects import Effects, Inventory
from node_agent.core.machine import TICK_SECONDS, Machine
from node_agent.core.slots import MOST_YIELDED
from node_agent.engine.attempt_metrics import AttemptMetrics
from node_agent.engine.disk import DEFAULT_RESERVE, DiskWatch
from node_agent.engine.dispatch import Dispatch
from node_agent.engine.spans import AttemptSpans
from node_agent.executors.command import GRACE_SECONDS, CommandExecutor
from node_agent.executors.confinement import Confinement
from node_agent.executors.hooks import HookRunner
from node_agent.executors.link import SpawnerLink
from node_agent.executors.python import PythonExecutor
from node_agent.executors.worker_program import WorkerLimits
from node_agent.executors.workers.lanes import Lane
from node_agent.logs.attempt_log import LogStore
from node_agent.protocol.packets import Spill
from node_agent.services.instance_records import InstanceRecords
from node_agent.services.replicas import Replicas
from node_agent.task.secrets import Secrets
from node_agent.task.work import Call
from quorate.runtime.ids import Epoch
from quorate.runtime.timing.clock import Clock
from quorate.v1 import node_pb2

# Running attempts' logs are held to their cap every so many ticks.
_TRIM_TICKS = 25
# Reports that wait for each other are sent every so many.
_FLUSH_TICKS = 2


class Downstream(Protocol):
    """What goes to the leader of the session: `node_agent.session.outgoing.Outgoing`."""

    def add(self, effects: Effects, wall: float, now: float, *, hold: bool) -> None:
        """Take over what is meant for the leader. Times: wall and monotonic.

        Args:
            hold: nothing is in a hurry, and waits for more or for `flush`.
        """

    def flush(self) -> None:
        """Send what has gathered."""

    def add_stats(self, stats: node_pb2.NodeStats) -> None:
        """The newest measurements replace older ones."""


class Driver:
    """One node's attempts, running.

    Args:
        slots: attempts at once.
        max_yielded: attempts beside them that wait for other tasks.
        data: the agent's data directory (locked by the caller).
        mark: names this agent's processes on the machine.
        directory: where Python workers run and import from.
        kill_grace: seconds between SIGTERM and SIGKILL of a program.
        host: where others reach the replicas of services.
        labels: the node's.
        records: notified of the replicas; the caller writes them.
        confinement: what holds for every process; `logs` has to be of the same user.
        secrets: what tasks may ask for.
        disk_reserve: bytes of the data directory's disk that stay free while work is taken.
        spans: traces of attempts; None: not wanted.

    Attributes:
        disk: whether the data directory can be written; the caller runs it.
    """

    def __init__(
        self,
        *,
        slots: int,
        node: str,
        instance: str,
        data: Path,
        mark: str,
        clock: Clock,
        logs: LogStore,
        directory: str,
        kill_grace: float = GRACE_SECONDS,
        limits: WorkerLimits | None = None,
        host: str = "127.0.0.1",
        labels: Mapping[str, str] | None = None,
        records: InstanceRecords | None = None,
        confinement: Confinement | None = None,
        secrets: Secrets | None = None,
        disk_reserve: int = DEFAULT_RESERVE,
        max_yielded: int = MOST_YIELDED,
        spans: AttemptSpans | None = None,
    ) -> None:
        self.machine = Machine(slots, most_yielded=max_yielded)
        self.metrics = AttemptMetrics()
        self.spans = spans
        self.logs = logs
        self._clock = clock
        self._outgoing: Downstream | None = None
        self._ticking: asyncio.TimerHandle | None = None
        self._ticks = 0
        self._pumping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.disk = DiskWatch(
            data, logs.root, clock, disk_reserve, lambda: logs.running, self._on_disk_changed
        )
        logs.follow_disk(self.disk.failed)
        spill = data / "spool"
        lanes = [Lane(index) for index in range(slots)]
        self._link = SpawnerLink(
            mark,
            Spill(str(spill), "spawn"),
            [(lane.theirs, lane.marks) for lane in lanes],
            self.pump,
            confinement,
            logs.adopt_late,
            self.disk.failed,
        )
        self._python = PythonExecutor(
            lanes,
            self._link,
            logs,
            spill,
            directory,
            node,
            instance,
            self,
            self.pump,
            limits,
            confinement=confinement,
            secrets=secrets,
            max_yielded=max_yielded,
        )
        self._commands = CommandExecutor(
            self._link,
            logs,
            node,
            instance,
            data / "scratch",
            self.on_exited,
            self.on_recalled,
            kill_grace,
            secrets,
            self.on_began,
            self,
            limits.blob_url if limits is not None else "",
            self.on_progress,
        )
        self._replicas = Replicas(
            node=node,
            host=host,
            labels=labels or {},
            clock=clock,
            records=records or InstanceRecords(b""),
            run=self._commands.start,
            on_exited=self.on_exited,
            on_unhealthy=self._on_unhealthy,
        )
        hooks = HookRunner(self._link, logs, node, instance, data / "scratch", directory, secrets)
        executors = self.machine, self._python, self._commands, self._replicas
        self._dispatch = Dispatch(*executors, clock, self.on_exited, hooks)

    async def __aenter__(self) -> Driver:
        self._link.open()
        self._python.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        self._python.close()
        await self._replicas.close()
        await self._link.close()

    # -- the session ---------------------------------------------------------------------------

    def open_session(self, epoch: Epoch, outgoing: Downstream) -> Inventory:
        """Send to `outgoing` from now on. Raises StaleEpoch."""
        inventory = self.machine.on_session_opened(epoch)
        self._outgoing = outgoing
        return inventory

    def close_session(self, outgoing: Downstream) -> None:
        """Stop sending there, unless a newer session took its place already."""
        if self._outgoing is outgoing:
            self._outgoing = None
            self.machine.on_session_closed()

    def assign(self, attempts: Sequence[Attempt]) -> None:
        """Accept attempts; `pump` follows."""
        for attempt in attempts:
            self.logs.remember(attempt.task_id, attempt.number)
        self.machine.on_assigned(attempts, self._clock.monotonic())

    def cancel(self, refs: Iterable[Ref]) -> None:
        """End attempts; `pump` follows."""
        self.machine.on_cancelled(refs)

    def signal(self, orders: Iterable[tuple[Ref, str]]) -> None:
        """Send signals to programs; `pump` follows."""
        self.machine.on_signalled(orders)

    def suspend(self, orders: Iterable[tuple[Ref, bool]]) -> None:
        """Stop programs, or let them go on; `pump` follows."""
        self.machine.on_suspended(orders, self._clock.monotonic())

    def acknowledge(self, refs: Iterable[tuple[str, int]]) -> None:
        """Forget reports; `pump` follows."""
        self.machine.on_acknowledged(refs)

    def recall(self, refs: Iterable[Ref]) -> None:
        """Return what has not begun of chunks; `pump` follows."""
        self.machine.on_chunks_recalled(refs)

    def acknowledge_reports(self, refs: Iterable[tuple[str, int, int]]) -> None:
        """Forget reports of chunks; `pump` follows."""
        self.machine.on_reports_acknowledged(refs)

    def give_results(self, ref: Ref, number: int, page: ResultsPage) -> None:
        """Results that a reduce waits for; `pump` follows."""
        attempt = self.machine.on_results(ref, number)
        if attempt is not None:
            self._python.give_results(attempt, page)

    def drain(self, draining: bool, grace: float, *, shutting_down: bool = False) -> None:
        """Empty the node, or end that."""
        self.machine.on_drain_ordered(
            draining, grace, self._clock.monotonic(), shutting_down=shutting_down
        )
        self.pump()

    def send_stats(self, stats: node_pb2.NodeStats) -> None:
        """Tell the leader how the machine does."""
        if self._outgoing is not None:
            self._outgoing.add_stats(stats)

    def lease_confirmed(self, until: float) -> None:
        """The lease is surely alive until then (monotonic)."""
        self.machine.on_lease_confirmed(until)

    async def until_idle(self) -> None:
        """Until nothing waits or runs here."""
        await self._idle.wait()

    def runs(self, task_id: str, number: int) -> bool:
        """Whether this attempt waits or runs here (so that its logs may grow)."""
        attempt = self.machine.live(task_id)
        return attempt is not None and attempt.number == number

    # -- the executors -------------------------------------------------------------------------

    def on_exited(self, attempt: Attempt, outcome: Outcome) -> None:
        """An attempt ended; `pump` follows."""
        if self._dispatch.cleans_up(attempt, outcome):
            return
        if attempt.replica:
            self._replicas.exited(attempt)
        self.metrics.exited(outcome)
        if self.spans is not None:
            self.spans.exited(attempt, outcome)
        self.machine.on_exited(attempt, outcome, self._clock.monotonic())

    def on_began(self, attempt: Attempt, when: float) -> None:
        """An attempt really began at `when` (monotonic); `pump` follows."""
        self.machine.on_began(attempt, when)

    def on_yielded(self, attempt: Attempt) -> bool:
        """An attempt waits for another task, if it may; `pump` follows."""
        may = self.machine.on_yielded(attempt)
        self.metrics.wait_refused += not may
        return may

    def on_resumed(self, attempt: Attempt) -> None:
        """It goes on; `pump` follows."""
        self.machine.on_resumed(attempt)

    def on_progress(self, attempt: Attempt, fraction: float | None, text: str) -> None:
        """An attempt says how far it is; a tick reports it."""
        self.machine.on_progress(attempt, fraction, text, self._clock.monotonic())

    def on_recalled(self, lane: int, unstarted: Sequence[Attempt]) -> None:
        """These have not begun and will not; `pump` follows."""
        self.machine.on_recalled(lane, unstarted, self._clock.monotonic())

    def on_chunk_progress(self, attempt: Attempt, ended: int, failed: int) -> None:
        """So many subtasks of a chunk ended, or some were returned; `pump` follows."""
        self.metrics.subtasks += ended
        self.metrics.subtasks_failed += failed
        self.machine.on_chunk_progress(attempt)

    def on_results_wanted(self, attempt: Attempt, wanted: Wanted) -> None:
        """A reduce waits for results; `pump` follows."""
        self.machine.on_results_wanted(attempt, wanted)

    def may_feed(self, attempt: Attempt) -> bool:
        """Whether the leader keeps up with what a chunk tells."""
        return self.machine.may_feed(attempt)

    def on_lane_ready(self, lane: int) -> None:
        """A worker is ready; `pump` follows."""
        self.machine.on_lane_ready(lane)

    def on_lane_lost(self, lane: int) -> None:
        """A worker ended; `pump` follows."""
        self.machine.on_lane_lost(lane)

    def _on_unhealthy(self, attempt: Attempt, why: str) -> None:
        self.machine.on_unhealthy(attempt, why)
        self.pump()

    def _on_disk_changed(self) -> None:
        self.machine.on_disk_changed(writable=not self.disk.error)
        self.pump()

    # -- effects -------------------------------------------------------------------------------

    def pump(self) -> None:
        """Settle the machine and carry out everything it asks for."""
        if self._pumping:
            return  # an executor answered on the spot: the loop below goes on
        self._pumping = True
        try:
            self._carry_out()
        finally:
            self._pumping = False
        slots = self.machine.slots
        if self._ticking is None and (self.machine.held or len(slots.lanes) > slots.count):
            # Also to close spare lanes, when their time has come.
            loop = asyncio.get_running_loop()
            self._ticking = loop.call_later(TICK_SECONDS, self._tick)
        if self.machine.held:
            self._idle.clear()
        else:
            self._idle.set()
            if self._outgoing is not None:
                # No tick will come: what was held goes now, however the last attempt went.
                self._outgoing.flush()

    def _carry_out(self) -> None:
        machine, dispatch = self.machine, self._dispatch
        now = self._clock.monotonic()
        machine.settle(now)
        while effects := machine.take():
            for lane in effects.recall:
                dispatch.recall(lane, now)
            dispatch.change_chunks(effects, now)
            for attempt in effects.drain:
                self._replicas.retire(attempt)
            for attempt, name in effects.signal:
                dispatch.signal(attempt, name)
            for attempt in effects.kill:
                dispatch.kill(attempt, now)
            for lane in effects.unstaff:
                self._python.unstaff(lane)
            for lane in effects.staff:
                self._python.staff(lane)
            for attempt in effects.start:
                if self.spans is not None:
                    self.spans.started(attempt)
                dispatch.start(attempt)
            if self._outgoing is not None:
                self._outgoing.add(effects, self._clock.wall(), now, hold=machine.ample)
            machine.settle(now)

    def _tick(self) -> None:
        self._ticking = None
        now = self._clock.monotonic()
        self.machine.on_tick(now)
        self._dispatch.on_tick(now)
        self._ticks += 1
        if self._outgoing is not None and self._ticks % _FLUSH_TICKS == 0:
            self._outgoing.flush()
        if self._ticks % _TRIM_TICKS == 0:
            heads = (lane.attempts[0] for lane in self.machine.slots if lane.attempts)
            self.logs.trim_running(
                (head.task_id, head.number) for head in heads if isinstance(head.work, Call)
            )
        self.pump()
