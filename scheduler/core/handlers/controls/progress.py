"""What an agent says of the progress of its attempts: kept in memory, never written."""

from __future__ import annotations

from scheduler.core.model.effects import Effects
from scheduler.core.model.events import ProgressReported
from scheduler.core.model.state import State
from scheduler.core.values import TaskState


def on_progress_reported(state: State, event: ProgressReported, now: float, out: Effects) -> None:
    """Keep it when it is of the attempt on record; an attempt that is being ended counts too."""
    row = state.tasks.get(event.task)
    if (
        row is None
        or row.state is not TaskState.RUNNING
        or row.attempt != event.attempt
        or row.instance != event.instance
    ):
        return
    instant = max(row.assign_time, now - event.age)
    state.progress.note(event.task, event.attempt, event.fraction, event.text, instant)
