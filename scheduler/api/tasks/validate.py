"""Bounds of the requests about tasks; see `scheduler.api.validate`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from quorate.runtime.errors import invalid
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.request_sizes import MAX_BATCH_BYTES
from scheduler.api.validate import at_most, between, known_enum, required
from scheduler.core.model.indexes.texts import words
from scheduler.core.values import TaskState

_GROUP = re.compile("[0-9a-f]{16}")

MAX_BATCH = 10_000
# Characters of a search.
MAX_SEARCH = 256
# Words of a search: each is looked for in every task.
MAX_SEARCH_WORDS = 8
MAX_WAIT = 3_600.0
DEFAULT_WAIT = 60.0
MAX_TAIL_LINES = 100_000
MAX_WATCHED = 10_000
MAX_CANCELLED = 10_000
MAX_REASON = 256
# Tasks a second of RetryTasks.
MIN_RATE, MAX_RATE = 0.01, 1_000_000.0

_SIGNAL_NAMES: Final = tuple(task_pb2.TaskSignal.keys()[1:])
_SIGNALS: Final = frozenset(task_pb2.TaskSignal.values()[1:])


def batch(request: pb.BatchCreateTasksRequest, size: int = 0) -> int:
    """The bounds of a batch as a whole; its bytes.

    Args:
        size: bytes that it came as; 0: they are counted, which takes long of a large one.
    """
    if not request.specs:
        raise invalid("specs", "at least one is required")
    at_most("specs", len(request.specs), MAX_BATCH, "tasks")
    size = size or request.ByteSize()
    if size > MAX_BATCH_BYTES:
        raise invalid(
            "specs",
            f"{size} bytes together; at most {MAX_BATCH_BYTES} are allowed",
            reason="PAYLOAD_TOO_LARGE",
            limit=MAX_BATCH_BYTES,
            value=size,
        )
    return size


def run_of_edited(given: task_pb2.ScheduledRun, recorded: bytes) -> task_pb2.ScheduledRun:
    """Which run of a schedule a task with a new spec is: the one that it was before.

    Args:
        given: with the new spec; the same one, or empty.
        recorded: the spec on record.
    """
    run = task_pb2.TaskSpec.FromString(recorded).schedule
    if given != task_pb2.ScheduledRun() and given != run:
        raise invalid("spec.schedule", "is set by the cluster; leave it out")
    return run


def unique_of_batch(unique: task_pb2.UniqueKey, place: int, known: dict[str, int]) -> None:
    """The unique key of a task of a batch; `known`: the places of those before it, by key.

    The answer to a batch has an id for each spec, so no task of another call can be among them.
    """
    field = f"specs[{place}].unique"
    if unique.on_conflict in (
        task_pb2.UNIQUE_CONFLICT_UNSPECIFIED,
        task_pb2.UNIQUE_CONFLICT_RETURN_EXISTING,
    ):
        raise invalid(
            f"{field}.on_conflict",
            "must be REJECT or REPLACE in a batch; use CreateTask to get the task that is there",
        )
    if (first := known.setdefault(unique.key, place)) != place:
        raise invalid(f"{field}.key", f"{unique.key[:80]!r} is the key of specs[{first}], too")


def search_words(value: str) -> tuple[str, ...]:
    """At most 8 words that differ, of 256 characters together."""
    if len(value) > MAX_SEARCH:
        raise invalid(
            "text",
            f"has {len(value)} characters; at most {MAX_SEARCH} are allowed",
            limit=MAX_SEARCH,
            value=len(value),
        )
    found = words(value)
    at_most("text", len(found), MAX_SEARCH_WORDS, "different words")
    return found


def lines(field: str, value: int) -> None:
    """Of a log; 0: all."""
    between(field, value, 0, MAX_TAIL_LINES)


def offset(value: int, field: str) -> None:
    """In a log."""
    between(field, value, 0, 1 << 62)


def attempt(value: int) -> None:
    between("attempt", value, 0, (1 << 31) - 1)


def watched(ids: Sequence[str]) -> None:
    at_most("ids", len(ids), MAX_WATCHED, "ids")
    for place, task in enumerate(ids):
        required(f"ids[{place}]", task)


def many(
    request: Any, allowed: frozenset[TaskState], why: str, all_of_them: str
) -> frozenset[TaskState]:
    """The bounds of a call about many tasks as a whole; the states that it is about.

    Args:
        request: with the fields of CancelTasksRequest.
        allowed: states that it may name; `why` says of another one why not.
        all_of_them: how to mean every task.
    """
    at_most("ids", len(request.ids), MAX_CANCELLED, "ids")
    for place, task in enumerate(request.ids):
        required(f"ids[{place}]", task)
    group = error_group(getattr(request, "error_group", ""))
    if request.ids:
        for field in ("queue", "text", "page_token", "error_group"):
            if getattr(request, field, ""):
                raise invalid(field, "cannot be set together with ids")
    elif not (request.queue or request.states or request.text or group):
        raise invalid(
            "ids", "is required, or a filter: at least one of queue, states and text; "
            f"{all_of_them}",
        )  # fmt: skip
    states = frozenset(
        TaskState(known_enum("states", state, range(1, len(TaskState) + 1)))
        for state in request.states
    )
    if over := sorted(states - allowed):
        raise invalid("states", f"{over[0].name} tasks {why}", value=over[0].name)
    return states


def error_group(value: str) -> str:
    """The id of a group of dead letters; empty for none."""
    if value and not _GROUP.fullmatch(value):
        raise invalid(
            "error_group",
            f"{value!r} is not the id of a group: 16 hexadecimal digits, as ListDeadLetters lists "
            "them",
        )
    return value


def reason(value: str) -> None:
    """Of a pause, for people."""
    at_most("reason", len(value), MAX_REASON, "characters")


def signal(value: int) -> int:
    """A signal that a program may get."""
    if value not in _SIGNALS:
        names = ", ".join(name.removeprefix("TASK_SIGNAL_") for name in _SIGNAL_NAMES)
        raise invalid("signal", f"{value} is not a signal for tasks; they are {names}")
    return value


def rate(value: float) -> float:
    """Tasks a second; 0: no bound."""
    if value:
        between("max_rate", value, MIN_RATE, MAX_RATE)
    return value


def view(value: int) -> int:
    """A task view that this version knows."""
    return known_enum("view", value, range(3))
