"""Runs programs: each in a session and process group of its own, one at a time in each lane.

Standard input is the given bytes, then end of file; outputs go to the attempt's logs (`pump`).
Without a working directory the program gets a private scratch directory, removed after it. On
cancel or timeout the whole group gets SIGTERM, and SIGKILL when the grace is over; what is left of
the group when the program exits is killed too.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from secrets import token_hex

from node_agent.core.attempts import Attempt, Failure, Outcome
from node_agent.executors.chunk_events import ChunkEvents
from node_agent.executors.chunks.programs import ProgramChunks
from node_agent.executors.kills import Kills
from node_agent.executors.link import Exit, SpawnerLink
from node_agent.executors.outcomes import not_started, outcome_of_exit
from node_agent.logs.attempt_log import PASSABLE, LogStore
from node_agent.protocol.packets import remove
from node_agent.task import large_input
from node_agent.task.secrets import SecretError, Secrets
from node_agent.task.work import ArrayCommand, Command
from quorate.runtime.attempts.progress import read_line
from quorate.telemetry.tracing import TRACEPARENT

GRACE_SECONDS = 5.0

OnBegan = Callable[[Attempt, float], None]
OnProgress = Callable[[Attempt, float | None, str], None]
OnExited = Callable[[Attempt, Outcome], None]
OnRecalled = Callable[[int, Sequence[Attempt]], None]


class CommandExecutor:
    """Programs that run now, and those sent ahead to the spawner.

    Args:
        node: the node's name, which programs see as QUORATE_NODE.
        instance: this process of the agent, which programs see as QUORATE_AGENT_INSTANCE.
        scratch: directory of the private scratch directories; emptied here.
        grace: seconds between SIGTERM and SIGKILL.
        on_exited: called once for each attempt started and not recalled.
        on_began: called when a program that runs for a while really began (monotonic seconds).
        on_recalled: called with what `recall` took back, also if nothing.
        secrets: where programs' secrets are.
        blob_url: where large inputs are.
        events: whom chunks notify; None: there are none.
        on_progress: called with what a program says of its progress: fraction, if any, and text.
    """

    def __init__(
        self,
        link: SpawnerLink,
        logs: LogStore,
        node: str,
        instance: str,
        scratch: Path,
        on_exited: OnExited,
        on_recalled: OnRecalled,
        grace: float = GRACE_SECONDS,
        secrets: Secrets | None = None,
        on_began: OnBegan = lambda _attempt, _when: None,
        events: ChunkEvents | None = None,
        blob_url: str = "",
        on_progress: OnProgress = lambda _attempt, _fraction, _text: None,
    ) -> None:
        self._on_began = on_began
        self._on_progress = on_progress
        self._secrets = secrets or Secrets()
        self._link = link
        self._logs = logs
        self._node, self._instance = node, instance
        self._scratch = str(scratch)
        self._on_exited = on_exited
        self._on_recalled = on_recalled
        link.observe_programs(self._on_unqueued, self._on_key_began, self._on_line)
        self._kills = Kills(link, grace)
        self._chunks: ProgramChunks | None = None
        if events is not None:
            self._chunks = ProgramChunks(
                self, events, link, logs, self._kills, self._secrets, node, instance
            )
        # Key at the spawner and scratch directory of each; the attempt of each key.
        self._running: dict[Attempt, tuple[int, str]] = {}
        self._attempts: dict[int, Attempt] = {}
        # Of those with large input: where it is said that it cannot be read.
        self._notes: dict[Attempt, str] = {}
        self._blob_url = blob_url
        # Scratch directories that were left empty: making one anew takes as long as starting a
        # program. As many as ran at once.
        self._free: list[str] = []
        self._made = 0
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        if link.confinement.user is not None:
            scratch.chmod(PASSABLE)

    def start(self, attempt: Attempt, work: Command) -> None:
        """Run a program, once those before it in its lane have exited.

        One whose secrets are not here ends at once.
        """
        if isinstance(work, ArrayCommand):
            assert self._chunks is not None
            self._chunks.start(attempt, work)
            return
        secrets: dict[str, str] | None = None
        if work.secrets:
            try:
                secrets = self._secrets.resolve(work.secrets)
            except SecretError as failure:
                self._on_exited(attempt, Outcome(Failure(failure.type, str(failure))))
                return
        argv: Sequence[str] = work.argv
        if work.large_input:
            note = self._notes[attempt] = self._new_note()
            argv = large_input.command(note, self._blob_url, work.large_input, work.argv)
        task_id, number = attempt.task_id, attempt.number
        output = self._logs.begin(task_id, number)
        scratch = self.take_scratch(work.cwd)
        env = {
            **work.env,
            "QUORATE_TASK_ID": task_id,
            "QUORATE_ATTEMPT": str(number),
            "QUORATE_NODE": self._node,
            "QUORATE_AGENT_INSTANCE": self._instance,
        }
        if attempt.trace:
            env[TRACEPARENT] = attempt.trace
        try:
            key = self._link.run(
                attempt.lane,
                argv,
                env,
                work.cwd,
                work.stdin,
                output,
                scratch,
                partial(self._on_exit, attempt, work.memory),
                work.memory,
                work.cpu,
                secrets,
            )
        except OSError as error:
            self._logs.end(task_id, number)
            self.leave_scratch(scratch, dirty=False)
            self._drop_note(attempt)
            self._on_exited(attempt, not_started(error, self._link))
            return
        self._running[attempt] = (key, scratch)
        self._attempts[key] = attempt

    def recall(self, lane: int) -> None:
        """Take back what has not begun in a lane; `on_recalled` follows."""
        self._link.unqueue(lane)

    def recall_chunk(self, attempt: Attempt) -> None:
        """Return what has not begun of a chunk."""
        if self._chunks is not None:
            self._chunks.recall(attempt)

    def end_subtasks(self, attempt: Attempt, offsets: Sequence[int], now: float) -> None:
        """End subtasks of a chunk, or have them not begin."""
        if self._chunks is not None:
            self._chunks.end_subtasks(attempt, offsets, now)

    def signal(self, attempt: Attempt, name: str) -> None:
        """Send a signal to the process group of a program that runs."""
        running = self._running.get(attempt)
        if running is not None:
            self._link.kill(running[0], signal.Signals[f"SIG{name}"])

    def kill(self, attempt: Attempt, now: float) -> None:
        """End a program, or a chunk; `on_exited` follows."""
        if attempt.chunk is not None and self._chunks is not None:
            self._chunks.kill(attempt, now)
            return
        running = self._running.get(attempt)
        if running is not None:
            self._kills.begin(running[0], now)

    def on_tick(self, now: float) -> None:
        """Escalate kills."""
        self._kills.on_tick(now)
        if self._chunks is not None:
            self._chunks.on_tick(now)

    # -- for the chunks ------------------------------------------------------------------------

    def take_scratch(self, cwd: str) -> str:
        """A scratch directory for a program that has no working directory, else ""."""
        return "" if cwd else self._free.pop() if self._free else self._new_scratch()

    def leave_scratch(self, scratch: str, *, dirty: bool) -> None:
        """A program is over, and has left something where it is `dirty`."""
        if scratch and dirty:
            self._discard(scratch)
        elif scratch:
            self._free.append(scratch)

    def outcome_of(self, exit_: Exit, memory: int) -> Outcome:
        """What a program's end means."""
        return outcome_of_exit(exit_, memory)

    def not_started(self, error: OSError) -> Outcome:
        """What it means that there is no file to ask the spawner by."""
        return not_started(error, self._link)

    # -- what the spawner says -----------------------------------------------------------------

    def _on_exit(self, attempt: Attempt, memory: int, exit_: Exit) -> None:
        key, scratch = self._running.pop(attempt)
        del self._attempts[key]
        self._kills.forget(key)
        self._logs.end(attempt.task_id, attempt.number)
        self.leave_scratch(scratch, dirty=exit_.dirty or exit_.lost)
        outcome = outcome_of_exit(exit_, memory)
        if attempt in self._notes:
            outcome = self._with_note(attempt, outcome)
        self._on_exited(attempt, outcome)

    def _on_unqueued(self, lane: int, keys: Sequence[int]) -> None:
        if self._chunks is not None and self._chunks.runs_in(lane):
            self._chunks.on_unqueued(lane, keys)
            return
        attempts = [self._attempts.pop(key) for key in keys]
        for attempt in attempts:
            _, scratch = self._running.pop(attempt)
            self._logs.end(attempt.task_id, attempt.number)
            self.leave_scratch(scratch, dirty=False)
            self._drop_note(attempt)
        self._on_recalled(lane, attempts)

    def _on_key_began(self, key: int, when: float) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._on_began(attempt, when)
        elif self._chunks is not None:
            self._chunks.on_began(key, when)

    def _on_line(self, key: int, line: bytes) -> None:
        attempt = self._attempts.get(key)
        said = read_line(line.decode(errors="replace"))
        if attempt is not None and said is not None:
            self._on_progress(attempt, *said)

    def _new_note(self) -> str:
        """An empty file that tasks' users can write to, under a name that they cannot guess."""
        path = os.path.join(self._scratch, f"note-{token_hex(16)}")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            if self._link.confinement.user is not None:
                os.chmod(path, 0o666)
        except OSError:
            pass  # what goes wrong is then EXIT_CODE
        return path

    def _with_note(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """How it ended, when its large input could not be read."""
        failure = outcome.value
        said = None
        if type(failure) is Failure and failure.code == large_input.EXIT_CODE:
            said = large_input.failure_of(self._notes[attempt])
        if said is not None:
            outcome = Outcome(Failure(*said), outcome.start, outcome.seconds)
        self._drop_note(attempt)
        return outcome

    def _drop_note(self, attempt: Attempt) -> None:
        if self._notes and (note := self._notes.pop(attempt, "")):
            remove(note)

    def _new_scratch(self) -> str:
        """A directory that no program has had; the spawner makes it."""
        self._made += 1
        return os.path.join(self._scratch, str(self._made))

    def _discard(self, scratch: str) -> None:
        """Delete what a program left, in the background: a tree may be large.

        Nobody waits for it, and the next start of the agent clears all.
        """
        threading.Thread(
            target=shutil.rmtree, args=(scratch,), kwargs={"ignore_errors": True}, daemon=True
        ).start()
