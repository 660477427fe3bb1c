"""Signals for programs of one agent process, and which are to be suspended, until they are sent.

Bounds: `MOST_SIGNALS` signals, the oldest go; of what is to be suspended the newest word for each
task that runs there.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final

from quorate.runtime.ids import TaskId
from quorate.v1 import node_agent_pb2 as pb

MOST_SIGNALS: Final = 4_096
_AT_ONCE: Final = 1_024


class ControlOrders:
    """What was not sent yet."""

    def __init__(self) -> None:
        self._signals: deque[tuple[TaskId, int, int]] = deque(maxlen=MOST_SIGNALS)
        self._suspend: dict[tuple[TaskId, int], bool] = {}

    @property
    def anything(self) -> bool:
        """Whether `fill` has anything to do."""
        return bool(self._signals or self._suspend)

    def signal(self, task: TaskId, attempt: int, signal: int) -> None:
        self._signals.append((task, attempt, signal))

    def suspend(self, task: TaskId, attempt: int, suspended: bool) -> None:
        self._suspend[task, attempt] = suspended

    def clear(self) -> None:
        self._signals.clear()
        self._suspend.clear()

    def fill(self, message: pb.SessionRequest) -> None:
        """Move what one message may hold into it."""
        for (task, attempt), suspended in list(islice(self._suspend.items(), _AT_ONCE)):
            message.suspend.add(task_id=task, attempt=attempt, suspended=suspended)
            del self._suspend[task, attempt]
        for _ in range(min(len(self._signals), _AT_ONCE)):
            task, attempt, signal = self._signals.popleft()
            message.signals.add(task_id=task, attempt=attempt, signal=signal)
