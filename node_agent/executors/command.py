"""Runs programs: each in a session and process group of its own.

Standard input is the given bytes, then end of file; outputs go to the attempt's log files. Without
a working directory the program gets a private scratch directory, removed after it. On cancel or
timeout the whole group gets SIGTERM, and SIGKILL when the grace is over; what is left of the group
when the program exits is killed too.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from node_agent.core.attempts import Attempt, Failure, Outcome, Result
from node_agent.executors.kills import Kills
from node_agent.executors.link import Exit, SpawnerLink
from node_agent.logs import LogStore
from node_agent.work import Command

GRACE_SECONDS = 5.0

OnExited = Callable[[Attempt, Outcome], None]

_SUCCESS = Result("exit_code", 0)


class CommandExecutor:
    """Programs that run now, one to a lane.

    Args:
        node: the node's name, told to programs as QUORATE_NODE.
        scratch: directory of the private scratch directories; emptied here.
        grace: seconds between SIGTERM and SIGKILL.
        on_exited: called once for each attempt started.
    """

    def __init__(
        self,
        link: SpawnerLink,
        logs: LogStore,
        node: str,
        scratch: Path,
        on_exited: OnExited,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._link = link
        self._logs = logs
        self._node = node
        self._scratch = str(scratch)
        self._on_exited = on_exited
        self._kills = Kills(link, grace)
        self._keys: dict[Attempt, int] = {}
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)

    def start(self, attempt: Attempt) -> None:
        """Run a program."""
        work = attempt.work
        assert isinstance(work, Command)
        task_id, number = attempt.task_id, attempt.number
        spool = self._logs.open_spool(task_id, number)
        scratch = "" if work.cwd else os.path.join(self._scratch, f"{task_id}.{number}")
        env = {
            **work.env,
            "QUORATE_TASK_ID": task_id,
            "QUORATE_ATTEMPT": str(number),
            "QUORATE_NODE": self._node,
        }
        self._keys[attempt] = self._link.run(
            work.argv,
            env,
            work.cwd,
            work.stdin,
            spool.out,
            spool.err,
            scratch,
            partial(self._on_exit, attempt),
        )

    def kill(self, attempt: Attempt, now: float) -> None:
        """End a program; `on_exited` follows."""
        key = self._keys.get(attempt)
        if key is not None:
            self._kills.begin(key, now)

    def on_tick(self, now: float) -> None:
        """Escalate kills."""
        self._kills.on_tick(now)

    def _on_exit(self, attempt: Attempt, exit_: Exit) -> None:
        self._kills.forget(self._keys.pop(attempt))
        self._logs.close_spool(attempt.task_id, attempt.number)
        if exit_.dirty or exit_.lost:
            path = os.path.join(self._scratch, f"{attempt.task_id}.{attempt.number}")
            # Deleting a tree may take long; nobody waits for it, and the next start clears all.
            threading.Thread(
                target=shutil.rmtree, args=(path,), kwargs={"ignore_errors": True}, daemon=True
            ).start()
        self._on_exited(attempt, outcome_of_exit(exit_))


def outcome_of_exit(exit_: Exit) -> Outcome:
    """What a program's end means."""
    if exit_.failure:
        return Outcome(Failure("NOT_STARTED", exit_.failure))
    if exit_.lost:
        # Not the attempt's fault: run it elsewhere.
        return Outcome(None)
    if exit_.status == 0:
        return Outcome(_SUCCESS, exit_.started, exit_.seconds)
    code = os.waitstatus_to_exitcode(exit_.status)
    if code > 0:
        failure = Failure("EXIT_CODE", f"exited with code {code}", code=code)
    else:
        failure = Failure("SIGNAL", f"ended by {signal_name(-code)}", code=-code)
    return Outcome(failure, exit_.started, exit_.seconds)


def signal_name(number: int) -> str:
    """SIGSEGV for 11."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
