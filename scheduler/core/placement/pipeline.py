"""Placement: queues in turn -> order within the queue -> filter -> strategy -> assignment.

One pass serves many tasks: a strategy ranks the nodes once and keeps its ranking up to date as it
assigns, so a task costs O(log nodes). "Cannot be placed" is no error: the task stays where it is,
and the next credit, node or freed resource makes another pass.

Nodes that a scale-down may end are passed over while others take the work. When none does, their
marks are taken back, the newest first: no task waits for a node that idles, whatever the scaler
counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf
from typing import NamedTuple

from quorate.runtime.ids import QueueName
from scheduler.core.handlers.starts import (
    ChunkIds,
    Hold,
    admit,
    assign,
    hold,
    recall,
    room_of,
    start_chunk,
    take_back,
)
from scheduler.core.model.effects import Effects
from scheduler.core.model.limits.permits import has_rate
from scheduler.core.model.rows import NodeRow, QueueRow, TaskRow
from scheduler.core.model.state import SERVICES_QUEUE, State
from scheduler.core.place_rules import Rules
from scheduler.core.placement.aside import set_aside
from scheduler.core.placement.choosing import Choosing, lets, may_run, strategy_of
from scheduler.core.placement.reservation import keeping, renew
from scheduler.core.placement.room import (
    fits,
    fits_beside,
    fits_chunk,
    fits_chunk_slot,
    fits_reduce,
    fits_reduce_slot,
    fits_slot,
    open_to_work,
    room_for,
    usable,
)
from scheduler.core.placement.strategies.strategy import Room, Strategy
from scheduler.core.placement.turns import turns_of
from scheduler.core.queues.lanes import KeyedLanes, Lane
from scheduler.core.queues.pending import PendingOrder
from scheduler.core.values import NO_LIMITS, NO_NEEDS

# Kinds of needs of one priority that are tried before it is left for this pass. Those that fit
# nowhere stand behind the others next time, so that each is tried in the end.
_KINDS_TRIED = 64
# Marks taken back in one step: each costs a pass over all nodes.
_BACK_AT_ONCE = 32
# Tenants tried in one turn of a queue; lanes that are looked at together with ageing.
_TENANTS_TRIED = 256
_LANES_TRIED = 1_000
# Keys parked in one pass over a queue: bounds how long a step holds the loop.
_PARKED_AT_ONCE = 1_000
# Seconds between two looks for chunks to be recalled, at least.
_RECALL_EVERY = 0.01

_Lanes = Lane[TaskRow] | KeyedLanes[TaskRow]


class _With(NamedTuple):
    """With what a queue's turn is taken."""

    strategy: Strategy
    choosing: Choosing
    now: float
    out: Effects
    chunk_ids: ChunkIds | None
    # Of all nodes that take chunks.
    chunk_slots: int


def place(
    state: State,
    now: float,
    limit: int,
    out: Effects,
    chunk_ids: ChunkIds | None = None,
    reserve_after: float = 0.0,
) -> None:
    """Assign up to `limit` tasks and chunks; the queues take turns.

    `out.more` says that marks are left that may have to be taken back.

    Args:
        chunk_ids: None: jobs are passed over.
        reserve_after: seconds after which a node is reserved for a task; 0.0: none is.
    """
    state.permits.wake_at = 0.0
    if state.reservation is not None or (reserve_after and now >= state.reserve_at):
        renew(state, now, reserve_after)
    if state.pauses.over and state.pauses.bring_back(state.queues):
        out.more = True
    left = _pass(state, now, limit, out, chunk_ids)
    if state.pauses.dispatch:
        set_aside(state, now, out)
    for _ in range(_BACK_AT_ONCE):
        if left <= 0 or not state.scaling_down or (node := _needed(state, now)) is None:
            break
        take_back(state, node.name, out)
        left = _pass(state, now, left, out, chunk_ids)
    else:
        out.more = out.more or bool(state.scaling_down)
    if state.chunks and not state.job_entries and now >= state.recall_at:
        _recall(state, now, out)


