"""Unique keys in the log: of each one live holder, beside those that it replaces and that end.

tasks/..., runs/...  who has which key
unique/...           until when a key is taken also when its task has succeeded
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskId
from quorate.v1 import task_pb2
from scheduler.core.values import TaskState

# (queue, key), or (queue, digest of the key).
_Key = tuple[str, str]


class UniqueKeys:
    """The keys of one history."""

    def __init__(self, finals: Mapping[TaskId, TaskState]) -> None:
        self._finals = finals
        self._keys: dict[TaskId, _Key] = {}
        # The live tasks of each key, the newest last; whether each is ended by somebody.
        self._holders: dict[_Key, dict[TaskId, bool]] = {}
        self._touched: dict[_Key, None] = {}
        self._windows: dict[_Key, r.UniqueRecord] = {}
        self._windows_before: dict[_Key, r.UniqueRecord] = {}
        # Tasks that were created in this revision, and when.
        self._fresh: dict[TaskId, tuple[task_pb2.UniqueKey, float]] = {}
        # Holders that came while another one was being ended.
        self.replaced = 0

    def task(
        self, task: TaskId, queue: str, unique: task_pb2.UniqueKey, created: float, *, new: bool
    ) -> None:
        """A task is there, live again, or in another queue."""
        name, before = (queue, unique.key), self._keys.get(task)
        if before == name and task in self._holders[name]:
            return
        if before is not None:
            self._drop(task, before)
        self._keys[task] = name
        self._holders.setdefault(name, {})[task] = False
        self._touched[name] = None
        if new:
            self._fresh[task] = unique, created

    def run(self, task: TaskId, *, live: bool, ends: bool) -> None:
        """The status of a task that has a key is so; `ends`: it runs, and is to be ended."""
        name = self._keys.get(task)
        if name is None:
            return
        if live:
            self._holders[name][task] = ends
        else:
            self._drop(task, name)
        self._touched[name] = None

    def _drop(self, task: TaskId, name: _Key) -> None:
        self._holders[name].pop(task, None)

    def window(self, queue: str, digest: str, record: r.UniqueRecord | None) -> None:
        """Until when a key is taken; None: it is not."""
        if record is None:
            self._windows.pop((queue, digest), None)
        else:
            self._windows[queue, digest] = record

    def starts(self, task: TaskId) -> None:
        """An attempt of a task starts: nobody else has its key."""
        name = self._keys.get(task)
        if name is not None:
            first, *others = self._holders[name]
            # One that was made in the same Txn may already have taken its place.
            later = all(other in self._fresh for other in others)
            alone = first == task and later
            assert alone, f"{task} starts, and {name} is held by {first}, {others}"

    def over(self) -> None:
        """A revision is over."""
        for name in self._touched:
            *before, last = list(self._holders[name].items()) or [(TaskId(""), True)]
            self.replaced += bool(before)
            for task, ends in before:
                assert ends, f"{task} and {last[0]} have the unique key {name}"
        for task, (unique, created) in self._fresh.items():
            queue, key = self._keys[task]
            at = queue, sha256(key.encode()).hexdigest()[:32]
            window, now = self._windows_before.get(at), self._windows.get(at)
            if window is None or now is None or now.task != window.task or window.task == task:
                continue
            replaces = unique.on_conflict == task_pb2.UNIQUE_CONFLICT_REPLACE
            succeeded = self._finals.get(TaskId(window.task)) is TaskState.SUCCEEDED
            assert replaces or not succeeded or window.until <= created, (
                f"{task} is made at {created}, and {key!r} is taken until {window.until}"
            )
        self._touched.clear()
        self._fresh.clear()
        if self._windows_before != self._windows:
            self._windows_before = dict(self._windows)
