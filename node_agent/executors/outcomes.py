"""What became of an attempt: by its worker's answer, or by how its worker ended."""

from __future__ import annotations

import os
import time
from typing import Any

from node_agent.core.attempts import Failure, Outcome, Result
from node_agent.executors.command import out_of_memory, signal_name
from node_agent.executors.link import Exit


def outcome_of_answer(answer: tuple[Any, ...], started: float, seconds: float) -> Outcome:
    """The outcome behind a worker's answer."""
    if answer[0] == "error":
        _, kind, message, traceback, pickled, bases = answer
        names = tuple(bases.split("\n")) if bases else ()
        failure = Failure(kind, message, traceback, 0, pickled, names)
        return Outcome(failure, started, seconds)
    return Outcome(Result(answer[0], answer[1]), started, seconds)


def outcome_of_crash(exit_: Exit, since: float, memory: int = 0) -> Outcome:
    """The outcome of an attempt whose worker died under it; it ran from `since` (wall time).

    `memory`: what it was held to (bytes; 0 for nothing).
    """
    if exit_.lost:
        # The spawner died, which is not the attempt's fault.
        return Outcome(None, since)
    if exit_.starved:
        failure = out_of_memory(memory)
    else:
        failure = Failure("WORKER_CRASHED", f"the worker process {why(exit_)}")
    return Outcome(failure, since, max(0.0, time.time() - since))


def why(exit_: Exit) -> str:
    """How a process ended, in words."""
    if exit_.failure:
        return f"did not start: {exit_.failure}"
    if exit_.lost:
        return "was lost with its spawner"
    code = os.waitstatus_to_exitcode(exit_.status)
    return f"was ended by {signal_name(-code)}" if code < 0 else f"exited with code {code}"
