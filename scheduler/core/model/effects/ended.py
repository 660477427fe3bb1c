"""That a task or a job has ended, for a queue that announces it."""

from __future__ import annotations

from typing import NamedTuple

from scheduler.core.values import EventsTo


class Ended(NamedTuple):
    """What is known at its end.

    Attributes:
        kind: "task" or "job".
        to: where its queue's messages go.
        state: SUCCEEDED, FAILED, CANCELLED or EXPIRED.
        attempt: the last one; of a job its round.
        error_type, error_message: why a task failed; of a job the message alone.
        counts: of a job: subtasks that succeeded, failed and were cancelled.
    """

    kind: str
    id: str
    queue: str
    to: EventsTo
    state: str
    attempt: int
    create_time: float
    finish_time: float
    error_type: str = ""
    error_message: str = ""
    counts: tuple[int, int, int] | None = None
    labels: tuple[tuple[str, str], ...] = ()
