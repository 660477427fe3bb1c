"""Tasks that a pause holds back, where no pass of placement meets them: nothing has room.

They would count as work that waits for nodes (`scheduler.autoscaling.look`). As in a pass, only
the first tasks of lanes are looked at: what stands behind a task that waits for a node counts, too.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from scheduler.core.model.effects import Effects
from scheduler.core.model.state import State

# Queues that are looked at in one step, tenants of each, lanes of each priority; and tasks that are
# set aside.
_QUEUES: Final = 64
_TENANTS: Final = 64
_LANES: Final = 64
_AT_ONCE: Final = 1_000


def set_aside(state: State, out: Effects) -> None:
    """Set aside the first tasks of lanes that a pause holds back; `out.more`: there are more."""
    pauses, left = state.pauses, _AT_ONCE
    for queue in list(islice(state.waiting.values(), _QUEUES)):
        orders = () if queue.paused else list(queue.pending.orders(_TENANTS))
        for lane in (lane for order in orders for level in order.lanes(_LANES) for lane in level):
            while (row := lane.head()) is not None and (pause := pauses.of(row)) is not None:
                pauses.set_aside(row, pause)
                left -= 1
                if left <= 0:
                    out.more = True
                    return
