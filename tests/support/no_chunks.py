"""Sessions to agents that run no chunks of arrays: the part of `Agents` that is about these."""

from __future__ import annotations

from quorate.runtime.ids import InstanceId, TaskId


class NoChunks:
    """Sends nothing about chunks."""

    def acknowledge_report(
        self, instance: InstanceId, chunk: TaskId, attempt: int, number: int
    ) -> None:
        raise AssertionError(chunk)

    def recall(self, instance: InstanceId, chunk: TaskId, attempt: int) -> None:
        raise AssertionError(chunk)

    def forget_job(self, job: TaskId) -> None:
        raise AssertionError(job)
