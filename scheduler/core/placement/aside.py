"""Tasks that a pause holds back, where no pass of placement meets them: nothing has room.

They would count as work that waits for nodes (`scheduler.autoscaling.look`). As in a pass, only
the first tasks of lanes are looked at: what stands behind a task that waits for a node counts, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from scheduler.core.model.effects import Effects
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.queues.lanes import KeyedLanes, Lane

# Seconds between two looks, at least: nobody waits for what they find.
_EVERY: Final = 0.5
# Queues that are looked at in one step, tenants of each, lanes of each priority; tasks that are set
# aside; and comparisons of a task with a pause, some 3 ms. The next look goes on behind them.
_QUEUES: Final = 64
_TENANTS: Final = 64
_LANES: Final = 64
_AT_ONCE: Final = 1_000
_COMPARED: Final = 5_000


def set_aside(state: State, now: float, out: Effects) -> None:
    """Set aside the first tasks of lanes that a pause holds back; `out.more`: there are more."""
    if now < state.aside_at:
        state.permits.wake(state.aside_at)
        return
    state.aside_at = now + _EVERY
    pauses = state.pauses
    looks = max(1, _COMPARED // len(pauses.dispatch))
    left = min(_AT_ONCE, looks)
    names = list(state.waiting)
    begin = state.aside_from % len(names) if names else 0
    names = (names[begin:] + names[:begin])[:_QUEUES]
    for number, name in enumerate(names, 1):
        queue = state.waiting.get(name)
        if queue is None or queue.paused:
            continue
        for lane in _lanes(queue):
            looks -= 1
            while (row := lane.head()) is not None and (pause := pauses.of(row)) is not None:
                pauses.set_aside(row, pause)
                left -= 1
                if left <= 0:
                    state.aside_at, out.more = now, True
                    return
            if looks <= 0:
                state.aside_from = begin + number
                state.permits.wake(state.aside_at)
                return
    state.aside_from = begin + len(names)
    if len(names) < len(state.waiting):
        state.permits.wake(state.aside_at)


def _lanes(queue: QueueRow) -> Iterator[Lane[TaskRow] | KeyedLanes[TaskRow]]:
    for order in list(queue.pending.orders(_TENANTS)):
        for level in order.lanes(_LANES):
            yield from level
