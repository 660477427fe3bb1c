"""Policies are set and deleted; queues and exchanges follow, some in each commit.

The answer comes when all of them have. What is in force of a queue is in its record, so a standby
needs no policy to know it; a new leader looks at all queues once, since the one before may have
died on its way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from quorate.runtime.errors import exhausted, not_found
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker import policies
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.handlers import message_queues
from scheduler.core.broker.handlers.topology import RESERVED
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.rows import PolicyRow, QueueUid
from scheduler.core.broker.state import BrokerState

# Names that one step looks at: some milliseconds.
_LOOKED_AT: Final = 500


class PolicyAsked(NamedTuple):
    """Create or change a policy. Answer: its row, when all queues and exchanges follow it."""

    row: PolicyRow
    token: e.Token


class PolicyDeleteAsked(NamedTuple):
    virtual_host: str
    name: str
    operator: bool
    token: e.Token


class PoliciesDue(NamedTuple):
    """Queues and exchanges, from `at` on, are looked at.

    Attributes:
        queues: uids; `exchanges`: virtual hosts and names.
        token: who waits for the end; None: nobody.
    """

    queues: Sequence[QueueUid]
    exchanges: Sequence[tuple[str, str]]
    at: int
    token: e.Token | None
    answer: object


def on_policy_asked(
    state: BrokerState, limits: BrokerLimits, event: PolicyAsked, _now: float, out: BrokerEffects
) -> None:
    row = event.row
    state.router.host(row.virtual_host)
    policies.check(row)
    known = state.policies.rows.get(row.key)
    if known is None and len(state.policies.of(row.virtual_host)) >= limits.host_policies:
        raise exhausted(
            "TOO_MANY_POLICIES",
            f"virtual host {row.virtual_host!r} has {limits.host_policies} policies, the most "
            "there may be; delete some",
            limit=limits.host_policies,
        )
    if known is None and len(state.policies.rows) >= limits.policies:
        raise exhausted(
            "TOO_MANY_POLICIES",
            f"there are {limits.policies} policies, the most there may be; delete some",
            limit=limits.policies,
        )
    if known == row:
        out.after.append(fx.Reply(event.token, row))
        return
    state.policies.put(row)
    out.writes.append(fx.PutPolicy(row))
    out.then.append(due(state, row.virtual_host, event.token, row))


def on_policy_delete_asked(
    state: BrokerState,
    _limits: BrokerLimits,
    event: PolicyDeleteAsked,
    _now: float,
    out: BrokerEffects,
) -> None:
    state.router.host(event.virtual_host)
    key = event.virtual_host, event.operator, event.name
    row = state.policies.rows.get(key)
    if row is None:
        raise not_found("policy", event.name)
    state.policies.drop(key)
    out.writes.append(fx.DropPolicy(row))
    out.then.append(due(state, event.virtual_host, event.token, None))


def due(
    state: BrokerState, virtual_host: str | None, token: e.Token | None, answer: object
) -> PoliciesDue:
    """All queues and exchanges of a virtual host, or of all of them, are to be looked at. O(their
    number), and small for each."""
    hosts = state.router.virtual_hosts
    names = list(hosts) if virtual_host is None else [virtual_host]
    queues = [
        queue.row.uid
        for queue in state.queues.values()
        if virtual_host is None or queue.row.virtual_host == virtual_host
    ]
    exchanges = [
        (name, exchange)
        for name in names
        if name in hosts
        for exchange in hosts[name].exchanges
        if exchange not in RESERVED
    ]
    return PoliciesDue(queues, exchanges, 0, token, answer)


def on_policies_due(
    state: BrokerState, limits: BrokerLimits, event: PoliciesDue, now: float, out: BrokerEffects
) -> None:
    at, count = event.at, len(event.queues)
    end = min(count + len(event.exchanges), at + _LOOKED_AT)
    while at < end and len(out.writes) < limits.step_writes // 2:
        if at < count:
            _look_at_queue(state, event.queues[at], now, out)
        else:
            _look_at_exchange(state, *event.exchanges[at - count], out)
        at += 1
    if at < count + len(event.exchanges):
        out.then.append(event._replace(at=at))
    elif event.token is not None:
        out.after.append(fx.Reply(event.token, event.answer))


def _look_at_queue(state: BrokerState, uid: QueueUid, now: float, out: BrokerEffects) -> None:
    queue = state.queues.get(uid)
    if queue is None:
        return
    row = state.policies.applied(queue.row)
    if row == queue.row:
        return
    before = queue.row.spec
    state.put_queue(row)
    out.writes.append(fx.PutMessageQueue(row))
    if row.spec.expires != before.expires:
        message_queues.used(state, queue, now)
    # It may be too long now, or a stream too old.
    state.touched[uid] = None


def _look_at_exchange(state: BrokerState, virtual_host: str, name: str, out: BrokerEffects) -> None:
    host = state.router.virtual_hosts.get(virtual_host)
    if host is None or name not in host.exchanges:
        return
    alternate = state.policies.alternate(virtual_host, name)
    row = state.router.apply_policy(virtual_host, name, alternate)
    if row is not None:
        out.writes.append(fx.PutExchange(row))
