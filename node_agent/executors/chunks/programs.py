"""Runs chunks of commands: one program for each subtask, one after the other in their lane.

Several programs are sent ahead to the spawner, which begins the next one without a word from here.
Those that wait there are taken back when the chunk is recalled or ended. They end in order, but
what could not be started may be reported before the end of those ahead of it.
"""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from node_agent.core.attempts import Attempt, Failure, Outcome, Reason, Result
from node_agent.core.chunks.chunk import Chunk, Piece
from node_agent.core.held.chunks import cancelled, failure_of_kill
from node_agent.executors.chunk_events import ChunkEvents
from node_agent.executors.kills import Kills
from node_agent.executors.link import Exit, SpawnerLink
from node_agent.logs.attempt_log import LogStore
from node_agent.task.secrets import SecretError, Secrets
from node_agent.task.work import ArrayCommand
from quorate.runtime.subtask_frames import frame
from quorate.telemetry.tracing import TRACEPARENT

# Expected work (seconds) and programs in a lane.
AHEAD_SECONDS = 0.020
LEAST_AHEAD, MOST_AHEAD = 2, 64
_SUCCESS = Result("exit_code", 0)
_PLACES = re.compile(r"\{\{|\}\}|\{\}|\{index\}")
_BRACES = {"{{": "{", "}}": "}"}


class Owner(Protocol):
    """The executor of single programs."""

    def take_scratch(self, cwd: str) -> str: ...

    def leave_scratch(self, scratch: str, *, dirty: bool) -> None: ...

    def outcome_of(self, exit_: Exit, memory: int) -> Outcome: ...

    def not_started(self, error: OSError) -> Outcome: ...


@dataclass(slots=True, eq=False)
class Program:
    """A subtask's program, which runs or waits at the spawner."""

    piece: Piece
    scratch: str
    key: int = 0
    # When it began (monotonic), as far as anybody said; 0: not yet.
    began: float = 0.0
    late: bool = False
    outcome: Outcome | None = None


@dataclass(slots=True, eq=False)
class RunningPrograms:
    """A chunk in a lane."""

    attempt: Attempt
    work: ArrayCommand
    chunk: Chunk
    output: str
    environment: dict[str, str]
    secrets: dict[str, str] | None
    arguments: Sequence[Callable[[str, str], str]]
    since: float
    # In order, as the chunk's pieces.
    programs: deque[Program] = field(default_factory=deque)
    # What waits at the spawner is being taken back; nothing more is fed.
    recalled: bool = False
    # What waits at the spawner is being taken back, and fed again but for the `unwanted` offsets,
    # which are to be ended or not to begin.
    sorting: bool = False
    unwanted: dict[int, None] = field(default_factory=dict)


