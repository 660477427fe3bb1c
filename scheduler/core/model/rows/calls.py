"""Answers to calls, kept for their repeats."""

from __future__ import annotations

from dataclasses import dataclass

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model.reply_token import Pending

NO_TASK = TaskId("")


@dataclass(slots=True, eq=False)
class DedupRow:
    """The answer to a mutating call."""

    digest: bytes
    create_time: float
    queue: QueueName
    first_id: TaskId
    count: int
    progress: int
    # Callers that wait for a batch that this leader is creating right now, the first one
    # included, at most `Limits.batch_waiters`; None when it is not. Memory only.
    waiters: list[Pending[object]] | None = None
    # `<role>:<name>` of whose call it answers; empty without authentication, and of calls that a
    # leader of an earlier version answered.
    caller: str = ""
    # Of a call about many tasks: what it came to so far, and the task that it dealt with last.
    counts: tuple[int, ...] = ()
    last_id: TaskId = NO_TASK
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
