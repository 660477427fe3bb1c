"""Which queue goes next in a pass of placement. Pure.

One queue that waits alone goes on and on. Of several that which used the least slot time goes
next: see `scheduler.core.queues.slot_time`.
"""

from __future__ import annotations

from scheduler.core.model.rows import QueueRow
from scheduler.core.model.state import State
from scheduler.core.queues.slot_time import MOST_AT_ONCE, SlotTime


class Alone:
    """The only queue that has something waiting."""

    def __init__(self, queue: QueueRow) -> None:
        self._queue: QueueRow | None = queue

    def next(self) -> tuple[QueueRow, int] | None:
        """The queue that goes next, and with how many attempts; None when there is none."""
        return None if self._queue is None else (self._queue, MOST_AT_ONCE)

    def set_aside(self, queue: QueueRow) -> None:
        """It can start nothing more in this pass."""
        self._queue = None


class InTurn:
    """Queues that share the slots."""

    def __init__(self, slot_time: SlotTime, waiting: list[QueueRow]) -> None:
        self._slot_time = slot_time
        self._waiting = {queue.name: queue for queue in waiting}

    def next(self) -> tuple[QueueRow, int] | None:
        """As `Alone.next`."""
        slot_time = self._slot_time
        while (name := slot_time.first()) is not None:
            queue = self._waiting.get(name)
            if queue is None or not queue.pending.size:
                slot_time.leave(name)
                continue
            most = slot_time.at_once(name)
            # A chunk is worth a turn, whatever the tasks of its queue take.
            return queue, 1 if queue.entries else most
        return None

    def set_aside(self, queue: QueueRow) -> None:
        """As `Alone.set_aside`."""
        self._slot_time.set_aside(queue.name)


def turns_of(state: State, now: float) -> Alone | InTurn | None:
    """The turns of one pass; None: nothing waits."""
    waiting = [queue for queue in state.waiting.values() if not queue.paused]
    if not waiting:
        return None
    if len(waiting) == 1 and not state.slot_time.on:
        return Alone(waiting[0])
    # How many run matters when the turns begin.
    on = state.slot_time.on
    if state.slot_time.look([(queue.name, 0 if on else queue.running) for queue in waiting], now):
        return InTurn(state.slot_time, waiting)
    return Alone(waiting[0])
