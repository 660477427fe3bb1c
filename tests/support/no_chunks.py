"""Sessions to agents of which nothing special is wanted: no chunks of arrays, no signals."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.runtime.ids import InstanceId, TaskId


class NoChunks:
    """Sends nothing about chunks and signals."""

    def signal(self, instance: InstanceId, task: TaskId, attempt: int, signal: int) -> None:
        raise AssertionError(task)

    def suspend(self, instance: InstanceId, task: TaskId, attempt: int, suspended: bool) -> None:
        raise AssertionError(task)

    def acknowledge_report(
        self, instance: InstanceId, chunk: TaskId, attempt: int, number: int
    ) -> None:
        raise AssertionError(chunk)

    def recall(self, instance: InstanceId, chunk: TaskId, attempt: int) -> None:
        raise AssertionError(chunk)

    def end_subtasks(
        self, instance: InstanceId, chunk: TaskId, attempt: int, ranges: Sequence[tuple[int, int]]
    ) -> None:
        raise AssertionError(chunk)

    def forget_job(self, job: TaskId) -> None:
        raise AssertionError(job)
