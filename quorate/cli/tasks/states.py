"""States of tasks as people name them: those that tables show, in any case.

`ASSIGNED` is shown of a RUNNING task whose attempt has not started. The cluster finds it by
`running` only, so lists pick it out themselves.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import typer

from quorate.client.tracking.outcome import shown_state
from quorate.v1 import task_pb2

ASSIGNED: Final = "assigned"
UNFINISHED: Final = ("blocked", "scheduled", "pending", "paused", "running")
FINISHED: Final = ("succeeded", "failed", "cancelled", "expired")
_KNOWN: Final = ("blocked", "scheduled", "pending", "paused", ASSIGNED, "running", *FINISHED)


def states(words: Sequence[str] | None) -> tuple[str, ...]:
    """The states that the options --state name. Raises BadParameter."""
    found = tuple(word.strip().lower() for word in words or ())
    for one in found:
        if one not in _KNOWN:
            near = difflib.get_close_matches(one, _KNOWN, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise typer.BadParameter(
                f"--state: {one!r} is not a state{meant}; states are {', '.join(_KNOWN)}"
            )
    return found


def asked(wanted: Sequence[str]) -> list[str]:
    """What the cluster is asked for to find these."""
    return list(dict.fromkeys("running" if one == ASSIGNED else one for one in wanted))


def picked(tasks: Iterable[task_pb2.Task], wanted: Sequence[str]) -> Iterator[task_pb2.Task]:
    """Those of `tasks` that are meant, where the cluster found more: `running` has both."""
    if ASSIGNED not in wanted or "running" in wanted:
        yield from tasks
        return
    for task in tasks:
        if task.state != task_pb2.TASK_STATE_RUNNING or shown_state(task) == "ASSIGNED":
            yield task
