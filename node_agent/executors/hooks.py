"""Set-up and clean-up around an attempt: programs of their own, in the attempt's lane.

    set-up --ok--> attempt --ended, in whatever way--> clean-up --> exited
       '------- failed, or ended from outside -------------^

The attempt exits, to the agent, when its clean-up is over: until then it keeps its slot. How the
attempt itself ended is decided before that, and a clean-up changes nothing about it: what goes
wrong there is in the attempt's log. Each hook has a timeout of its own. What they print is in the
attempt's log. A clean-up runs whenever the set-up or the attempt had begun; not if the agent
itself is killed.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from node_agent.core.attempts import Attempt, Failure, Outcome
from node_agent.core.hooks import Hook, HookEnd, HookEnds
from node_agent.executors.kills import Kills
from node_agent.executors.link import Exit, SpawnerLink
from node_agent.executors.outcomes import why
from node_agent.executors.worker_program import worker_environment
from node_agent.logs.attempt_log import LogStore
from node_agent.task.secrets import SecretError, Secrets
from node_agent.task.work import Call, Command

_log = structlog.get_logger("node_agent.hooks")

SETUP_FAILED = "SETUP_FAILED"
# Seconds between SIGTERM and SIGKILL of a hook whose time is over.
GRACE_SECONDS = 5.0
# Characters of why a hook failed that are reported.
MOST_SAID = 256


@dataclass(slots=True)
class _Around:
    """An attempt with hooks."""

    attempt: Attempt
    # The directory that set-up, program and clean-up share; "" for none.
    directory: str
    env: dict[str, str]
    secrets: dict[str, str]
    # The hook that runs: its key at the spawner, and until when it may (monotonic).
    key: int = 0
    deadline: float = 0.0
    late: bool = False
    # The set-up or the attempt itself has begun.
    started: bool = False
    # How the attempt ended, once it has; and its hooks, as far as they ran.
    outcome: Outcome | None = None
    ends: HookEnds | None = None


class HookRunner:
    """All attempts of a node that have hooks.

    Args:
        scratch: where shared directories are made.
        directory: where hooks of Python functions run, and what they import from.
    """

    def __init__(
        self,
        link: SpawnerLink,
        logs: LogStore,
        node: str,
        instance: str,
        scratch: Path,
        directory: str,
        secrets: Secrets | None,
    ) -> None:
        self._link = link
        self._logs = logs
        self._node = node
        self._scratch = scratch
        self._directory = directory
        self._worker_env = worker_environment(directory, node, instance)
        self._secrets = secrets or Secrets()
        self._run: Callable[[Attempt], None] = lambda _attempt: None
        self._on_exited: Callable[[Attempt, Outcome], None] = lambda _attempt, _outcome: None
        self._kills = Kills(link, GRACE_SECONDS)
        self._around: dict[Attempt, _Around] = {}
        self._made = 0

    def serve(
        self, run: Callable[[Attempt], None], on_exited: Callable[[Attempt, Outcome], None]
    ) -> None:
        """Before anything else.

        Args:
            run: starts the attempt itself.
            on_exited: called when an attempt and its clean-up are over.
        """
        self._run, self._on_exited = run, on_exited

    def start(self, attempt: Attempt) -> None:
        """Run the set-up, then the attempt, then the clean-up; `on_exited` follows."""
        hooks = attempt.hooks
        assert hooks is not None
        try:
            around = self._prepare(attempt)
        except SecretError as failure:
            self._on_exited(attempt, Outcome(Failure(failure.type, str(failure))))
            return
        except OSError as error:
            text = f"the node could not make a directory for it: {error.strerror}"
            self._on_exited(attempt, Outcome(Failure("NOT_STARTED", text)))
            return
        self._around[attempt] = around
        if hooks.setup is None:
            self._run(attempt)
        else:
            self._start_hook(around, hooks.setup, self._on_setup)

    def ended(self, attempt: Attempt, outcome: Outcome) -> bool:
        """An attempt ended; True when its clean-up runs first, and `on_exited` follows."""
        around = self._around.get(attempt)
        if around is None or around.outcome is not None:
            return False
        around.outcome = outcome
        # From now on nothing changes how it ended.
        attempt.settled = True
        hooks = attempt.hooks
        started = around.started or outcome.start > 0.0 or attempt.running_since > 0.0
        if hooks is None or hooks.cleanup is None or not started:
            self._leave(around)
            return False
        self._start_hook(around, hooks.cleanup, self._on_cleanup)
        return True

    def kill(self, attempt: Attempt, now: float) -> bool:
        """End a set-up; True when there is one, or a clean-up, which is left to end by itself."""
        around = self._around.get(attempt)
        if around is None or not around.key:
            return False
        if around.outcome is None:
            self._kills.begin(around.key, now)
        return True

    def on_tick(self, now: float) -> None:
        """End the hooks whose time is over."""
        for around in self._around.values():
            if around.key and now >= around.deadline and not around.late:
                around.late = True
                self._kills.begin(around.key, now)
        self._kills.on_tick(now)

    # -- inside ----------------------------------------------------------------------------------

    def _prepare(self, attempt: Attempt) -> _Around:
        work = attempt.work
        assert isinstance(work, (Command, Call))
        env = {
            **work.env,
            "QUORATE_TASK_ID": attempt.task_id,
            "QUORATE_ATTEMPT": str(attempt.number),
            "QUORATE_NODE": self._node,
        }
        secrets = self._secrets.resolve(work.secrets) if work.secrets else {}
        if isinstance(work, Call):
            return _Around(attempt, "", {**self._worker_env, **env}, secrets)
        directory = ""
        if not work.cwd:
            directory = self._new_directory()
            env["QUORATE_SCRATCH"] = directory
            own = {**work.env, "QUORATE_SCRATCH": directory}
            attempt.work = replace(work, cwd=directory, env=own)
        return _Around(attempt, directory, env, secrets)

    def _new_directory(self) -> str:
        self._made += 1
        path = str(self._scratch / f"around-{self._made}")
        os.mkdir(path, 0o700)
        user = self._link.confinement.user
        if user is not None:
            os.chown(path, user.uid, user.gid)
        return path

    def _start_hook(
        self, around: _Around, hook: Hook, then: Callable[[_Around, Exit | None], None]
    ) -> None:
        attempt, work = around.attempt, around.attempt.work
        cwd = work.cwd if isinstance(work, Command) else self._directory
        output = self._logs.begin(attempt.task_id, attempt.number)
        around.deadline, around.late = time.monotonic() + hook.timeout, False
        try:
            around.key = self._link.run(
                attempt.lane,
                hook.argv,
                around.env,
                cwd,
                b"",
                output,
                "",
                partial(self._on_exit, around, then),
                secrets=around.secrets,
            )
        except OSError as error:
            self._logs.end(attempt.task_id, attempt.number)
            _log.warning("hook_not_started", task=attempt.task_id, error=str(error))
            then(around, None)

    def _on_exit(
        self, around: _Around, then: Callable[[_Around, Exit | None], None], exit_: Exit
    ) -> None:
        self._kills.forget(around.key)
        around.key = 0
        self._logs.end(around.attempt.task_id, around.attempt.number)
        then(around, exit_)

    def _on_setup(self, around: _Around, exit_: Exit | None) -> None:
        attempt = around.attempt
        around.ends = HookEnds(setup=_end_of("set-up", around, exit_))
        around.started = exit_ is not None and not exit_.failure
        if attempt.killed is not None or (exit_ is not None and exit_.lost):
            self._over(attempt, Outcome(None))
        elif exit_ is None or exit_.failure or exit_.status:
            self._over(attempt, Outcome(Failure(SETUP_FAILED, _said("set-up", around, exit_))))
        else:
            around.started = True
            self._run(attempt)

    def _over(self, attempt: Attempt, outcome: Outcome) -> None:
        """It ended before the attempt itself could begin."""
        if not self.ended(attempt, outcome):
            self._on_exited(attempt, outcome)

    def _on_cleanup(self, around: _Around, exit_: Exit | None) -> None:
        end = _end_of("clean-up", around, exit_)
        if end.error:
            _log.warning("cleanup_failed", task=around.attempt.task_id, why=end.error)
        around.ends = (around.ends or HookEnds())._replace(cleanup=end)
        outcome = around.outcome
        assert outcome is not None
        self._leave(around)
        self._on_exited(around.attempt, outcome)

    def _leave(self, around: _Around) -> None:
        del self._around[around.attempt]
        if around.outcome is not None:
            around.outcome.hooks = around.ends
        if around.directory:
            threading.Thread(
                target=shutil.rmtree,
                args=(around.directory,),
                kwargs={"ignore_errors": True},
                daemon=True,
            ).start()


def _end_of(what: str, around: _Around, exit_: Exit | None) -> HookEnd:
    if exit_ is not None and not (exit_.failure or exit_.status or exit_.lost):
        return HookEnd("", exit_.seconds)
    return HookEnd(_said(what, around, exit_)[:MOST_SAID], exit_.seconds if exit_ else 0.0)


def _said(what: str, around: _Around, exit_: Exit | None) -> str:
    if around.late:
        return f"the {what} ran longer than its timeout"
    return f"the {what} " + ("could not be started" if exit_ is None else why(exit_))
