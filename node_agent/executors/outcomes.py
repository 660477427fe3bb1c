"""What became of an attempt: by its worker's answer, or by how its worker or program ended."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from pydantic import ByteSize

from node_agent.core.attempts import Failure, Outcome, Result
from node_agent.executors.link import Exit, SpawnerLink
from quorate.runtime.attempts.outcomes import SNOOZED, clean_snooze

_SUCCESS = Result("exit_code", 0)


def outcome_of_answer(answer: tuple[Any, ...], started: float, seconds: float) -> Outcome:
    """The outcome behind a worker's answer."""
    if answer[0] == "error":
        _, kind, message, traceback, pickled, bases = answer
        names = tuple(bases.split("\n")) if bases else ()
        failure = Failure(kind, message, traceback, 0, pickled, names)
        return Outcome(failure, started, seconds)
    if answer[0] == "snooze":
        return Outcome(_snooze(answer[1]), started, seconds)
    return Outcome(Result(answer[0], answer[1]), started, seconds)


def _snooze(text: str) -> Failure:
    """What a call that wants to run again later says; its text is user code's to forge."""
    number, _, reason = text.partition(" ")
    try:
        wanted = clean_snooze(float(number))
    except ValueError:
        wanted = 0.0
    if not wanted:
        return Failure("WORKER_CRASHED", "the worker process asked for a snooze of no length")
    return Failure(SNOOZED, reason, snooze=wanted)


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
