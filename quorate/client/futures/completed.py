"""Handles of tasks in the order in which they finish.

    for handle in quorate.as_completed(handles):
        print(handle.id, handle.result())

One watch stream for each queue brings the outcomes, however many handles there are. Handles of an
`AsyncClient` are awaitable: `asyncio.as_completed` takes those.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar

from quorate.client.handle import TaskHandle
from quorate.client.tracking.ledger import Outcome
from quorate.client.tracking.tracker import Tracker
from quorate.client.tracking.waiting import take

R = TypeVar("R")


def as_completed(
    handles: Iterable[TaskHandle[R]], timeout: float | None = None
) -> Iterator[TaskHandle[R]]:
    """Each of `handles` once it is finished, in whatever way; duplicates once.

    Args:
        timeout: seconds for all of them; None for no limit.

    Raises:
        TimeoutError: not all were finished in time; the tasks go on.
        QuorateError: one does not exist, or no scheduler answers.
    """
    end = None if timeout is None else time.monotonic() + timeout
    waiting = {handle.id: handle for handle in handles}
    arrived: queue.SimpleQueue[tuple[TaskHandle[R], Outcome]] = queue.SimpleQueue()
    total = len(waiting)
    trackers: list[Tracker] = []
    try:
        for members in _by_queue(waiting.values()):
            tracker = Tracker(members[0].calls, members[0].queue)
            trackers.append(tracker)
            sinks = [partial(_arrive, arrived, handle) for handle in members]
            tracker.attend([handle.id for handle in members], sinks)
        for left in range(total, 0, -1):
            try:
                wait = None if end is None else max(0.0, end - time.monotonic())
                handle, outcome = take(arrived, wait)
            except queue.Empty:
                raise TimeoutError(f"{left} of {total} tasks are not finished") from None
            if isinstance(outcome, BaseException):
                raise outcome
            handle.settle(outcome)
            yield handle
    finally:
        for tracker in trackers:
            tracker.close()


def _arrive(
    arrived: queue.SimpleQueue[tuple[TaskHandle[R], Outcome]],
    handle: TaskHandle[R],
    outcome: Outcome,
) -> None:
    arrived.put((handle, outcome))


def _by_queue(handles: Iterable[TaskHandle[R]]) -> list[list[TaskHandle[R]]]:
    groups: dict[tuple[int, str], list[TaskHandle[R]]] = {}
    for handle in handles:
        groups.setdefault((id(handle.calls), handle.queue), []).append(handle)
    return list(groups.values())
