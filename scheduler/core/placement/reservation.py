"""One node is kept for a task that needs much of it and has waited for long.

Small tasks would starve a large one: each takes the little that becomes free, and never is enough
free at once. So the room of one node is held back from those that would go after the large task
anyway: tasks of other queues and tenants, and those of its own with no higher priority. They may
still have what the large task does not need. It starts there as soon as enough is free, or
elsewhere if that comes first.

One reservation at a time in the cluster, for the task that has waited longest. Derived, never
stored: a new leader finds it anew. It ends when its task starts or ends, when its node is lost,
takes no new work or no longer suits the task, and while a limit or a pause holds the task back.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from scheduler.core.handlers.starts import room_of
from scheduler.core.model.rows import NodeRow, QueueRow, Reservation, TaskRow
from scheduler.core.model.state import State
from scheduler.core.placement.choosing import may_run
from scheduler.core.placement.held_back import why_held_back
from scheduler.core.placement.room import CPU_ROUNDING, room_for, usable
from scheduler.core.placement.strategies.strategy import Room
from scheduler.core.values import NO_LIMITS, NO_NEEDS, Needs, TaskState

# Seconds between two looks for a task; what is looked at in one: the heads of so many lanes of each
# priority, of so many tenants; and for how many of these tasks a node is looked for.
_EVERY: Final = 1.0
_LANES: Final = 64
_TENANTS: Final = 256
_TRIED: Final = 16
# Heads of lanes that are looked at, of all queues together.
_LOOKED_AT: Final = 20_000


def renew(state: State, now: float, after: float) -> None:
    """End the reservation if it has no reason any more; make one if a task has waited for `after`
    seconds (0.0: never)."""
    held = state.reservation
    if held is not None and not (after and _lasts(state, held, now)):
        state.reservation = None
    if state.reservation is None and after and now >= state.reserve_at:
        state.reserve_at = now + _EVERY
        state.reservation = _found(state, now, after)


def keeping(held: Reservation, row: TaskRow, room: Room) -> Room:
    """The room that the reservation leaves to a task that waits."""
    if not _goes_after(row, held):
        return room

    def fits(node: NodeRow, needs: Needs) -> bool:
        return room(node, needs) and not (node.name == held.node and _takes_from(node, needs, held))

    return fits


def keeps_from(held: Reservation, node: NodeRow, row: TaskRow) -> bool:
    """Whether the reservation keeps the room of a node from a task that waits."""
    return held.node == node.name and _goes_after(row, held) and _takes_from(node, row.needs, held)


def _goes_after(row: TaskRow, held: Reservation) -> bool:
    """Whether the reservation holds back a task that waits."""
    large = held.row
    if row is large:
        return False
    same = row.queue is large.queue and row.tenant == large.tenant
    return not (same and row.priority > large.priority)


def _takes_from(node: NodeRow, needs: Needs, held: Reservation) -> bool:
    """Whether a task with `needs` would take of what the reservation keeps on its node."""
    large, taken = held.row.needs, node.allocation
    if needs.cpu and large.cpu and taken.cpu + needs.cpu + large.cpu > node.cpu + CPU_ROUNDING:
        return True
    if needs.memory and large.memory and taken.memory + needs.memory + large.memory > node.memory:
        return True
    wanted = dict(large.counters)
    return any(
        name in wanted
        and taken.counters.get(name, 0) + amount + wanted[name] > node.counters.get(name, 0)
        for name, amount in needs.counters
    )


def _lasts(state: State, held: Reservation, now: float) -> bool:
    row, node = held.row, state.nodes.get(held.node)
    return (
        node is not None
        and node.instance == held.instance
        and row.state is TaskState.PENDING
        and _suits(state, node, row)
        and _wants(state, row.queue, now)
        and not why_held_back(state, row, now)
        and state.pauses.of(row) is None
    )


def _wants(state: State, queue: QueueRow, now: float) -> bool:
    """Whether a queue may start a task."""
    if queue.paused:
        return False
    return queue.limits is NO_LIMITS or room_of(state, queue, 1, now) > 0


def _suits(state: State, node: NodeRow, row: TaskRow) -> bool:
    """Whether the node could run the task, were it empty."""
    needs = row.needs
    return (
        usable(state, node)
        and (row.job is None or (node.takes_reduces if row.job.level else node.takes_chunks))
        and needs.cpu <= node.cpu + CPU_ROUNDING
        and needs.memory <= node.memory
        and all(amount <= node.counters.get(name, 0) for name, amount in needs.counters)
        and may_run(state, node, row)
    )


def _found(state: State, now: float, after: float) -> Reservation | None:
    """A reservation for the task that has waited longest, and for which one helps."""
    waited = [
        (since, row.id, row)
        for row in islice(_heads(state, now), _LOOKED_AT)
        if row.needs is not NO_NEEDS and (since := _since(row)) + after <= now
    ]
    waited.sort(key=lambda entry: entry[:2])
    pauses = state.pauses
    tried = (
        row for _, _, row in waited if not why_held_back(state, row, now) and pauses.of(row) is None
    )
    for row in islice(tried, _TRIED):
        nodes = [node for node in state.nodes.values() if _suits(state, node, row)]
        if not nodes or any(room_for(row)(node, row.needs) for node in nodes):
            # It can run nowhere, or it starts in this pass.
            continue
        node = min(nodes, key=lambda node: (_lack(node, row.needs), node.name))
        return Reservation(row, node.name, node.instance, now)
    return None


def _heads(state: State, now: float) -> Iterator[TaskRow]:
    """The first tasks of the lanes that wait."""
    for queue in state.waiting.values():
        if not _wants(state, queue, now):
            continue
        for order in queue.pending.orders(_TENANTS):
            for level in order.lanes(_LANES):
                yield from filter(None, (lane.head() for lane in level))


def _since(row: TaskRow) -> float:
    """Since when it could start, about: the end of a pause is not known."""
    ended = row.past[-1].finish_time if row.past else 0.0
    return max(row.create_time, row.not_before, ended)


def _lack(node: NodeRow, needs: Needs) -> float:
    """The greatest share of the node that has to become free."""
    taken = node.allocation
    lacks = [0.0]
    if needs.cpu:
        lacks.append((taken.cpu + needs.cpu - node.cpu) / node.cpu)
    if needs.memory:
        lacks.append((taken.memory + needs.memory - node.memory) / node.memory)
    for name, amount in needs.counters:
        there = node.counters[name]
        lacks.append((taken.counters.get(name, 0) + amount - there) / there)
    return max(lacks)
