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

from pydantic import ByteSize

from node_agent.core.attempts import Attempt, Failure, Outcome, Result
from node_agent.executors.kills import Kills
from node_agent.executors.link import Exit, SpawnerLink
from node_agent.logs.attempt_log import PASSABLE, LogStore
from node_agent.task.secrets import SecretError, Secrets
from node_agent.task.work import Command
from quorate.telemetry.tracing import TRACEPARENT

GRACE_SECONDS = 5.0

OnBegan = Callable[[Attempt, float], None]
OnExited = Callable[[Attempt, Outcome], None]
OnRecalled = Callable[[int, Sequence[Attempt]], None]

_SUCCESS = Result("exit_code", 0)


class CommandExecutor:
    """Programs that run now, and those sent ahead to the spawner.

    Args:
        node: the node's name, which programs see as QUORATE_NODE.
        scratch: directory of the private scratch directories; emptied here.
        grace: seconds between SIGTERM and SIGKILL.
        on_exited: called once for each attempt started and not recalled.
        on_began: called when a program that runs for a while really began (monotonic seconds).
        on_recalled: called with what `recall` took back, also if nothing.
        secrets: where programs' secrets are.
    """

    def __init__(
        self,
        link: SpawnerLink,
        logs: LogStore,
        node: str,
        scratch: Path,
        on_exited: OnExited,
        on_recalled: OnRecalled,
        grace: float = GRACE_SECONDS,
        secrets: Secrets | None = None,
        on_began: OnBegan = lambda _attempt, _when: None,
    ) -> None:
        self._on_began = on_began
        self._secrets = secrets or Secrets()
        self._link = link
        self._logs = logs
        self._node = node
        self._scratch = str(scratch)
        self._on_exited = on_exited
        self._on_recalled = on_recalled
        link.observe_programs(self._on_unqueued, self._on_key_began)
        self._kills = Kills(link, grace)
        # Key at the spawner and scratch directory of each; the attempt of each key.
        self._running: dict[Attempt, tuple[int, str]] = {}
        self._attempts: dict[int, Attempt] = {}
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
        secrets: dict[str, str] | None = None
        if work.secrets:
            try:
                secrets = self._secrets.resolve(work.secrets)
            except SecretError as failure:
                self._on_exited(attempt, Outcome(Failure(failure.type, str(failure))))
                return
        task_id, number = attempt.task_id, attempt.number
        output = self._logs.begin(task_id, number)
        scratch = "" if work.cwd else self._free.pop() if self._free else self._new_scratch()
        env = {
            **work.env,
            "QUORATE_TASK_ID": task_id,
            "QUORATE_ATTEMPT": str(number),
            "QUORATE_NODE": self._node,
        }
        if attempt.trace:
            env[TRACEPARENT] = attempt.trace
        try:
            key = self._link.run(
                attempt.lane,
                work.argv,
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
            if scratch:
                self._free.append(scratch)
            self._on_exited(attempt, not_started(error, self._link))
            return
        self._running[attempt] = (key, scratch)
        self._attempts[key] = attempt

    def recall(self, lane: int) -> None:
        """Take back what has not begun in a lane; `on_recalled` follows."""
        self._link.unqueue(lane)

    def kill(self, attempt: Attempt, now: float) -> None:
        """End a program; `on_exited` follows."""
        running = self._running.get(attempt)
        if running is not None:
            self._kills.begin(running[0], now)

    def on_tick(self, now: float) -> None:
        """Escalate kills."""
        self._kills.on_tick(now)

    def _on_exit(self, attempt: Attempt, memory: int, exit_: Exit) -> None:
        key, scratch = self._running.pop(attempt)
        del self._attempts[key]
        self._kills.forget(key)
        self._logs.end(attempt.task_id, attempt.number)
        if scratch and (exit_.dirty or exit_.lost):
            self._discard(scratch)
        elif scratch:
            self._free.append(scratch)
        self._on_exited(attempt, outcome_of_exit(exit_, memory))

    def _on_unqueued(self, lane: int, keys: Sequence[int]) -> None:
        attempts = [self._attempts.pop(key) for key in keys]
        for attempt in attempts:
            _, scratch = self._running.pop(attempt)
            self._logs.end(attempt.task_id, attempt.number)
            if scratch:
                self._free.append(scratch)
        self._on_recalled(lane, attempts)

    def _on_key_began(self, key: int, when: float) -> None:
        attempt = self._attempts.get(key)
        if attempt is not None:
            self._on_began(attempt, when)

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


def outcome_of_exit(exit_: Exit, memory: int = 0) -> Outcome:
    """What a program's end means; `memory` is what it had asked for (bytes, 0 for nothing)."""
    if exit_.unwritable:
        return Outcome(None)
    if exit_.failure:
        return Outcome(Failure("NOT_STARTED", exit_.failure))
    if exit_.lost:
        # Not the attempt's fault: run it elsewhere.
        return Outcome(None)
    if exit_.status == 0:
        return Outcome(_SUCCESS, exit_.started, exit_.seconds)
    code = os.waitstatus_to_exitcode(exit_.status)
    if exit_.starved:
        failure = out_of_memory(memory)
    elif code > 0:
        failure = Failure("EXIT_CODE", f"exited with code {code}", code=code)
    else:
        failure = Failure("SIGNAL", f"ended by {signal_name(-code)}", code=-code)
    return Outcome(failure, exit_.started, exit_.seconds)


def not_started(error: OSError, link: SpawnerLink) -> Outcome:
    """The outcome of an attempt for which there can be no file here.

    It is returned when the node's disk cannot be written: other nodes can run it.
    """
    if link.write_failed(error.errno):
        return Outcome(None)
    why = error.strerror or str(error)
    return Outcome(Failure("NOT_STARTED", f"the node could not start it: {why}"))


def out_of_memory(memory: int) -> Failure:
    """The failure of an attempt that the kernel killed for want of memory."""
    if memory:
        what = f"it used more than the {ByteSize(memory).human_readable()} ({memory} bytes) that "
        return Failure("OUT_OF_MEMORY", f"killed by the kernel: {what}it asked for")
    return Failure("OUT_OF_MEMORY", "killed by the kernel: the node's memory ran out")


def signal_name(number: int) -> str:
    """SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
