"""The lanes' workers: how they are started and ended, and how requests reach them.

What goes wrong with a worker's socket ends the worker: its user code may have shut it down, or have
sent what no correct worker sends. A worker that ends is followed by another, at once if it had ever
been ready, else after a pause that grows.
"""

from __future__ import annotations

import asyncio
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from node_agent.core.attempts import Attempt
from node_agent.executors.kills import Kills
from node_agent.executors.link import Exit, SpawnerLink
from node_agent.executors.outcomes import why
from node_agent.executors.worker_program import (
    Events,
    WorkerLimits,
    worker_command,
    worker_environment,
)
from node_agent.executors.workers.answer_polling import AnswerPolling
from node_agent.executors.workers.lanes import Lane
from node_agent.logs.attempt_log import LogStore
from node_agent.protocol.packets import read

_log = structlog.get_logger("node_agent.python")

GRACE_SECONDS = 1.0


class WorkerLanes(ABC):
    """All warm workers of a node. Made in the event loop that it lives in.

    Args:
        lanes: those that have a worker from the start; the spawner has their workers' ends.
        directory: where workers run, and import from, beside PYTHONPATH.
        after: called after each batch of answers.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        link: SpawnerLink,
        logs: LogStore,
        directory: str,
        node: str,
        instance: str,
        events: Events,
        after: Callable[[], None],
        limits: WorkerLimits | None,
        grace: float,
    ) -> None:
        self._logs = logs
        self._directory = directory
        self._node, self._instance = node, instance
        self._events = events
        self._after = after
        self._limits = limits or WorkerLimits()
        self._next_key = 0
        self._link = link
        self._kills = Kills(link, grace)
        self._loop = asyncio.get_running_loop()
        self._polling = AnswerPolling(self._receive, after)
        self._restarts: dict[int, asyncio.TimerHandle] = {}
        self._lanes = list(lanes)

    @abstractmethod
    def _receive(self, lane: Lane) -> None:
        """Take every answer that is there."""

    @abstractmethod
    def _on_exit(self, lane: Lane, exit_: Exit) -> None:
        """A worker ended; `_start_again` follows."""

    def open(self) -> None:
        """Start a worker in each lane."""
        for lane in self._lanes:
            self._polling.watch(lane)
            lane.wanted = True
            self._launch(lane)

    def staff(self, index: int) -> None:
        """Start a worker in a spare lane; `on_lane_ready` follows."""
        while len(self._lanes) <= index:
            lane = Lane(len(self._lanes))
            self._lanes.append(lane)
            self._link.give(lane.index, lane.theirs, lane.marks)
            self._polling.watch(lane)
        lane = self._lanes[index]
        lane.wanted = True
        # One that is just ending is followed by another.
        if not lane.process and index not in self._restarts:
            self._launch(lane)

    def unstaff(self, index: int) -> None:
        """End the worker of a spare lane, which is idle."""
        lane = self._lanes[index]
        lane.wanted = False
        if timer := self._restarts.pop(index, None):
            timer.cancel()
        if lane.process:
            lane.dismiss()

    def close(self) -> None:
        """Let go of the sockets: workers end by themselves."""
        self._polling.close()
        for timer in self._restarts.values():
            timer.cancel()
        for lane in self._lanes:
            self._polling.unwatch(lane)
            lane.close()

    # -- requests ------------------------------------------------------------------------------

    def next_key(self) -> int:
        """Names the next request to a worker."""
        self._next_key += 1
        return self._next_key

    def send(self, lane: Lane, packet: bytes) -> None:
        """Send a request to a worker, behind those that it has."""
        try:
            lane.send(packet)
        except BrokenPipeError as error:
            self._on_unsendable(lane, packet, error)

    def take_back(self, lane: Lane) -> list[int]:
        """Keys of the requests that a worker has not received."""
        keys = [read(packet)[0][0] for packet in lane.take_back()]
        for key in keys:
            lane.take(key)
        return keys

    def keep_outputs(self, lane: Lane, attempt: Attempt) -> None:
        """What the worker has written is the attempt's."""
        self._logs.adopt(lane.directory, attempt.task_id, attempt.number)
        lane.outputs += 1

    def end_worker(self, lane: Lane, now: float) -> None:
        """End the worker of a lane, if there is one."""
        if lane.process:
            lane.retiring = True
            self._kills.begin(lane.process, now)
            # The worker ends, also if this attempt's answer is on its way already: an attempt
            # sent now would die with it.
            self._events.on_lane_lost(lane.index)

    # -- inside ----------------------------------------------------------------------------------

    def _on_unsendable(self, lane: Lane, packet: bytes, error: Exception) -> None:
        self._on_forged(lane, error)
        # Taken back when the worker has ended.
        lane.unsent.append(packet)

    def _on_forged(self, lane: Lane, error: Exception) -> None:
        """User code meddled with the worker's socket: nothing from there can be believed."""
        if lane.forged:
            return
        _log.error("worker_reply_malformed", lane=lane.index, why=repr(error))
        lane.forged = True
        if lane.process:
            self._link.kill(lane.process, signal.SIGKILL)
            self._events.on_lane_lost(lane.index)

    def _launch(self, lane: Lane) -> None:
        self._restarts.pop(lane.index, None)
        lane.stem, lane.outputs = self._logs.worker_stem(lane.index), 1
        lane.process = self._link.work(
            lane.index,
            worker_command(lane.index, self._limits),
            worker_environment(self._directory, self._node, self._instance),
            self._directory,
            lane.stem,
            partial(self._on_exit, lane),
        )

    def _replace_socket(self, lane: Lane) -> None:
        """The next worker's socket is its own. What is left in the old one is of no use."""
        if not lane.polled:
            self._polling.unwatch(lane)
        lane.renew()
        if not lane.polled:
            self._polling.watch(lane)
        self._link.give(lane.index, lane.theirs, lane.marks)

    def _start_again(self, lane: Lane, exit_: Exit, *, was_ready: bool) -> None:
        """Follow a worker that ended with another, if one is wanted."""
        if not lane.wanted:
            return
        delay = 0.0
        if not was_ready:
            delay = lane.backoff.next()
            _log.error("worker_start_failed", why=why(exit_), retry_in=delay)
        self._restarts[lane.index] = self._loop.call_later(delay, self._launch, lane)
