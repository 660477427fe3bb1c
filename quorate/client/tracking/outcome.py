"""From a finished task to a value or an exception."""

from __future__ import annotations

import json
import linecache
import pickle
import re
import sys
from collections.abc import Callable
from typing import IO, Any, cast

from google.protobuf.descriptor import EnumDescriptor

from quorate.client.errors import TaskCancelled, TaskFailed
from quorate.runtime.attempts.outcomes import SNOOZED
from quorate.runtime.errors import invalid
from quorate.v1 import task_pb2

# A frame, as the traceback module writes it.
_PLACE = re.compile(r'  File "(.+)", line (\d{1,9}), in .*')

TERMINAL = frozenset(
    {
        task_pb2.TASK_STATE_SUCCEEDED,
        task_pb2.TASK_STATE_FAILED,
        task_pb2.TASK_STATE_CANCELLED,
        task_pb2.TASK_STATE_EXPIRED,
    }
)


# Of tasks that did not cancel themselves.
_BY_CALLERS = ("cancelled by a caller", "cancelled on request")


def is_finished(task: task_pb2.Task) -> bool:
    """Whether its state is final; also one that only a newer cluster knows."""
    return task.state in TERMINAL or task.HasField("finish_time")


def state_name(task: task_pb2.Task) -> str:
    """Its state as the documentation writes it, e.g. `RUNNING`."""
    return value_name(task_pb2.TaskState.DESCRIPTOR, task.state, "TASK_STATE_")


def has_started(task: task_pb2.Task) -> bool:
    """Whether its latest attempt has started: an assigned attempt waits on its node at first."""
    return bool(task.attempts) and task.attempts[-1].HasField("start_time")


def shown_state(task: task_pb2.Task) -> str:
    """Its state for people: as `state_name`, but `ASSIGNED` while its attempt has not started."""
    if task.state == task_pb2.TASK_STATE_RUNNING and not has_started(task):
        return "ASSIGNED"
    return state_name(task)


def is_snoozed(task: task_pb2.Task) -> bool:
    """Whether it waits because its last attempt asked to run again later."""
    waits = task.state == task_pb2.TASK_STATE_SCHEDULED and bool(task.attempts)
    return waits and task.attempts[-1].error.type == SNOOZED


def value_name(enum: EnumDescriptor, number: int, prefix: str) -> str:
    """An enum's value without its prefix; its number when a newer cluster knows more than we do."""
    value = enum.values_by_number.get(number)
    return str(number) if value is None else str(value.name).removeprefix(prefix)


def state_of(name: str) -> task_pb2.TaskState:
    """The state that `name` means, in any case; raises QuorateError (INVALID_ARGUMENT)."""
    try:
        number = task_pb2.TaskState.Value(f"TASK_STATE_{name.upper()}")
    except ValueError:
        known = ", ".join(key.removeprefix("TASK_STATE_").lower() for key in _STATES)
        raise invalid("state", f"{name!r} must be one of {known}", value=name) from None
    # An int at run time; the stubs say otherwise.
    return cast(task_pb2.TaskState, number)


_STATES = [key for key, number in task_pb2.TaskState.items() if number]


def is_pickled(spec: task_pb2.TaskSpec) -> bool:
    """Whether whoever submits this agrees to an answer that is a pickle: its arguments are one."""
    return spec.HasField("python") and spec.python.HasField("pickle")


def is_large(task: task_pb2.Task) -> bool:
    """Whether its result is in the blob store."""
    return task.HasField("result") and task.result.HasField("blob")


Large = Callable[[task_pb2.BlobRef], IO[bytes]]
"""A file with the bytes of a value of the blob store."""


