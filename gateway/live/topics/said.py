"""What running tasks said of their progress last, as a feed of tasks keeps and sends it. Pure.

A task may say it once and never again, so nobody may miss it: it is sent behind the delta that it
belongs to (a client leaves out what is of an attempt that it does not know), again behind each
delta with a version of its task, and behind each snapshot, whose items may be versions without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.http.jsonwrite import dump, to_json
from gateway.live.cluster.entries import Entry
from quorate.v1 import task_pb2


class _Said(NamedTuple):
    attempt: int
    # When it was said: seconds, nanoseconds.
    instant: tuple[int, int]
    text: bytes


class ProgressSaid:
    """The newest of each task; of `most` tasks, those that said something last.

    Args:
        most: bound of the tasks it remembers, about 400 bytes each.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._newest: dict[str, _Said] = {}
        self._unsent: dict[str, None] = {}

    def note(self, task: task_pb2.Task, *, listed: bool = False) -> None:
        """A task has this progress; `listed`: it was read, and stands in what is sent anyway."""
        when = task.progress.update_time
        instant = (when.seconds, when.nanos)
        before = self._newest.get(task.id)
        if before is not None and (before.attempt, before.instant) > (task.attempt, instant):
            return
        self._newest.pop(task.id, None)
        item = {"id": task.id, "attempt": task.attempt, "progress": to_json(task.progress)}
        self._newest[task.id] = _Said(task.attempt, instant, dump(item))
        if not listed:
            self._unsent[task.id] = None
        if len(self._newest) > self._most:
            self._forget(next(iter(self._newest)))

    def on_version(self, entry: Entry) -> None:
        """A version of a task is about to be sent, or is gone."""
        said = self._newest.get(entry.id)
        if said is None:
            return
        runs = entry.state == task_pb2.TASK_STATE_RUNNING and not entry.deleted
        if runs and entry.attempt <= said.attempt:
            self._unsent[entry.id] = None
        else:
            self._forget(entry.id)

    def _forget(self, task_id: str) -> None:
        del self._newest[task_id]
        self._unsent.pop(task_id, None)

    def clear(self) -> None:
        """Nothing is known any more."""
        self._newest.clear()
        self._unsent.clear()

    def take_unsent(self) -> list[bytes]:
        """What clients have to be sent now."""
        unsent, self._unsent = self._unsent, {}
        return [self._newest[task_id].text for task_id in unsent]

    def of(self, ids: Iterable[str]) -> list[bytes]:
        """What some of these tasks said."""
        if not self._newest:
            return []
        return [said.text for one in ids if (said := self._newest.get(one)) is not None]
