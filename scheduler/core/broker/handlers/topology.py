"""Virtual hosts, exchanges and bindings: `routing` decides, this makes writes of it.

What has many bindings is deleted in parts: bindings first.
"""

from __future__ import annotations

from dataclasses import replace

from quorate.runtime.errors import exhausted, precondition
from scheduler.core.broker import effects as fx
from scheduler.core.broker import events as e
from scheduler.core.broker.effects import BrokerEffects
from scheduler.core.broker.limits import BrokerLimits
from scheduler.core.broker.queues import checks
from scheduler.core.broker.routing.rows import Binding, Destination, DestinationKind, Removed
from scheduler.core.broker.routing.virtual_host import PREDECLARED
from scheduler.core.broker.state import DEFAULT_VIRTUAL_HOST, BrokerState

RESERVED = {name for name, _ in PREDECLARED} | {""}


def on_virtual_host_asked(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.VirtualHostAsked,
    _now: float,
    out: BrokerEffects,
) -> None:
    if state.router.create_virtual_host(event.name):
        out.writes.append(fx.PutVirtualHost(event.name))
    out.after.append(fx.Reply(event.token, None))


def on_virtual_host_delete_asked(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.VirtualHostDeleteAsked,
    _now: float,
    out: BrokerEffects,
) -> None:
    name = event.name
    if name == DEFAULT_VIRTUAL_HOST:
        raise precondition("DEFAULT_VIRTUAL_HOST", 'virtual host "/" cannot be deleted')
    host = state.router.host(name)
    if host.queues:
        raise precondition(
            "VIRTUAL_HOST_NOT_EMPTY",
            f"virtual host {name!r} has {len(host.queues)} message queues; delete them first",
            virtual_host=name,
        )
    bindings = list(host.bindings.values())
    if unbind_some(state, limits, bindings, out):
        out.then.append(event)
        return
    exchanges = [exchange for exchange in host.exchanges if exchange not in RESERVED]
    for exchange in exchanges[: limits.step_writes // 2]:
        written(state.router.delete_exchange(name, exchange), out)
    if len(exchanges) > limits.step_writes // 2:
        out.then.append(event)
        return
    for policy in list(state.policies.of(name)):
        state.policies.drop(policy.key)
        out.writes.append(fx.DropPolicy(policy))
    state.router.delete_virtual_host(name)
    out.writes.append(fx.DropVirtualHost(name))
    out.after.append(fx.Reply(event.token, None))


def on_exchange_declared(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.ExchangeDeclared,
    now: float,
    out: BrokerEffects,
) -> None:
    host = state.router.host(event.row.virtual_host)
    known = host.exchanges.get(event.row.name)
    if known is None and len(host.exchanges) >= limits.exchanges:
        raise exhausted(
            "TOO_MANY_EXCHANGES",
            f"virtual host {host.name!r} has {len(host.exchanges)} exchanges, "
            f"the most is {limits.exchanges}; delete some",
            limit=limits.exchanges,
        )
    row = state.router.declare(replace(event.row, create_time=now))
    if row is not None:
        alternate = state.policies.alternate(row.virtual_host, row.name)
        row = state.router.apply_policy(row.virtual_host, row.name, alternate) or row
        out.writes.append(fx.PutExchange(row))
    current = host.exchanges[event.row.name].row
    out.after.append(fx.Reply(event.token, current))


def on_exchange_delete_asked(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.ExchangeDeleteAsked,
    now: float,
    out: BrokerEffects,
) -> None:
    state.router.check_delete_exchange(event.virtual_host, event.name, if_unused=event.if_unused)
    continued = e.ExchangeDeleteContinued(event.virtual_host, event.name, event.token)
    on_exchange_delete_continued(state, limits, continued, now, out)


def on_exchange_delete_continued(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.ExchangeDeleteContinued,
    _now: float,
    out: BrokerEffects,
) -> None:
    host = state.router.host(event.virtual_host)
    destination = Destination(DestinationKind.EXCHANGE, event.name)
    bindings = [*host.bindings_from(event.name), *host.bindings_to(destination)]
    if unbind_some(state, limits, bindings, out):
        out.then.append(event)
        return
    # An auto-delete exchange went with its last binding.
    if event.name in host.exchanges:
        written(state.router.delete_exchange(event.virtual_host, event.name), out)
    out.after.append(fx.Reply(event.token, None))


def on_binding_asked(
    state: BrokerState,
    limits: BrokerLimits,
    event: e.BindingAsked,
    _now: float,
    out: BrokerEffects,
) -> None:
    _check_owner(state, event)
    if event.destination.kind is DestinationKind.TASK_QUEUE:
        state.tasks.check_bound(event.destination.name)
    host = state.router.host(event.virtual_host)
    row = state.router.bind(
        event.virtual_host, event.source, event.destination, event.key, event.arguments
    )
    if row is not None:
        if len(host.bindings) > limits.bindings:
            host.drop_binding(row.id)
            raise exhausted(
                "TOO_MANY_BINDINGS",
                f"virtual host {host.name!r} has {limits.bindings} bindings, the most there may be",
                limit=limits.bindings,
            )
        out.writes.append(fx.PutBinding(row))
    out.after.append(fx.Reply(event.token, None))


def on_unbind_asked(
    state: BrokerState,
    _limits: BrokerLimits,
    event: e.UnbindAsked,
    _now: float,
    out: BrokerEffects,
) -> None:
    _check_owner(state, event)
    removed = state.router.unbind(
        event.virtual_host, event.source, event.destination, event.key, event.arguments
    )
    written(removed, out)
    out.after.append(fx.Reply(event.token, None))


def _check_owner(state: BrokerState, event: e.BindingAsked | e.UnbindAsked) -> None:
    """An exclusive queue is bound and unbound by its session alone. Raises FAILED_PRECONDITION.

    https://www.rabbitmq.com/docs/queues#exclusive-queues
    """
    if event.destination.kind is DestinationKind.QUEUE:
        queue = state.find_queue(event.virtual_host, event.destination.name)
        if queue is not None:
            checks.owner(queue.row, event.session)


def written(removed: Removed, out: BrokerEffects) -> None:
    """What a deletion took with it is written."""
    out.writes += [fx.DropBinding(binding) for binding in removed.bindings]
    out.writes += [
        fx.DropExchange(exchange.virtual_host, exchange.name) for exchange in removed.exchanges
    ]


def unbind_some(
    state: BrokerState, limits: BrokerLimits, bindings: list[Binding], out: BrokerEffects
) -> bool:
    """Remove some bindings if there are more than one commit takes; True: look again."""
    most = limits.step_writes // 2
    if len(bindings) <= most:
        return False
    for row in bindings[:most]:
        # One before may have taken this one along, with its auto-delete exchange.
        if row.id in state.router.host(row.virtual_host).bindings:
            written(
                state.router.unbind(
                    row.virtual_host, row.source, row.destination, row.key, row.arguments
                ),
                out,
            )
    return True