def value_of(task: task_pb2.Task, *, pickled: bool = True, large: Large | None = None) -> Any:
    """The value of a finished task: what the function returned, or a command's exit code (0).

    `large`: reads what is in the blob store; LargeValueError passes through.
    `pickled`: unpickle what the node answered, which runs whatever code it names; without, only
    what needs no pickle is believed.

    Raises the task's own exception where it could be pickled, otherwise TaskFailed;
    TaskCancelled when it was cancelled. What `pickle.loads` raises passes through (a result
    whose class is unknown here is the caller's to know), except SystemExit and the like.
    """
    if task.state != task_pb2.TASK_STATE_SUCCEEDED:
        raise error_of(task, pickled=pickled)
    kind = task.result.WhichOneof("value")
    if kind == "pickle":
        if not pickled:
            why = "the node answered with a pickle, which was not asked for"
            raise TaskFailed(task.id, "RESULT_NOT_READABLE", why, attempts=task.attempt)
        return _unpickled(task, large)
    if kind == "json":
        if task.result.HasField("blob"):
            with _opened(task, large) as file:
                return json.load(file)
        return json.loads(task.result.json)
    if kind == "exit_code":
        return task.result.exit_code
    return None


def _is_loaded(file: str) -> bool:
    return any(getattr(module, "__file__", None) == file for module in list(sys.modules.values()))


def error_of(task: task_pb2.Task, *, pickled: bool = True) -> BaseException:
    """The exception that stands for a task that did not succeed; `pickled` as in `value_of`."""
    if task.state == task_pb2.TASK_STATE_CANCELLED:
        said = task.error.message
        return TaskCancelled(task.id, "" if said in _BY_CALLERS else said)
    error = task.error
    failed = TaskFailed(
        task.id,
        error.type or state_name(task),
        error.message or "the cluster gave no reason",
        remote_traceback=error.traceback,
        code=error.code,
        attempts=task.attempt,
    )
    original = _original(error.pickle) if pickled else None
    if original is None:
        if error.traceback:
            failed.add_note(_note(task))
        return failed
    return original if _explain(original, _note(task), failed) else failed


def _explain(original: Exception, note: str, cause: TaskFailed) -> bool:
    """Say on an exception what happened on the node; False where it cannot hold that.

    By-passes the class's own `__setattr__`: that of a frozen dataclass refuses every attribute.
    """
    try:
        notes = [*getattr(original, "__notes__", ()), note]
        object.__setattr__(original, "__notes__", notes)
        object.__setattr__(original, "__cause__", cause)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a foreign class may do anything; TaskFailed says it all
        return False
    return True


def _opened(task: task_pb2.Task, large: Large | None) -> IO[bytes]:
    if large is None:
        raise TaskFailed(
            task.id, "RESULT_NOT_READABLE", "it is in the blob store", attempts=task.attempt
        )
    return large(task.result.blob)


def _unpickled(task: task_pb2.Task, large: Large | None) -> Any:
    try:
        if task.result.HasField("blob"):
            with _opened(task, large) as file:
                return pickle.load(file)
        return pickle.loads(task.result.pickle)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        # A remote task must not end this process: sys.exit in an unpickling is a result that
        # cannot be read.
        why = f"unpickling the result raised {type(error).__name__}"
        raise TaskFailed(task.id, "RESULT_NOT_READABLE", why, attempts=task.attempt) from error


def _note(task: task_pb2.Task) -> str:
    text = with_sources(task.error.traceback)
    return f"\nTraceback on the node (task {task.id}):\n{text}".rstrip()


def with_sources(traceback: str) -> str:
    """A remote traceback with the source lines that the node did not have and this side has.

    A function that travelled by value was defined in a file of the caller's. Only files of modules
    that are loaded here are read: the traceback may name any.
    """
    lines = traceback.splitlines() or [""]
    shown: list[str] = []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        shown.append(line)
        place = _PLACE.fullmatch(line)
        if place is not None and not following.startswith("    ") and _is_loaded(place[1]):
            source = linecache.getline(place[1], int(place[2])).strip()
            shown += [f"    {source}"] if source else []
    return "\n".join(shown)


def _original(data: bytes) -> Exception | None:
    if not data:
        return None
    try:
        value = pickle.loads(data)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - its class may be unknown here, or call sys.exit
        return None
    # Never SystemExit and the like: a remote task must not end this process.
    return value if isinstance(value, Exception) else None
