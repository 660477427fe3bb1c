"""What becomes of tasks, in numbers: the part of the metrics on the leader's hot path.

The driver reports whole batches, and only rows that are at hand are read: about half a
microsecond a task altogether. What is counted was decided, not necessarily committed: of a leader
that is deposed it may be up to one journal too many.

Everything is counted by queue and added up when somebody scrapes. Series are bounded: the
`SHOWN_OUTCOMES` and `SHOWN_DURATIONS` busiest queues have their own, the rest is `other`. Memory is
bounded: of the first `MOST_QUEUES` queues that a process meets, at most 8 KiB each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric

from quorate.telemetry.buckets import FINE_SECONDS, LONG_SECONDS, Buckets, add_histogram
from quorate.telemetry.families import counter, counters, histogram
from quorate.telemetry.labels import OTHER, Busiest
from scheduler.core.model.effects import After, PutRun, PutTask, StartAttempt, Write
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import TaskState

# A process that leads for long may have met any number of queues.
MOST_QUEUES: Final = 2_000
# Queues that have series of their own.
SHOWN_OUTCOMES: Final = 200
SHOWN_DURATIONS: Final = 50
_AGAIN: Final = TaskState.SCHEDULED
_FINAL: Final = (
    TaskState.SUCCEEDED,
    TaskState.FAILED,
    TaskState.CANCELLED,
    TaskState.EXPIRED,
)


class QueueFigures:
    """What became of one queue's tasks while this process led."""

    __slots__ = ("ended", "run", "wait")

    def __init__(self) -> None:
        # By the state in which the task is afterwards: SCHEDULED means tried again.
        self.ended = [0] * (max(TaskState) + 1)
        # Seconds from when a task was due to its first assignment, and of its attempts.
        self.wait = Buckets(FINE_SECONDS)
        self.run = Buckets(FINE_SECONDS)


class TaskMetrics:
    """What becomes of tasks, reported by the driver. Owned by the event loop."""

    def __init__(self) -> None:
        self.created = 0
        self.assigned = 0
        # Beyond MOST_QUEUES, new names are `OTHER`. The queue that is always there has its series
        # from the start.
        self.by_queue: dict[str, QueueFigures] = {DEFAULT_QUEUE: QueueFigures()}
        # New tasks refused, by quota.
        self.refused: dict[str, int] = {}
        self._outcomes = Busiest(SHOWN_OUTCOMES, len(_FINAL))
        self._waits = Busiest(SHOWN_DURATIONS, len(LONG_SECONDS) + 2)
        self._runs = Busiest(SHOWN_DURATIONS, len(LONG_SECONDS) + 2)

    @property
    def ended(self) -> list[int]:
        """Attempts that ended, by the state of the task afterwards, of all queues."""
        return [
            sum(of) for of in zip(*(each.ended for each in self.by_queue.values()), strict=True)
        ]

    @property
    def dispatch(self) -> Buckets:
        """Seconds that tasks waited, of all queues."""
        return _sum(each.wait for each in self.by_queue.values())

    @property
    def run(self) -> Buckets:
        """Seconds that attempts ran, of all queues."""
        return _sum(each.run for each in self.by_queue.values())

    def of_queue(self, queue: str) -> QueueFigures | None:
        """The figures of a queue; None of one that has had no task since this process leads."""
        return self.by_queue.get(queue)

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
                    figures = self._of(row.queue.name)
                    figures.ended[state] += 1
                    # A task that is tried again has forgotten its last attempt but here.
                    start = row.past[-1].start_time if state is _AGAIN else row.start_time
                    if start:
                        figures.run.add(now - start)
            elif type(write) is PutTask and write.begins:
                self.created += 1

    def _of(self, queue: str) -> QueueFigures:
        figures = self.by_queue.get(queue)
        if figures is None:
            if len(self.by_queue) >= MOST_QUEUES:
                queue = OTHER
            figures = self.by_queue.setdefault(queue, QueueFigures())
        return figures

    def placed(self, effects: Sequence[After], now: float) -> None:
        """Attempts given to nodes. The time a task waited is that for its first attempt: later
        ones wait for their backoff, or were lost."""
        for effect in effects:
            if type(effect) is StartAttempt:
                self.assigned += 1
                if effect.attempt == 1 and effect.row.chunk is None:
                    row = effect.row
                    due, created = row.not_before, row.create_time
                    self._of(row.queue.name).wait.add(now - (due if due > created else created))

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        ended = self.ended
        yield counter("quorate_tasks_created", "Tasks created, or retried by hand.", self.created)
        yield counter("quorate_attempts_assigned", "Attempts assigned to nodes.", self.assigned)
        yield counters(
            "quorate_tasks_finished",
            "Tasks finished, by final state.",
            ("state",),
            {state.name.lower(): ended[state] for state in _FINAL},
        )
        yield counters(
            "quorate_queue_tasks_ended",
            "Tasks finished, by queue and final state.",
            ("queue", "state"),
            self._outcomes_by_queue(),
        )
        yield counter(
            "quorate_tasks_retried",
            "Failed attempts after which another attempt follows.",
            ended[_AGAIN],
        )
        yield histogram(
            "quorate_dispatch_seconds",
            "Time from the moment when a task may start to its first assignment to a node.",
            self.dispatch.at(LONG_SECONDS),
        )
        yield histogram(
            "quorate_task_run_seconds",
            "How long attempts ran, on the leader's clock.",
            self.run.at(LONG_SECONDS),
        )
        yield _by_queue(
            "quorate_queue_wait_seconds",
            "Time from the moment when a task may start to its first assignment, by queue.",
            self._waits,
            {queue: each.wait for queue, each in self.by_queue.items()},
        )
        yield _by_queue(
            "quorate_queue_run_seconds",
            "How long attempts ran, on the leader's clock, by queue.",
            self._runs,
            {queue: each.run for queue, each in self.by_queue.items()},
        )

    def _outcomes_by_queue(self) -> dict[tuple[str, str], float]:
        counts = {
            queue: [float(each.ended[state]) for state in _FINAL]
            for queue, each in self.by_queue.items()
        }
        return {
            (label, state.name.lower()): value
            for label, sums in self._outcomes.look(counts)
            for state, value in zip(_FINAL, sums, strict=True)
        }


def _sum(parts: Iterable[Buckets]) -> Buckets:
    total = Buckets(FINE_SECONDS)
    for part in parts:
        total.merge(part)
    return total


def _by_queue(
    name: str, text: str, busiest: Busiest, buckets: Mapping[str, Buckets]
) -> HistogramMetricFamily:
    """A histogram of each label; the last number of a queue is the sum of its values."""
    family = HistogramMetricFamily(name, text, labels=("queue",))
    counts: dict[str, list[float]] = {}
    for queue, each in buckets.items():
        coarse = each.at(LONG_SECONDS)
        counts[queue] = [*coarse.counts, coarse.total]
    for label, (*sums, total) in busiest.look(counts):
        add_histogram(family, (label,), LONG_SECONDS, map(int, sums), total)
    return family
