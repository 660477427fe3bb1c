"""How far a job is. Pure: the current instant is an argument."""

from __future__ import annotations

from dataclasses import dataclass

from quorate.client.jobs.states import is_finished
from quorate.v1 import job_pb2


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Subtasks of a job by state, and how fast they finish."""

    total: int
    """Subtasks so far; more may follow while the array is open. Tasks that they added are counted
    too."""
    pending: int
    running: int
    """Given to nodes."""
    succeeded: int
    failed: int
    cancelled: int
    rate: float
    """Subtasks that finished per second, on average since the first one was given to a node."""
    seconds_left: float | None
    """Estimate at this rate; None where nothing is known, or while the array is open."""
    blocked: int = 0
    """Of a graph: tasks that wait for others."""
    skipped: int = 0
    """Of a graph: tasks whose condition could no longer hold."""
    phase: str = ""
    """Where the reduces of a live job are, such as `reducing, level 2 of 3`; empty before them."""

    @property
    def finished(self) -> int:
        """Subtasks in a final state."""
        return self.succeeded + self.failed + self.cancelled + self.skipped

    @property
    def share(self) -> float:
        """Finished subtasks as a share of all, 0 to 1; 1 for a job without subtasks."""
        return self.finished / self.total if self.total else 1.0

    def __str__(self) -> str:
        text = f"{self.finished:,} of {self.total:,}"
        if self.failed:
            text += f", {self.failed:,} failed"
        return f"{text}, {self.phase}" if self.phase else text


def phase_of(job: job_pb2.Job) -> str:
    """Where the reduces of a job are, for people; empty before them, and once it is finished."""
    reduce = job.reduce
    if not reduce.level or is_finished(job):
        return ""
    if reduce.levels <= 1:
        return "reducing"
    return f"reducing, level {reduce.level} of {reduce.levels}"


def progress_of(job: job_pb2.Job, now: float) -> JobProgress:
    """The progress of a job; `now` in seconds since the Unix epoch."""
    counts = job.counts
    finished = counts.succeeded + counts.failed + counts.cancelled + counts.skipped
    end = job.finish_time.ToNanoseconds() / 1e9 if job.HasField("finish_time") else now
    seconds = end - job.start_time.ToNanoseconds() / 1e9 if job.HasField("start_time") else 0.0
    rate = finished / seconds if seconds > 0 else 0.0
    # Also those that its tasks have added, which are not in `count`.
    total = max(job.count, finished + counts.pending + counts.running + counts.blocked)
    left = total - finished
    return JobProgress(
        total=total,
        pending=counts.pending,
        running=counts.running,
        succeeded=counts.succeeded,
        failed=counts.failed,
        cancelled=counts.cancelled,
        rate=rate,
        seconds_left=None if job.open or not rate else max(0, left) / rate,
        blocked=counts.blocked,
        skipped=counts.skipped,
        phase=phase_of(job),
    )
