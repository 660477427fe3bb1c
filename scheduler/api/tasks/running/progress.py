"""What callers see of tasks' progress: in a task's view, and as events of a watch."""

from __future__ import annotations

from typing import Final

from quorate.runtime.ids import TaskId
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2
from scheduler.api.tasks.watch_pick import Answer, Pick
from scheduler.api.views import instant
from scheduler.core.model.indexes.progress import Progress
from scheduler.core.model.state import State

# Seconds between two answers with progress to one watch; tasks looked at for one.
EVERY: Final = 1.0
_AT_ONCE: Final = 500


def put(view: task_pb2.Task, progress: Progress) -> None:
    """Write what an attempt said."""
    message = view.progress
    if progress.fraction is not None:
        message.fraction = progress.fraction
    message.text = progress.text
    message.update_time.CopyFrom(instant(progress.instant))


def add(view: task_pb2.Task, state: State) -> None:
    """Add it to the view of a task that runs."""
    if view.state == task_pb2.TASK_STATE_RUNNING:
        progress = state.progress.newest.get(TaskId(view.id))
        if progress is not None and progress.attempt == view.attempt:
            put(view, progress)


class ProgressFeed:
    """The progress that one watch has not seen. A watch that asks for none costs nothing."""

    def __init__(self, state: State, pick: Pick, now: float) -> None:
        self._state = state
        self._pick = pick
        self._seen = state.progress.version
        self._next = now

    def answer(self, now: float) -> Answer | None:
        """What is new, when it is time for it (`now` is monotonic)."""
        progress = self._state.progress
        if now < self._next or progress.version == self._seen:
            return None
        self._next = now + EVERY
        response = pb.WatchTasksResponse()
        for task, one in progress.since(self._seen, _AT_ONCE):
            row = self._state.tasks.get(task)
            if row is None or not self._pick.wants_progress(row.queue.name, task):
                continue
            event = response.events.add(kind=pb.TaskEvent.KIND_PROGRESS)
            view = event.task
            view.id, view.queue, view.attempt = task, row.queue.name, one.attempt
            view.state = task_pb2.TASK_STATE_RUNNING
            put(view, one)
        self._seen = progress.version
        return self._pick.besides(response) if response.events else None
