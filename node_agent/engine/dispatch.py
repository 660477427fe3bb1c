"""Passes what the machine asks for to the executor that runs the attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node_agent.core.attempts import Attempt, Failure, Outcome
from node_agent.core.effects import Effects
from node_agent.core.machine import Machine
from node_agent.executors.command import CommandExecutor
from node_agent.executors.hooks import HookRunner
from node_agent.executors.python import PythonExecutor
from node_agent.services.replicas import Replicas
from node_agent.task.work import ArrayCall, ArrayCommand, Call, Command, Replica, Unreadable
from quorate.runtime.timing.clock import Clock


class Dispatch:
    """The executors of a node.

    Args:
        on_exited: called with an attempt that nobody can run.
    """

    def __init__(
        self,
        machine: Machine,
        python: PythonExecutor,
        commands: CommandExecutor,
        replicas: Replicas,
        clock: Clock,
        on_exited: Callable[[Attempt, Outcome], None],
        hooks: HookRunner,
    ) -> None:
        self._machine = machine
        self._python = python
        self._commands = commands
        self._replicas = replicas
        self._clock = clock
        self._on_exited = on_exited
        self._hooks = hooks
        hooks.serve(self._run, on_exited)

    def start(self, attempt: Attempt) -> None:
        """Run an attempt, and what is to be run around it; its end follows."""
        if attempt.hooks is not None:
            self._hooks.start(attempt)
        else:
            self._run(attempt)

    def cleans_up(self, attempt: Attempt, outcome: Outcome) -> bool:
        """An attempt ended; True when its clean-up is run first, and its end follows again."""
        return attempt.hooks is not None and self._hooks.ended(attempt, outcome)

    def on_tick(self, now: float) -> None:
        """Escalate kills, look at times."""
        self._commands.on_tick(now)
        self._python.on_tick(now)
        self._hooks.on_tick(now)

    def _run(self, attempt: Attempt) -> None:
        work = attempt.work
        kind = type(work)
        if kind is Call or kind is ArrayCall:
            self._python.start(attempt)
        elif kind is Command or kind is ArrayCommand:
            assert isinstance(work, Command)
            self._commands.start(attempt, work)
        elif type(work) is Replica:
            self._replicas.start(attempt)
        else:
            assert isinstance(work, Unreadable)
            failure = Failure("NOT_STARTED", work.why)
            if attempt.chunk is not None:
                attempt.chunk.fail_rest(failure, self._clock.wall())
            self._on_exited(attempt, Outcome(failure))

    def recall(self, lane: int, now: float) -> None:
        """Take back what has not begun in a lane."""
        attempts = self._machine.slots.lanes[lane].attempts
        if attempts and not attempts[0].warm:
            self._commands.recall(lane)  # answers later
        else:
            self._machine.on_recalled(lane, self._python.recall(lane), now)

    def change_chunks(self, effects: Effects, now: float) -> None:
        """Return what has not begun of chunks, and end subtasks of others."""
        for attempt in effects.recall_chunks:
            self._recall_chunk(attempt)
        for attempt, offsets in effects.end_subtasks:
            self._end_subtasks(attempt, offsets, now)

    def _recall_chunk(self, attempt: Attempt) -> None:
        if attempt.over:
            return
        if isinstance(attempt.work, Call):
            self._python.recall_chunk(attempt)
        else:
            self._commands.recall_chunk(attempt)

    def _end_subtasks(self, attempt: Attempt, offsets: Sequence[int], now: float) -> None:
        if attempt.over:
            return
        if isinstance(attempt.work, Call):
            self._python.end_subtasks(attempt, offsets, now)
        else:
            self._commands.end_subtasks(attempt, offsets, now)

    def signal(self, attempt: Attempt, name: str) -> None:
        """Send a signal to a program."""
        if not attempt.over:
            self._commands.signal(attempt, name)

    def kill(self, attempt: Attempt, now: float) -> None:
        """End an attempt; its end follows."""
        if attempt.over or (attempt.hooks is not None and self._hooks.kill(attempt, now)):
            return
        if isinstance(attempt.work, Call):
            self._python.kill(attempt, now)
            return
        if attempt.replica:
            self._replicas.retire(attempt)
        self._commands.kill(attempt, now)
