"""Jobs in numbers: how many in which state, and their subtasks by queue; of the leader alone."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from quorate.telemetry.families import gauge, gauges
from quorate.telemetry.labels import Bounded
from scheduler.core.model.state import State
from scheduler.core.values import JobState, TaskState

_STATES = (
    TaskState.SCHEDULED,
    TaskState.PENDING,
    TaskState.RUNNING,
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
)


def job_metrics(state: State) -> Iterator[Metric]:
    """A look at each job and each queue."""
    jobs = {kind.name.lower(): 0 for kind in JobState}
    for row in state.jobs.values():
        jobs[row.state.name.lower()] += 1
    yield gauges("quorate_jobs", "Stored jobs, by state.", ("state",), jobs)
    shown = Bounded(state.queues)
    subtasks: dict[tuple[str, str], int] = {}
    for name, queue in state.queues.items():
        if queue.jobs:
            for kind in _STATES:
                key = (shown(name), kind.name.lower())
                subtasks[key] = subtasks.get(key, 0) + queue.subtasks[kind]
    yield gauges(
        "quorate_subtasks",
        "Subtasks of stored jobs, by queue and state.",
        ("queue", "state"),
        subtasks,
    )
    yield gauge("quorate_chunks", "Chunks that nodes have now.", len(state.chunks))