def _recall(state: State, now: float, out: Effects) -> None:
    """Where slots idle while chunks are long: ask for the rest of these."""
    # A look at each chunk: the more there are, the less often.
    state.recall_at = now + _RECALL_EVERY + _RECALL_EVERY * len(state.chunks) / 500
    idle = [
        node
        for node in state.nodes.values()
        if node.takes_chunks and len(node.allocation.rows) < node.slots and usable(state, node)
    ]
    if not idle:
        return
    free = sum(node.slots - len(node.allocation.rows) for node in idle)
    known: dict[Rules | None, bool] = {}

    def suits(rules: Rules | None) -> bool:
        if rules not in known:
            known[rules] = any(lets(state, node, rules) for node in idle)
        return known[rules]

    recall(state, now, free, suits, out)


def _needed(state: State, now: float) -> NodeRow | None:
    """A node to be taken back for a task that waits; None when none of them would take one."""
    marked = sorted(state.scaling_down.items(), key=lambda item: (-item[1].since, item[0]))
    nodes = [node for name, _ in marked if open_to_work(state, node := state.nodes[name])]
    if not nodes:
        return None
    for queue in state.waiting.values():
        if queue.paused:
            continue
        if queue.limits is not NO_LIMITS and room_of(state, queue, 1, now) <= 0:
            continue
        orders = queue.pending.orders(_TENANTS_TRIED)
        for level in (level for order in orders for level in order.lanes(_KINDS_TRIED)):
            for row in filter(None, (lane.head() for lane in level)):
                if row.limits is not None and hold(state, row, now) is not Hold.NOTHING:
                    continue
                room = room_for(row)
                for node in nodes:
                    if room(node, row.needs) and may_run(state, node, row):
                        return node
    return None


def _pass(state: State, now: float, limit: int, out: Effects, chunk_ids: ChunkIds | None) -> int:
    """One pass over what waits; how many more may be assigned."""
    if not state.waiting or limit <= 0:
        return limit
    open_nodes = [node for node in state.nodes.values() if usable(state, node)]
    nodes = [node for node in open_nodes if len(node.allocation.rows) < node.credit]
    free = sum(node.credit - len(node.allocation.rows) for node in nodes)
    # Where thousands of queues wait none of them is looked at for nothing.
    has_replicas = SERVICES_QUEUE in state.waiting
    turns = turns_of(state, now) if free > 0 or has_replicas else None
    if turns is None:
        return limit
    left = limit
    strategies: dict[QueueName, Strategy] = {}
    choosing = Choosing(state, open_nodes, nodes)
    chunk_slots = sum(node.slots for node in open_nodes if node.takes_chunks) if chunk_ids else 0
    while left > 0 and (free > 0 or has_replicas) and (turn := turns.next()) is not None:
        queue, most = turn
        # Replicas take no credit: their queue goes on when the others have to wait.
        replicas = queue.name == SERVICES_QUEUE
        among, room = (open_nodes, left) if replicas else (nodes, min(left, free))
        wanted = min(room, most)
        if queue.limits is not NO_LIMITS:
            wanted = room_of(state, queue, wanted, now)
        if not among or wanted <= 0:
            turns.set_aside(queue)
            has_replicas = has_replicas and not replicas
            continue
        strategy = strategies.get(queue.name)
        if strategy is None:
            among = choosing.open_nodes if replicas else choosing.nodes
            strategy = strategy_of(queue, among, state.plugins)
            strategies[queue.name] = strategy
        with_what = _With(strategy, choosing, now, out, chunk_ids, chunk_slots)
        placed = _place_some(state, queue, wanted, with_what)
        left -= placed
        if not replicas:
            free -= placed
        if placed < wanted or not queue.pending.size:
            turns.set_aside(queue)
            has_replicas = has_replicas and not replicas
    if choosing.near_waits and choosing.labels_came:
        # It may be what others have to be near: they may have been looked at before it.
        out.more = True
    return left


