"""What becomes of tasks, in numbers: the part of the metrics on the leader's hot path.

The driver reports whole batches, and only rows that are at hand are read: about half a
microsecond a task altogether. What is counted was decided, not necessarily committed: of a leader
that is deposed it may be up to one journal too many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import Metric

from quorate.telemetry.buckets import LONG_SECONDS, Buckets
from quorate.telemetry.families import counter, counters, histogram
from quorate.telemetry.labels import OTHER, Bounded
from scheduler.core.model.effects import After, PutRun, PutTask, StartAttempt, Write
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import TaskState

# A process that leads for long may have met any number of queues.
MOST_QUEUES: Final = 10_000
_AGAIN: Final = TaskState.SCHEDULED
_FINAL: Final = (
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.EXPIRED,
)


class TaskMetrics:
    """What becomes of tasks, reported by the driver. Owned by the event loop."""

    def __init__(self) -> None:
        self.created = 0
        self.assigned = 0
        # By the state in which the task is afterwards: SCHEDULED means tried again.
        self.ended = [0] * (max(TaskState) + 1)
        # By queue, what ended for good in each state. Beyond MOST_QUEUES, new names are `OTHER`.
        # The queue that is always there has its series from the start.
        self.by_queue: dict[str, list[int]] = {DEFAULT_QUEUE: [0] * len(self.ended)}
        self.dispatch = Buckets(LONG_SECONDS)
        self.run = Buckets(LONG_SECONDS)
        # New tasks refused, by quota.
        self.refused: dict[str, int] = {}

    def quota_refused(self, quota: str) -> None:
        """A call was refused for what its caller or queue has on record."""
        self.refused[quota] = self.refused.get(quota, 0) + 1

    def wrote(self, writes: Sequence[Write], now: float) -> None:
        """One step's writes; their rows are as they were written."""
        for write in writes:
            if type(write) is PutRun:
                if write.finish_time:
                    row = write.row
                    state = row.state
                    self.ended[state] += 1
                    self._of(row.queue.name)[state] += 1
                    # A task that is tried again has forgotten its last attempt but here.
                    start = row.past[-1].start_time if state is _AGAIN else row.start_time
                    if start:
                        self.run.add(now - start)
            elif type(write) is PutTask and write.begins:
                self.created += 1

    def _of(self, queue: str) -> list[int]:
        counts = self.by_queue.get(queue)
        if counts is None:
            if len(self.by_queue) >= MOST_QUEUES:
                queue = OTHER
            counts = self.by_queue.setdefault(queue, [0] * len(self.ended))
        return counts

    def placed(self, effects: Sequence[After], now: float) -> None:
        """Attempts given to nodes. The time a task waited is that for its first attempt: later
        ones wait for their backoff, or were lost."""
        add = self.dispatch.add
        for effect in effects:
            if type(effect) is StartAttempt:
                self.assigned += 1
                if effect.attempt == 1 and effect.row.chunk is None:
                    row = effect.row
                    due, created = row.not_before, row.create_time
                    add(now - (due if due > created else created))

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield counter("quorate_tasks_created", "Tasks created, or retried by hand.", self.created)
        yield counter("quorate_attempts_assigned", "Attempts assigned to nodes.", self.assigned)
        yield counters(
            "quorate_tasks_finished",
            "Tasks finished, by final state.",
            ("state",),
            {state.name.lower(): self.ended[state] for state in _FINAL},
        )
        shown = Bounded(self.by_queue)
        of_queues: dict[tuple[str, str], int] = {}
        for queue, counts in self.by_queue.items():
            for state in _FINAL:
                key = (shown(queue), state.name.lower())
                of_queues[key] = of_queues.get(key, 0) + counts[state]
        yield counters(
            "quorate_queue_tasks_ended",
            "Tasks finished, by queue and final state.",
            ("queue", "state"),
            of_queues,
        )
        yield counter(
            "quorate_tasks_retried",
            "Failed attempts after which another attempt follows.",
            self.ended[_AGAIN],
        )
        yield histogram(
            "quorate_dispatch_seconds",
            "Time from the moment when a task may start to its first assignment to a node.",
            self.dispatch,
        )
        yield histogram(
            "quorate_task_run_seconds", "How long attempts ran, on the leader's clock.", self.run
        )
