"""What tenants of a queue, and queues, are charged: see `scheduler.core.queues.shares` and
`slot_time` there.

A task is charged the mean run time of its tenant when it is assigned, and the difference to what it
took when its attempt ends; a chunk of an array is charged the mean of its job for each subtask, and
the difference with each report. Of tenants both are on record in the Txn of the change, so that a
new leader goes on with the same shares. Of queues nothing is: a new leader begins anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.core.model.effects import Effects, PutRate
from scheduler.core.model.limits.permits import SHARE, RateName, of_share
from scheduler.core.model.rows import NodeRow, QueueRow, TaskRow
from scheduler.core.model.state import State

# What a subtask is charged at least: a chunk's `share` says that it was charged.
_LEAST = 1e-6


def admit(state: State, queue: QueueRow, nodes: Sequence[NodeRow]) -> None:
    """Tenants that came since take part in the turns; `nodes`: those that take work."""
    pending, arrivals = queue.pending, state.permits.arrivals
    if pending.turns.floor is None:
        # A new leader's first look. Who has nothing on record had used less than these.
        known = [used for name, used in arrivals.items() if name[:2] == (SHARE, queue.name)]
        pending.turns.floor = min(known, default=0.0)
    if "" not in pending.turns and pending.order_of("") is not None:
        pending.entered[""] = None
    if pending.entered:
        pending.turns.slots = sum(node.slots for node in nodes)
        pending.turns.enter(
            pending.entered, lambda tenant: arrivals.get(of_share(queue.name, tenant), 0.0)
        )
        pending.entered.clear()


def charge(state: State, row: TaskRow, out: Effects) -> None:
    """A task of a queue that tenants share is assigned."""
    turns = row.queue.pending.turns
    row.share = turns.mean(row.tenant)
    out.took(_move(state, row, row.share))


def charge_queue(state: State, row: TaskRow) -> None:
    """A task is assigned, and queues take turns."""
    if row.replica is None:
        state.slot_time.charge(row.queue.name, row.id, row.queue.order.share)
    else:
        # It takes no slot, and others have their turns all the same.
        state.slot_time.moved_on(row.queue.name)


def correct(state: State, row: TaskRow, now: float, out: Effects, *, began: bool = True) -> None:
    """The attempt of a task that may have been charged ends; `began`: unless it certainly never
    did."""
    seconds = max(0.0, now - (row.start_time or row.assign_time)) if began else 0.0
    if state.slot_time.on:
        queue = row.queue
        state.slot_time.correct(queue.name, row.id, queue.order.share, seconds)
    if not row.share:
        return
    _put(state, _move(state, row, seconds - row.share), out)
    if began:
        row.queue.pending.turns.ran(row.tenant, seconds)
    row.share = 0.0


# -- chunks of arrays: each is its job's tenant's


def charge_chunk(state: State, row: TaskRow, out: Effects) -> None:
    """A chunk is given to a node. Its `share` is what each of its subtasks was charged."""
    job, chunk, slot_time = row.job, row.chunk, state.slot_time
    assert job is not None
    assert chunk is not None
    each = job.durations.seconds
    if slot_time.on:
        slot_time.charge(row.queue.name, row.id, row.queue.order.share, each, chunk.size)
    if row.tenant or row.queue.pending.tenants:
        row.share = row.queue.pending.turns.mean(row.tenant) if each < 0.0 else max(_LEAST, each)
        out.took(_move(state, row, row.share * chunk.size))


def correct_chunk(
    state: State,
    row: TaskRow,
    seconds: float,
    count: int,
    now: float,
    out: Effects,
    *,
    over: bool = False,
) -> None:
    """`count` subtasks of a chunk that may have been charged took so long together, or were
    returned; `over`: the chunk has ended with them."""
    # A chunk runs in one slot, whatever its agent says.
    seconds = max(0.0, min(seconds, now - row.assign_time))
    if state.slot_time.on:
        queue, share = row.queue.name, row.queue.order.share
        state.slot_time.correct_chunk(queue, row.id, share, seconds, count, over=over)
    if row.share:
        _put(state, _move(state, row, seconds - row.share * count), out)


def _put(state: State, name: RateName, out: Effects) -> None:
    out.writes.append(PutRate(name, state.permits.arrivals[name]))


def _move(state: State, row: TaskRow, seconds: float) -> RateName:
    """Move the virtual time of the row's tenant."""
    arrivals, queue, tenant = state.permits.arrivals, row.queue, row.tenant
    turns, name = queue.pending.turns, of_share(queue.name, tenant)
    weight = dict(queue.order.weights).get(tenant, 1.0)
    used = max(turns.time(tenant), arrivals.get(name, 0.0)) + seconds / weight
    arrivals[name] = used
    turns.moved(tenant, used)
    return name