def _place_some(state: State, queue: QueueRow, wanted: int, with_what: _With) -> int:
    pending = queue.pending
    if not pending.tenants:
        return _place_of(state, pending, queue, wanted, with_what)
    admit(state, queue, with_what.choosing.open_nodes)
    turns, placed, tried = pending.turns, 0, 0
    while placed < wanted and tried < _TENANTS_TRIED and (tenant := turns.first()) is not None:
        order = pending.order_of(tenant)
        if order is None:
            turns.leave(tenant)
            continue
        turns.chosen(tenant)
        if _place_of(state, order, queue, 1, with_what):
            placed += 1
        else:
            turns.set_aside(tenant)
            tried += 1
    if tried < _TENANTS_TRIED:
        # Else others are tried first next time, so that each is tried in the end.
        turns.bring_back()
    return placed


def _levels(queue: QueueRow, order: PendingOrder[TaskRow]) -> Iterator[list[_Lanes]]:
    """The lanes of each priority, the most urgent first; with ageing, all together."""
    if not queue.order.aging:
        yield from order.lanes(_KINDS_TRIED)
        return
    yield [lane for level in order.lanes(_KINDS_TRIED) for lane in level][:_LANES_TRIED]


def _place_of(
    state: State,
    order: PendingOrder[TaskRow],
    queue: QueueRow,
    wanted: int,
    with_what: _With,
) -> int:
    """Place up to `wanted` tasks of a queue's order, or of one of its tenants'."""
    usual, choosing, now, out, chunk_ids, chunk_slots = with_what
    placed = parked = 0
    filtered, reserved = bool(queue.place.filters), state.reservation
    rated = queue.limits.rate is not None
    aging, pauses = queue.order.aging, state.pauses if state.pauses.dispatch else None
    for level in _levels(queue, order):
        # The oldest of the level first; a lane that fits nowhere is left for this pass.
        while level and placed < wanted:
            if len(level) == 1:
                lane = level[0]
            elif aging:
                lane = min(level, key=partial(_head_rank, aging))
            else:
                lane = min(level, key=_head_id)
            row = lane.head()
            if row is None:
                level.remove(lane)
                continue
            if pauses is not None and (pause := pauses.of(row)) is not None:
                pauses.set_aside(row, pause)
                parked += 1
                if parked >= _PARKED_AT_ONCE:
                    out.more = True
                    return placed
                continue
            takes_start = rated
            if row.limits is not None:
                held = hold(state, row, now)
                if held is Hold.LANE:
                    level.remove(lane)
                    queue.pending.defer(row, _KINDS_TRIED)
                    continue
                if held is Hold.KEY:
                    parked += 1
                    if parked >= _PARKED_AT_ONCE:
                        out.more = True
                        return placed
                    continue
                takes_start = has_rate(row, state.permits)
            room = _room_for(row, takes_start=takes_start)
            if reserved is not None and row.needs is not NO_NEEDS:
                room = keeping(reserved, row, room)
            strategy = usual
            if row.rules is not None:
                strategy = choosing.by_rules(queue, row.rules)
            if filtered or row.rules is not None:
                node = choosing.choose(strategy, row, room)
            else:
                node = strategy.choose(row, room)
            if node is None or (row.job is not None and chunk_ids is None):
                level.remove(lane)
                queue.pending.defer(row, _KINDS_TRIED)
                continue
            if row.job is None:
                assign(state, row, node, now, out)
            else:
                assert chunk_ids is not None
                start_chunk(state, row, node, chunk_slots, chunk_ids.next(), now, out)
            strategy.assigned(node)
            if row.labels:
                choosing.labels_came = True
            if reserved is not None and reserved.row is row:
                reserved = state.reservation = None
            placed += 1
        if placed >= wanted:
            break
    return placed


def _room_for(row: TaskRow, *, takes_start: bool) -> Room:
    """What says whether a node has room; what takes a start of a rate goes to free slots alone."""
    job = row.job
    if job is None:
        if takes_start:
            return fits_slot
        return fits if row.replica is None else fits_beside
    if job.level:
        return fits_reduce_slot if takes_start else fits_reduce
    return fits_chunk_slot if takes_start else fits_chunk


def _head_rank(aging: float, lane: _Lanes) -> tuple[float, str]:
    """A step of priority is worth `aging` seconds of age: the order never changes by waiting."""
    head = lane.head()
    return (inf, "~") if head is None else (head.create_time - head.priority * aging, head.id)


def _head_id(lane: _Lanes) -> str:
    head = lane.head()
    return head.id if head is not None else "~"
