"""Results of arrays in the log, and what reduces made of them: each result once, in order.

job-results/<job>/<block>/<first>  values by position; merged into fewer records later

The value of a subtask is its own. That of a reduce is its inputs, joined: the last one spells out
what it got, whoever led, whatever was retried, and however records were merged.
"""

from __future__ import annotations

from quorate.internal.v1 import jobs_pb2 as r
from quorate.runtime.ids import TaskId
from quorate.v1.job_pb2 import ResultRun
from scheduler.core.arrays.levels import inputs, levels, size_of_next

JOINT = b"+"


class Results:
    """The results of one history."""

    def __init__(self) -> None:
        self._values: dict[TaskId, dict[int, bytes]] = {}
        # Jobs with a reduce whose subtasks have values.
        self.checked = 0

    def put(self, job: TaskId, record: r.JobResultsRecord) -> None:
        """A value on record stays what it is, also where records are merged."""
        values = self._values.setdefault(job, {})
        for run in record.runs:
            for position, value in enumerate(run.values, run.first):
                known = values.setdefault(position, value)
                assert known == value, f"{job}: {position} was {known!r} and is {value!r}"

    def job_gone(self, job: TaskId) -> None:
        self._values.pop(job, None)

    def check(self, job: TaskId, parts: list[TaskId], count: int, fan_in: int) -> None:
        """A job with a reduce has succeeded: every level got all results of the one before.

        Args:
            parts: the levels, in their order.
        """
        assert len(parts) == levels(count, fan_in), f"{job}: {parts} for {count} by {fan_in}"
        below = [self._values.get(job, {}).get(at) for at in range(count)]
        assert None not in below, f"{job}: {below.index(None)} succeeded without its result"
        for level in parts:
            size = size_of_next(len(below), fan_in)
            values = self._values.get(level, {})
            for position in range(size):
                first, end = inputs(position, fan_in, len(below))
                wanted = JOINT.join(value for value in below[first:end] if value is not None)
                found = values.get(position)
                assert found == wanted, (
                    f"{job}: {position} of {level} got {found!r}, not {wanted!r}"
                )
            below = [values[position] for position in range(size)]
        self.checked += 1


def joined(expected: int, end: int, runs: list[ResultRun]) -> list[bytes]:
    """The values of a page, which must be those of the positions from `expected` to `end`."""
    found: list[bytes] = []
    for run in runs:
        assert run.first == expected + len(found), f"{run.first} behind {expected + len(found)}"
        found.extend(run.values)
    assert len(found) == end - expected, f"{len(found)} values from {expected} to {end}"
    return found
