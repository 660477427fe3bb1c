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

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from node_agent.core.attempts import Attempt, Failure, Outcome
from node_agent.core.chunks.inputs import ResultsPage, Wanted
from node_agent.core.slots import MOST_YIELDED
from node_agent.executors.chunks.calls import CallChunks
from node_agent.executors.confinement import Confinement
from node_agent.executors.link import Exit, SpawnerLink
from node_agent.executors.outcomes import not_started, outcome_of_answer, outcome_of_crash
from node_agent.executors.worker_program import Events, WorkerLimits
from node_agent.executors.workers.lane_memory import limit_memory
from node_agent.executors.workers.lanes import MOST_PACKETS, Lane
from node_agent.executors.workers.lifecycle import GRACE_SECONDS, WorkerLanes
from node_agent.logs.attempt_log import LogStore
from node_agent.protocol.packets import MAX_PACKET, Spill, read, spilled
from node_agent.protocol.replies import LAST, USED, Malformed
from node_agent.task.secrets import SecretError, Secrets
from node_agent.task.work import Call
from quorate.runtime.attempts.progress import EVERY_SECONDS


class PythonExecutor(WorkerLanes):
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
        instance: str,
        events: Events,
        after: Callable[[], None],
        limits: WorkerLimits | None = None,
        grace: float = GRACE_SECONDS,
        confinement: Confinement | None = None,
        secrets: Secrets | None = None,
        max_yielded: int = MOST_YIELDED,
    ) -> None:
        super().__init__(lanes, link, logs, directory, node, instance, events, after, limits, grace)
        self._max_yielded = max_yielded
        # When the calls' progress is read next (monotonic seconds).
        self._look_at = 0.0
        user = confinement.user if confinement is not None else None
        self._groups = confinement.groups if confinement is not None else None
        self._secrets = secrets or Secrets()
        self._spill = Spill(str(spill_directory), "call", user.gid if user is not None else -1)
        self.chunks = CallChunks(
            self, events, self._spill, self._secrets, lambda error: link.write_failed(error.errno)
        )
        logs.follow_workers(self._called)

    # -- attempts ------------------------------------------------------------------------------

    def start(self, attempt: Attempt) -> None:
        """Send an attempt to its lane's worker, behind what the worker already has."""
        lane = self._lanes[attempt.lane]
        work = attempt.work
        assert isinstance(work, Call)
        if attempt.chunk is not None:
            if self._groups is not None and (work.memory or lane.memory):
                limit_memory(self._groups, lane, work.memory)
            self.chunks.start(lane, attempt)
            return
        secrets = None
        if work.secrets:
            try:
                secrets = self._secrets.resolve(work.secrets)
            except SecretError as failure:
                self._events.on_exited(attempt, Outcome(Failure(failure.type, str(failure))))
                return
        if work.env:
            secrets = {**(secrets or {}), **work.env}
        key = self._next_key = self._next_key + 1
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
        try:
            lane.send(packet)
        except BrokenPipeError as error:
            self._on_unsendable(lane, packet, error)

    def recall(self, lane_index: int) -> list[Attempt]:
        """Take back what the worker has not received, in order; pieces of a chunk are its own."""
        lane = self._lanes[lane_index]
        if lane.chunk is not None:
            self.chunks.take_back(lane)
            return []
        # What we wrote ourselves: workers can send to our end only.
        return [lane.take(read(packet)[0][0]) for packet in lane.take_back()]

    def recall_chunk(self, attempt: Attempt) -> None:
        """Return what has not begun of a chunk."""
        self.chunks.recall(self._lanes[attempt.lane])

    def end_subtasks(self, attempt: Attempt, offsets: Sequence[int], now: float) -> None:
        """End subtasks of a chunk, or have them not begin."""
        self.chunks.end_subtasks(self._lanes[attempt.lane], offsets, now)

    def give_results(self, attempt: Attempt, page: ResultsPage) -> None:
        """Pass on results that a reduce waits for."""
        self.chunks.give_results(self._lanes[attempt.lane], attempt, page)

    def kill(self, attempt: Attempt, now: float) -> None:
        """End the worker that runs an attempt; `on_exited` follows."""
        lane = self._lanes[attempt.lane]
        if attempt.chunk is not None:
            self.chunks.kill(lane, now)
        else:
            self.end_worker(lane, now)

    def on_tick(self, now: float) -> None:
        """Escalate kills; look for progress."""
        self._kills.on_tick(now)
        look = now >= self._look_at
        if look:
            self._look_at = now + EVERY_SECONDS
        for lane in self._lanes:
            if lane.chunk is not None:
                self.chunks.on_tick(lane, now)
            elif look and lane.pending and (found := lane.progress()):
                self._events.on_progress(*found)

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
                    self._on_more(lane, key, started, seconds, answer, flags)
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
        self,
        lane: Lane,
        key: int,
        started: float,
        seconds: float,
        answer: tuple[Any, ...],
        flags: int,
    ) -> None:
        """A reply that is not just an answer. Raises Malformed or KeyError."""
        if key == 0:
            if lane.ready:
                raise Malformed("ready for a second time")
            if not lane.dismissed:
                self._on_ready(lane)
            return
        attempt = lane.pending[key]
        if flags & LAST:
            lane.ending = lane.retiring = True
        if isinstance(answer[0], bytes):
            self.chunks.on_reply(lane, key, answer[0], seconds, flags)
        elif len(answer) == 1:
            self._on_sign(lane, attempt, answer[0], started, seconds)
        elif flags & USED:
            self.keep_outputs(lane, attempt)

    def _on_sign(
        self, lane: Lane, attempt: Attempt, sign: str, started: float, seconds: float
    ) -> None:
        """What the worker says about the attempt that it runs. Raises Malformed."""
        if attempt is not next(iter(lane.pending.values())):
            raise Malformed(f"{sign!r} of an attempt that does not run")
        if sign == "began":
            lane.since = time.time()
            # A worker that lies has no more time for it than others: from now, at the latest.
            self._events.on_began(attempt, min(started, time.monotonic()))
        elif sign == "resumed":
            self._events.on_resumed(attempt)
        elif sign == "wanted":
            self.chunks.on_wanted(lane, Wanted(int(started), int(seconds)))
        else:
            # First: what is ahead of the verdict would never be received.
            if unstarted := self.recall(lane.index):
                self._events.on_recalled(lane.index, unstarted)
            self.chunks.on_wait(lane)
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

    # -- workers -------------------------------------------------------------------------------

    def _on_ready(self, lane: Lane) -> None:
        lane.ready = True
        lane.backoff.reset()
        self._events.on_lane_ready(lane.index)
        self.chunks.feed(lane)

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
        was_ready, lane.ready = lane.ready or lane.dismissed, False
        memory, lane.memory = lane.memory, 0
        if lane.chunk is not None:
            crashed.clear()
            attempt = lane.chunk.attempt
            self._logs.adopt(lane.directory, attempt.task_id, attempt.number)
            # It reads the marks, which go with the socket.
            self.chunks.on_worker_lost(lane, exit_, since, memory, was_ready=was_ready)
        elif crashed:
            self._logs.adopt(lane.directory, crashed[0].task_id, crashed[0].number)
        else:
            # What it said on its own account: why it did not start, say.
            self._logs.adopt(lane.directory, "worker", lane.index)
        self._replace_socket(lane)
        lane.replies.forget()
        lane.forged = lane.dismissed = lane.retiring = False
        self._events.on_lane_lost(lane.index)
        if unstarted:
            self._events.on_recalled(lane.index, unstarted)
        for attempt in crashed:
            self._events.on_exited(attempt, outcome_of_crash(exit_, since, memory))
        self._start_again(lane, exit_, was_ready=was_ready)
