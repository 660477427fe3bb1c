"""Failures of subtasks in groups: a million of them are a page, not a flood."""

from __future__ import annotations

import re
from typing import Final

from quorate.internal.v1 import jobs_pb2 as r
from quorate.v1 import job_pb2, task_pb2
from scheduler.api.asking import PAGE_BYTES
from scheduler.core.model.rows import JobRow

# Groups of errors in an answer, and characters of a group's message.
MOST_GROUPS: Final = 100
_MESSAGE: Final = 200
_DIGITS: Final = re.compile(r"\d+")


def add(
    row: JobRow, groups: dict[tuple[str, str], job_pb2.JobErrorGroup], failure: r.JobFailure
) -> None:
    """Count a failure in its group: the same type, and the same message but for its digits."""
    error: task_pb2.TaskError = failure.error
    message = _DIGITS.sub("#", error.message[: 2 * _MESSAGE])[:_MESSAGE]
    key = (error.type, message)
    group = groups.get(key)
    if group is None:
        if len(groups) >= MOST_GROUPS:
            return
        group = groups[key] = job_pb2.JobErrorGroup(
            type=error.type,
            message=message,
            first_index=row.index(failure.positions[0]),
            example_index=row.index(failure.positions[0]),
        )
        # The last ones go without where all together are too large for one answer.
        if sum(one.ByteSize() for one in groups.values()) + error.ByteSize() <= PAGE_BYTES:
            group.example.CopyFrom(error)
    group.count += len(failure.positions)
    group.first_index = min(group.first_index, row.index(min(failure.positions)))
    group.last_index = max(group.last_index, row.index(max(failure.positions)))
