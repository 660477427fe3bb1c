"""Runs Python calls in warm workers, one worker to a lane.

Each worker has one end of a socket pair, which ends with it. Attempts are sent ahead one packet
each, and a worker receives one at a time: what it has not received is still in the kernel's queue,
from where `recall` takes it back exactly. Worker and user code are one process, so nothing that
comes back is trusted (see `replies`), and neither is the socket: user code may have shut it down,
or have left a copy of it with a process that outlives the worker.

What a worker writes is in a directory of the lane (see `outputs`) until an answer says that its
attempt used it: then the directory becomes that attempt's.

When a worker ends, whatever it answered is read first; what it never received is taken back; the
one attempt in between, if any, died with it: WORKER_CRASHED.

A worker whose code waits for another task says so, and learns whether it may: by then nothing is
ahead of it in its socket, as what was is taken back first. Another lane runs what it waits for.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from node_agent.core.attempts import Attempt, Failure, Outcome
from node_agent.core.slots import MOST_YIELDED
from node_agent.executors.answer_polling import AnswerPolling
from node_agent.executors.command import not_started
from node_agent.executors.confinement import Confinement
from node_agent.executors.kills import Kills
from node_agent.executors.lane_memory import limit_memory
from node_agent.executors.lanes import MOST_PACKETS, Lane
from node_agent.executors.link import Exit, SpawnerLink
from node_agent.executors.outcomes import outcome_of_answer, outcome_of_crash, why
from node_agent.executors.worker_program import (
    Events,
    WorkerLimits,
    worker_command,
    worker_environment,
)
from node_agent.logs.attempt_log import LogStore
from node_agent.protocol.packets import MAX_PACKET, Spill, read, spilled
from node_agent.protocol.replies import LAST, USED, Malformed
from node_agent.task.secrets import SecretError, Secrets
from node_agent.task.work import Call

_log = structlog.get_logger("node_agent.python")

GRACE_SECONDS = 1.0


class PythonExecutor:
    """All warm workers of a node. Made in the event loop that it lives in.

    Args:
        lanes: those that have a worker from the start; the spawner has their workers' ends.
        max_yielded: how many may have one beside them, and attempts that wait for other tasks.
        directory: where workers run, and import from, beside PYTHONPATH.
        after: called after each batch of answers.
        confinement: as the spawner's.
        secrets: where calls' secrets are.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        link: SpawnerLink,
        logs: LogStore,
        spill_directory: Path,
        directory: str,
        node: str,
        events: Events,
        after: Callable[[], None],
        limits: WorkerLimits | None = None,
        grace: float = GRACE_SECONDS,
        confinement: Confinement | None = None,
        secrets: Secrets | None = None,
        max_yielded: int = MOST_YIELDED,
    ) -> None:
        self._max_yielded = max_yielded
        self._logs = logs
        user = confinement.user if confinement is not None else None
        self._groups = confinement.groups if confinement is not None else None
        self._secrets = secrets or Secrets()
        self._spill = Spill(str(spill_directory), "call", user.gid if user is not None else -1)
        self._directory = directory
        self._node = node
        self._events = events
        self._after = after
        self._limits = limits or WorkerLimits()
        self._next_key = 1
        self._link = link
        self._kills = Kills(link, grace)
        self._loop = asyncio.get_running_loop()
        self._polling = AnswerPolling(self._receive, after)
        self._restarts: dict[int, asyncio.TimerHandle] = {}
        self._lanes = list(lanes)
        logs.follow_workers(self._called)

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
            self._link.give(lane.index, lane.theirs)
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

    # -- attempts ------------------------------------------------------------------------------

    def start(self, attempt: Attempt) -> None:
        """Send an attempt to its lane's worker, behind what the worker already has."""
        lane = self._lanes[attempt.lane]
        work = attempt.work
        assert isinstance(work, Call)
        secrets = None
        if work.secrets:
            try:
                secrets = self._secrets.resolve(work.secrets)
            except SecretError as failure:
                self._events.on_exited(attempt, Outcome(Failure(failure.type, str(failure))))
                return
        if work.env:
            secrets = {**(secrets or {}), **work.env}
        key = self._next_key
        self._next_key = key + 1
        message = (
            key,
            attempt.task_id,
            attempt.number,
            attempt.trace,
            attempt.timeout > 0 or not attempt.brief,
            work.entrypoint,
            work.kind,
            work.arguments,
        )
        try:
            packet = self._spill.pack(message, secrets)
        except OSError as error:
            self._events.on_exited(attempt, not_started(error, self._link))
            return
        if path := spilled(packet):
            lane.spilled[key] = path
        if not lane.pending:
            lane.since = time.time()
        lane.pending[key] = attempt
        if self._groups is not None and (work.memory or lane.memory):
            limit_memory(self._groups, lane)
        if not lane.unsent:
            try:
                lane.ours.send(packet)
            except BlockingIOError:
                pass
            except BrokenPipeError as error:
                self._on_forged(lane, error)
            else:
                return
        lane.unsent.append(packet)

    def recall(self, lane_index: int) -> list[Attempt]:
        """Take back what the worker has not received, in order."""
        lane = self._lanes[lane_index]
        # What we wrote ourselves: workers can send to our end only.
        return [lane.take(read(packet)[0][0]) for packet in lane.take_back()]

    def kill(self, attempt: Attempt, now: float) -> None:
        """End the worker that runs an attempt; `on_exited` follows."""
        lane = self._lanes[attempt.lane]
        if lane.process:
            self._kills.begin(lane.process, now)
            # The worker ends, also if this attempt's answer is on its way already: an attempt
            # sent now would die with it.
            self._events.on_lane_lost(lane.index)

    def on_tick(self, now: float) -> None:
        """Escalate kills."""
        self._kills.on_tick(now)

    # -- answers -------------------------------------------------------------------------------

    def _receive(self, lane: Lane) -> None:
        """Take every answer that is there. At most a lane's depth of them can be."""
        receive, pending, replies = lane.ours.recv, lane.pending, lane.replies
        if lane.forged:
            lane.discard()
            return
        on_exited = self._events.on_exited
        before = len(pending)
        try:
            # More than the socket can hold: user code that floods it is interrupted.
            for _ in range(MOST_PACKETS):
                reply = replies.read(receive(MAX_PACKET))
                if reply is None:
                    continue
                key, started, seconds, answer, flags = reply
                if flags or len(answer) == 1:
                    self._on_more(lane, key, started, answer, flags)
                    if len(answer) == 1:
                        continue
                attempt = lane.take(key) if lane.spilled else pending.pop(key)
                on_exited(attempt, outcome_of_answer(answer, started, seconds))
        except BlockingIOError:
            pass
        except (Malformed, KeyError) as error:
            self._on_forged(lane, error)
        if len(pending) != before:
            lane.since = time.time()
        if lane.ending:
            self._on_ending(lane)
        elif lane.unsent:
            try:
                lane.send_unsent()
            except BrokenPipeError as error:
                self._on_forged(lane, error)

    def _on_more(
        self, lane: Lane, key: int, started: float, answer: tuple[Any, ...], flags: int
    ) -> None:
        """A reply that is not just an answer. Raises Malformed or KeyError."""
        if key == 0:
            if lane.ready:
                raise Malformed("ready for a second time")
            if not lane.dismissed:
                self._on_ready(lane)
            return
        attempt = lane.pending[key]
        if len(answer) == 1:
            self._on_sign(lane, attempt, answer[0], started)
            return
        if flags & USED:
            self._logs.adopt(lane.directory, attempt.task_id, attempt.number)
            lane.outputs += 1
        if flags & LAST:
            lane.ending = True

    def _on_sign(self, lane: Lane, attempt: Attempt, sign: str, started: float) -> None:
        """What the worker says about the attempt that it runs. Raises Malformed."""
        if attempt is not next(iter(lane.pending.values())):
            raise Malformed(f"{sign!r} of an attempt that does not run")
        if sign == "began":
            lane.since = time.time()
            # A worker that lies has no more time for it than others: from now, at the latest.
            self._events.on_began(attempt, min(started, time.monotonic()))
        elif sign == "resumed":
            self._events.on_resumed(attempt)
        else:
            # First: what is ahead of the verdict would never be received.
            if unstarted := self.recall(lane.index):
                self._events.on_recalled(lane.index, unstarted)
            may = self._events.on_yielded(attempt)
            try:
                lane.answer_wait(int(started), 0 if may else self._max_yielded)
            except OSError as error:
                raise Malformed("it does not read what it asks for") from error

    def _on_ending(self, lane: Lane) -> None:
        """The worker takes nothing more: what it was sent ahead need not wait for its end."""
        lane.ending = False
        self._events.on_lane_lost(lane.index)
        if unstarted := self.recall(lane.index):
            self._events.on_recalled(lane.index, unstarted)

    def _called(self, task_id: str, number: int) -> str | None:
        """See `LogStore.follow_workers`: what a worker has answered is read first."""
        for lane in self._lanes:
            attempt = next(iter(lane.pending.values()), None)
            if attempt is not None and attempt.task_id == task_id and attempt.number == number:
                self._receive(lane)
                self._after()
                attempt = next(iter(lane.pending.values()), None)
                if attempt is None or (attempt.task_id, attempt.number) != (task_id, number):
                    return None
                return lane.directory
        return None

    def _on_forged(self, lane: Lane, error: Exception) -> None:
        """User code meddled with the worker's socket: nothing from there can be believed."""
        if lane.forged:
            return
        _log.error("worker_reply_malformed", lane=lane.index, why=repr(error))
        lane.forged = True
        if lane.process:
            self._link.kill(lane.process, signal.SIGKILL)
            self._events.on_lane_lost(lane.index)

    # -- workers -------------------------------------------------------------------------------

    def _launch(self, lane: Lane) -> None:
        self._restarts.pop(lane.index, None)
        lane.stem, lane.outputs = self._logs.worker_stem(lane.index), 1
        lane.process = self._link.work(
            lane.index,
            worker_command(lane.index, self._limits),
            worker_environment(self._directory, self._node),
            self._directory,
            lane.stem,
            partial(self._on_exit, lane),
        )

    def _on_ready(self, lane: Lane) -> None:
        lane.ready = True
        lane.backoff.reset()
        self._events.on_lane_ready(lane.index)

    def _on_exit(self, lane: Lane, exit_: Exit) -> None:
        """A worker ended. The order matters: answers, then what it never saw, then the rest."""
        self._kills.forget(lane.process)
        lane.process = 0
        since, answered = lane.since, len(lane.pending)
        self._receive(lane)
        if len(lane.pending) < answered:
            since = lane.since  # the one that crashed began only now
        unstarted = self.recall(lane.index)
        crashed = [lane.take(key) for key in tuple(lane.pending)]
        self._replace_socket(lane)
        lane.replies.forget()
        lane.forged = False
        memory, lane.memory = lane.memory, 0
        if crashed:
            self._logs.adopt(lane.directory, crashed[0].task_id, crashed[0].number)
        else:
            # What it said on its own account: why it did not start, say.
            self._logs.adopt(lane.directory, "worker", lane.index)
        was_ready, lane.ready = lane.ready or lane.dismissed, False
        lane.dismissed = False
        self._events.on_lane_lost(lane.index)
        if unstarted:
            self._events.on_recalled(lane.index, unstarted)
        for attempt in crashed:
            self._events.on_exited(attempt, outcome_of_crash(exit_, since, memory))
        if not lane.wanted:
            return
        delay = 0.0
        if not was_ready:
            delay = lane.backoff.next()
            _log.error("worker_start_failed", why=why(exit_), retry_in=delay)
        self._restarts[lane.index] = self._loop.call_later(delay, self._launch, lane)

    def _replace_socket(self, lane: Lane) -> None:
        """The next worker's socket is its own. What is left in the old one is of no use."""
        if not lane.polled:
            self._polling.unwatch(lane)
        lane.renew()
        if not lane.polled:
            self._polling.watch(lane)
        self._link.give(lane.index, lane.theirs)