class ProgramChunks:
    """The chunks of commands in all lanes of a node. Used by the executor of commands.

    Args:
        node: the node's name.
        kills: the owner's.
    """

    def __init__(
        self,
        owner: Owner,
        events: ChunkEvents,
        link: SpawnerLink,
        logs: LogStore,
        kills: Kills,
        secrets: Secrets,
        node: str,
        instance: str,
    ) -> None:
        self._owner = owner
        self._events = events
        self._link = link
        self._logs = logs
        self._kills = kills
        self._secrets = secrets
        self._names = {"QUORATE_NODE": node, "QUORATE_AGENT_INSTANCE": instance}
        self._lanes: dict[int, RunningPrograms] = {}
        self._programs: dict[int, Program] = {}

    # -- orders --------------------------------------------------------------------------------

    def start(self, attempt: Attempt, work: ArrayCommand) -> None:
        """Begin a chunk in an empty lane."""
        chunk = attempt.chunk
        assert chunk is not None
        assert attempt.lane not in self._lanes, "a lane runs one chunk"
        now = time.time()
        secrets = None
        if work.secrets:
            try:
                secrets = self._secrets.resolve(work.secrets)
            except SecretError as failure:
                chunk.fail_rest(Failure(failure.type, str(failure)), now)
                self._events.on_exited(attempt, Outcome(_SUCCESS, now))
                return
        environment = {**work.env, "QUORATE_JOB_ID": chunk.job_id, **self._names}
        environment["QUORATE_CHUNK"] = attempt.task_id
        if chunk.count:
            environment["QUORATE_COUNT"] = str(chunk.count)
        if attempt.trace:
            environment[TRACEPARENT] = attempt.trace
        output = self._logs.begin(attempt.task_id, attempt.number)
        arguments = [argument_of(text) for text in work.argv]
        running = RunningPrograms(
            attempt, work, chunk, output, environment, secrets, arguments, now
        )
        self._lanes[attempt.lane] = running
        self._events.on_began(attempt, time.monotonic())
        self._feed(attempt.lane, running)

    def runs_in(self, lane: int) -> bool:
        """Whether a chunk runs in a lane."""
        return lane in self._lanes

    def recall(self, attempt: Attempt) -> None:
        """Return what has not begun."""
        running = self._lanes.get(attempt.lane)
        if running is not None and not running.recalled:
            running.recalled = True
            self._link.unqueue(attempt.lane)  # answers later

    def kill(self, attempt: Attempt, now: float) -> None:
        """End a chunk; its end follows."""
        running = self._lanes.get(attempt.lane)
        if running is None:
            return
        running.recalled = True
        # First: else the spawner may begin the next program when the one that runs has ended.
        self._link.unqueue(attempt.lane)
        if running.programs:
            self._kills.begin(running.programs[0].key, now)

    def end_subtasks(self, attempt: Attempt, offsets: Sequence[int], now: float) -> None:
        """End subtasks: what has not begun is returned, the one that runs is ended; all others go
        on."""
        running = self._lanes.get(attempt.lane)
        if running is None:
            return
        running.unwanted.update(dict.fromkeys(offsets))
        self._withdraw(running)
        if running.unwanted and not running.recalled and not running.sorting:
            # What is left of them is ended when the answer says what has begun.
            running.sorting = True
            self._link.unqueue(attempt.lane)
        self._events.on_chunk_progress(attempt, 0, 0)
        self._settle(attempt.lane, running)

    def _withdraw(self, running: RunningPrograms) -> None:
        """Return what is to be ended and was not fed."""
        for offset in list(running.unwanted):
            if not running.chunk.is_fed(offset):
                running.chunk.withdraw(offset)
                del running.unwanted[offset]

    def on_unqueued(self, lane: int, keys: Sequence[int]) -> None:
        """The spawner gave back what had not begun."""
        running = self._lanes.get(lane)
        if running is None:
            return
        for key in reversed(keys):
            if not running.programs or running.programs[-1].key != key:
                continue  # it was dropped before
            program = running.programs.pop()
            running.chunk.take_back()
            self._forget(program)
            self._owner.leave_scratch(program.scratch, dirty=False)
        attempt = running.attempt
        if attempt.killed is not None:
            # The one that was first may have ended meanwhile.
            if running.programs:
                self._kills.begin(running.programs[-1].key, time.monotonic())
            if failure_of_kill(attempt) is not None:
                running.chunk.drop_rest()
        self._withdraw(running)
        self._end_unwanted(running)
        if running.sorting and not running.recalled:
            running.sorting = False
            self._events.on_chunk_progress(attempt, 0, 0)
            self._feed(lane, running)
            return
        running.chunk.give_up()
        self._events.on_chunk_progress(attempt, 0, 0)
        self._settle(lane, running)

    def on_began(self, key: int, when: float) -> None:
        """A program has run for a while already, since then."""
        program = self._programs.get(key)
        if program is not None:
            program.began = when

    def on_tick(self, now: float) -> None:
        """Look for programs whose time is over, and go on where the leader kept us waiting."""
        for lane, running in tuple(self._lanes.items()):
            if not running.programs:
                self._feed(lane, running)
                continue
            timeout = running.chunk.timeout
            first = running.programs[0]
            if timeout and first.began and now - first.began > timeout and not first.late:
                first.late = True
                self._kills.begin(first.key, now)

    # -- inside --------------------------------------------------------------------------------

    def _feed(self, lane: int, running: RunningPrograms) -> None:
        chunk, programs = running.chunk, running.programs
        average = chunk.average
        wanted = LEAST_AHEAD
        if average > 0:
            wanted = min(MOST_AHEAD, max(LEAST_AHEAD, int(AHEAD_SECONDS / average)))
        while (
            len(programs) < wanted
            and not running.recalled
            and not running.sorting
            and self._events.may_feed(running.attempt)
            and (piece := chunk.feed(1)) is not None
        ):
            self._start(lane, running, piece)
        self._settle(lane, running)

    def _start(self, lane: int, running: RunningPrograms, piece: Piece) -> None:
        chunk, work = running.chunk, running.work
        offset = piece.begin
        index = chunk.index(offset)
        text = str(index)
        item = os.fsdecode(chunk.items[offset]) if chunk.items else ""
        environment = running.environment.copy()
        environment["QUORATE_INDEX"] = text
        environment["QUORATE_TASK_ID"] = f"{chunk.job_id}.{text}"
        if chunk.items:
            environment["QUORATE_ITEM"] = item
        else:
            item = text
        program = Program(piece, self._owner.take_scratch(work.cwd))
        running.programs.append(program)
        try:
            program.key = self._link.run(
                lane,
                [make(item, text) for make in running.arguments],
                environment,
                work.cwd,
                work.stdin,
                running.output,
                program.scratch,
                partial(self._on_exit, lane, running, program),
                work.memory,
                work.cpu,
                running.secrets,
                frame(index),
            )
        except OSError as error:
            self._owner.leave_scratch(program.scratch, dirty=False)
            program.outcome = self._owner.not_started(error)
            return
        self._programs[program.key] = program

    def _on_exit(self, lane: int, running: RunningPrograms, program: Program, exit_: Exit) -> None:
        self._forget(program)
        self._kills.forget(program.key)
        self._owner.leave_scratch(program.scratch, dirty=exit_.dirty or exit_.lost)
        program.outcome = self._owner.outcome_of(exit_, running.work.memory)
        self._take_outcomes(running)
        self._feed(lane, running)

    def _take_outcomes(self, running: RunningPrograms) -> None:
        """Count those ends that are next in order."""
        attempt, chunk, programs = running.attempt, running.chunk, running.programs
        while programs and (outcome := programs[0].outcome) is not None:
            program = programs.popleft()
            failure = outcome.value if isinstance(outcome.value, Failure) else None
            returned = outcome.value is None
            if attempt.killed is not None and not isinstance(outcome.value, Result):
                failure = failure_of_kill(attempt)
                returned = failure is None
            elif program.piece.begin in running.unwanted and failure is not None:
                failure = cancelled()
            elif program.late and outcome.seconds >= chunk.timeout:
                message = f"{Reason.TIMEOUT.value} of {chunk.timeout:g} s"
                failure = Failure(Reason.TIMEOUT.name, message)
            if returned:
                # Not its own fault, and this node can not run it: what is left is for others.
                running.recalled = True
                chunk.give_up()
                chunk.end_piece()
                self._drop(running)
                self._link.unqueue(attempt.lane)
                return
            at = time.time()
            failed = [(program.piece.begin, failure, at)] if failure is not None else []
            running.unwanted.pop(program.piece.begin, None)
            chunk.advance(1, outcome.seconds, (), failed)
            chunk.end_piece()
            self._events.on_chunk_progress(attempt, 1, len(failed))

    def _end_unwanted(self, running: RunningPrograms) -> None:
        """End the program that runs where it is to be ended: all others were taken back."""
        if running.unwanted and running.programs:
            last = running.programs[-1]
            if last.piece.begin in running.unwanted and last.outcome is None:
                self._kills.begin(last.key, time.monotonic())

    def _drop(self, running: RunningPrograms) -> None:
        """None of what is behind counts any more."""
        for program in running.programs:
            self._forget(program)
        running.programs.clear()

    def _settle(self, lane: int, running: RunningPrograms) -> None:
        """End a chunk that has nothing left to do."""
        if self._lanes.get(lane) is not running:
            return
        self._take_outcomes(running)
        chunk, attempt = running.chunk, running.attempt
        if running.programs or not chunk.over:
            return
        del self._lanes[lane]
        self._logs.end(attempt.task_id, attempt.number)
        seconds = max(0.0, time.time() - running.since)
        self._events.on_exited(attempt, Outcome(_SUCCESS, running.since, seconds))

    def _forget(self, program: Program) -> None:
        self._programs.pop(program.key, None)


def argument_of(text: str) -> Callable[[str, str], str]:
    """What makes an argument of a template's, of a subtask's item and index."""
    places = _PLACES.findall(text)
    if not places:
        return lambda _item, _index: text
    parts = _PLACES.split(text)

    def make(item: str, index: str) -> str:
        values = {"{}": item, "{index}": index, **_BRACES}
        filled = [values[place] for place in places]
        return parts[0] + "".join(a + b for a, b in zip(filled, parts[1:], strict=True))

    return make
