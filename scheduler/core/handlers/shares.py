"""What tenants of a queue are charged: see `scheduler.core.queues.shares`.

A task is charged the mean run time of its tenant when it is assigned, and the difference to what it
took when its attempt ends. Both are on record in the Txn of the change, so that a new leader goes
on with the same shares.
"""

from __future__ import annotations

from scheduler.core.model.effects import Effects, PutRate
from scheduler.core.model.limits.permits import SHARE, RateName, of_share
from scheduler.core.model.rows import QueueRow, TaskRow
from scheduler.core.model.state import State


def admit(state: State, queue: QueueRow) -> None:
    """Tenants that came since take part in the turns."""
    pending, arrivals = queue.pending, state.permits.arrivals
    if pending.turns.floor is None:
        # A new leader's first look. Who has nothing on record had used less than these.
        known = [used for name, used in arrivals.items() if name[:2] == (SHARE, queue.name)]
        pending.turns.floor = min(known, default=0.0)
    if "" not in pending.turns and pending.order_of("") is not None:
        pending.entered[""] = None
    if pending.entered:
        pending.turns.enter(
            pending.entered, lambda tenant: arrivals.get(of_share(queue.name, tenant), 0.0)
        )
        pending.entered.clear()


def charge(state: State, row: TaskRow, out: Effects) -> None:
    """A task of a queue that tenants share is assigned."""
    turns = row.queue.pending.turns
    row.share = turns.mean(row.tenant)
    out.took(_move(state, row, row.share))


def charge_chunk(state: State, job: TaskRow, out: Effects) -> None:
    """A chunk of an array is given to a node: as a task without a key; it is not corrected."""
    out.took(_move(state, job, job.queue.pending.turns.mean(job.tenant)))


def correct(state: State, row: TaskRow, now: float, out: Effects, *, began: bool = True) -> None:
    """The attempt of a task that was charged ends; `began`: unless it certainly never did."""
    seconds = max(0.0, now - (row.start_time or row.assign_time)) if began else 0.0
    name = _move(state, row, seconds - row.share)
    out.writes.append(PutRate(name, state.permits.arrivals[name]))
    if began:
        row.queue.pending.turns.ran(row.tenant, seconds)
    row.share = 0.0


def _move(state: State, row: TaskRow, seconds: float) -> RateName:
    """Move the virtual time of the row's tenant."""
    arrivals, queue, tenant = state.permits.arrivals, row.queue, row.tenant
    turns, name = queue.pending.turns, of_share(queue.name, tenant)
    weight = dict(queue.order.weights).get(tenant, 1.0)
    used = max(turns.time(tenant), arrivals.get(name, 0.0)) + seconds / weight
    arrivals[name] = used
    turns.moved(tenant, used)
    return name
