"""An attempt is not sent to a worker that was told to end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from node_agent.core.attempts import Attempt, Outcome, Result
from node_agent.core.chunks.inputs import Wanted
from node_agent.core.machine import Machine
from node_agent.executors.python import PythonExecutor
from node_agent.executors.workers.lanes import Lane
from node_agent.logs.attempt_log import LogStore
from node_agent.task.work import Call


class Link:
    """A spawner that starts nothing."""

    def __init__(self) -> None:
        self.killed: list[int] = []

    def work(self, *_: Any) -> int:
        return 7

    def kill(self, key: int, number: signal.Signals) -> None:
        self.killed.append(key)


class Events:
    """The machine, as the executor tells it."""

    def __init__(self) -> None:
        self.machine = Machine(1)

    def on_exited(self, attempt: Attempt, outcome: Outcome) -> None:
        self.machine.on_exited(attempt, outcome, 1.0)

    def on_began(self, attempt: Attempt, when: float) -> None:
        self.machine.on_began(attempt, when)

    def on_yielded(self, attempt: Attempt) -> bool:
        return self.machine.on_yielded(attempt)

    def on_resumed(self, attempt: Attempt) -> None:
        self.machine.on_resumed(attempt)

    def on_progress(self, attempt: Attempt, fraction: float | None, text: str) -> None:
        self.machine.on_progress(attempt, fraction, text, 1.0)

    def on_recalled(self, lane: int, unstarted: Sequence[Attempt]) -> None:
        self.machine.on_recalled(lane, unstarted, 1.0)

    def on_results_wanted(self, attempt: Attempt, wanted: Wanted) -> None:
        self.machine.on_results_wanted(attempt, wanted)

    def on_lane_ready(self, lane: int) -> None:
        self.machine.on_lane_ready(lane)

    def on_lane_lost(self, lane: int) -> None:
        self.machine.on_lane_lost(lane)

    def on_chunk_progress(self, attempt: Attempt, ended: int, failed: int) -> None:
        self.machine.on_chunk_progress(attempt)

    def may_feed(self, attempt: Attempt) -> bool:
        return self.machine.may_feed(attempt)


def call(task: str) -> Attempt:
    return Attempt(task, 1, Call("m:f", "", ""), "m:f", warm=True)


async def test_no_attempt_goes_to_a_worker_that_was_told_to_end(tmp_path: Path) -> None:
    """The first attempt's answer was on its way when it was cancelled: the next must not die."""
    link, events = Link(), Events()
    machine = events.machine
    (tmp_path / "spill").mkdir()
    after: Callable[[], None] = lambda: None  # noqa: E731
    executor = PythonExecutor(
        [Lane(0)],
        link,  # type: ignore[arg-type]
        LogStore(tmp_path / "logs", 1 << 20),
        tmp_path / "spill",
        ".",
        "n",
        "n-1",
        events,
        after,
    )
    executor.open()
    try:
        machine.on_lane_ready(0)
        first = call("first")
        machine.on_assigned([first], 1.0)
        machine.settle(1.0)
        executor.start(first)
        executor.kill(first, 1.0)
        events.on_exited(first, Outcome(Result("json", "1"), 1.0, 0.1))
        machine.take()
        machine.on_assigned([call("second")], 1.0)
        machine.settle(1.0)
        assert machine.take() is None
        machine.on_lane_ready(0)
        machine.settle(1.0)
        effects = machine.take()
        assert effects is not None
        assert [attempt.task_id for attempt in effects.start] == ["second"]
    finally:
        executor.close()
