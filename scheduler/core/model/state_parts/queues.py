"""The part of the state that is about queues as a whole: which there are, wait, and are paused."""

from __future__ import annotations

from collections.abc import Callable

from quorate.runtime.ids import QueueName
from scheduler.core.model.limits.pauses import Pauses
from scheduler.core.model.rows import QueueRow
from scheduler.core.values import QueuePause


def _nothing_bound(queue: str) -> int:
    """Of a state beside which there is no broker."""
    return 0


class QueueState:
    """Queues, and their pauses. A part of `State`, as which it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.queues: dict[QueueName, QueueRow] = {}
        # The queues that have PENDING tasks, in the order of their turns: placement looks at no
        # others.
        self.waiting: dict[QueueName, QueueRow] = {}
        # When paused queues are resumed by themselves; those that are not are left out.
        self.pause_ends: dict[QueueName, float] = {}
        # Those of tasks that match.
        self.pauses = Pauses()
        # How many bindings of exchanges lead to a queue: asked of the broker of the same term.
        self.bound: Callable[[str], int] = _nothing_bound

    def set_pause(self, queue: QueueRow, pause: QueuePause | None, *, paused: bool) -> None:
        """A queue is paused, or (None) resumed."""
        queue.pause, queue.paused = pause, paused
        if pause is not None and pause.until:
            self.pause_ends[queue.name] = pause.until
        else:
            self.pause_ends.pop(queue.name, None)

    def next_pause_end(self) -> float | None:
        """When the next pause is over by itself; None when none is."""
        ends = list(self.pause_ends.values())
        if (end := self.pauses.next_end()) is not None:
            ends.append(end)
        return min(ends, default=None)
