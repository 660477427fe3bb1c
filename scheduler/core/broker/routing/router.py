"""Declare, bind, delete and route: every virtual host.

What follows from a change happens in the same call, and is in what it returns:

    a queue goes           -> the bindings to it go
    an exchange goes       -> the bindings from it and to it go
    the last binding goes  -> its source goes, if that is auto-delete (then the rule above again)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from quorate.runtime.errors import not_found, precondition
from scheduler.core.broker.routing import checks
from scheduler.core.broker.routing.fields import Table
from scheduler.core.broker.routing.matchers.matcher import Matched
from scheduler.core.broker.routing.rows import (
    DEFAULT_EXCHANGE,
    Binding,
    Destination,
    DestinationKind,
    Exchange,
    Message,
    Removed,
    Route,
)
from scheduler.core.broker.routing.virtual_host import ExchangeState, VirtualHost


class Router:
    """The exchanges and bindings of a cluster. Names in one virtual host are unknown in another."""

    def __init__(self) -> None:
        self._hosts: dict[str, VirtualHost] = {}

    @property
    def virtual_hosts(self) -> Mapping[str, VirtualHost]:
        """By name. A standby puts and drops rows there."""
        return MappingProxyType(self._hosts)

    def host(self, name: str) -> VirtualHost:
        """The name space of that name. Raises NOT_FOUND."""
        return self._host(name)

    def create_virtual_host(self, name: str) -> bool:
        """Create a name space with the predeclared exchanges; False when there is one already."""
        checks.name("virtual_host", name)
        if name in self._hosts:
            return False
        self._hosts[name] = VirtualHost(name)
        return True

    def delete_virtual_host(self, name: str) -> None:
        """Delete it with all that is in it. NOT_FOUND when there is none."""
        self._host(name)
        del self._hosts[name]

    def add_queue(self, virtual_host: str, name: str) -> None:
        """A message queue was created: the default exchange reaches it by its name."""
        checks.name("queue", name)
        self._host(virtual_host).put_queue(name)

    def remove_queue(self, virtual_host: str, name: str) -> Removed:
        """A message queue was deleted: its bindings go, and exchanges that only it kept."""
        host = self._host(virtual_host)
        destination = Destination(DestinationKind.QUEUE, name)
        removed = _remove(host, host.bindings_to(destination))
        host.drop_queue(name)
        return removed

    def declare(self, row: Exchange) -> Exchange | None:
        """Declare an exchange: its row when it is new, None when it was there already.

        FAILED_PRECONDITION names the field in which the present one differs.
        """
        host = self._host(row.virtual_host)
        current = host.exchanges.get(row.name)
        checks.exchange(row, new=current is None)
        if current is not None:
            checks.same(current.row, row)
            return None
        host.put_exchange(row)
        return row

    def apply_policy(self, virtual_host: str, name: str, alternate: str | None) -> Exchange | None:
        """The policy now in force names this alternate exchange; the row when that is new."""
        host = self._host(virtual_host)
        if name == DEFAULT_EXCHANGE:
            raise checks.default_exchange("apply a policy to")
        current = _exchange(host, name).row
        row = replace(current, policy_alternate=alternate)
        if row == current:
            return None
        host.put_exchange(row)
        return row

    def delete_exchange(self, virtual_host: str, name: str, *, if_unused: bool = False) -> Removed:
        """Delete an exchange. `if_unused`: only when nothing is bound to it."""
        self.check_delete_exchange(virtual_host, name, if_unused=if_unused)
        return _remove(self._host(virtual_host), (), exchange=name)

    def check_delete_exchange(
        self, virtual_host: str, name: str, *, if_unused: bool = False
    ) -> None:
        """Whether an exchange may be deleted. Raises what `delete_exchange` raises."""
        host = self._host(virtual_host)
        if name == DEFAULT_EXCHANGE:
            raise checks.default_exchange("delete")
        if name.startswith(checks.RESERVED):
            raise precondition(
                "RESERVED_EXCHANGE", f"exchange {name!r} is predeclared; it cannot be deleted"
            )
        _exchange(host, name)
        if if_unused and host.is_source(name):
            raise precondition(
                "EXCHANGE_IN_USE",
                f"exchange {name!r} has bindings; delete them first, or delete it with them",
                exchange=name,
            )

    def bind(
        self,
        virtual_host: str,
        source: str,
        destination: Destination,
        key: bytes = b"",
        arguments: Table = (),
    ) -> Binding | None:
        """Bind something to an exchange: the row when it is new, None otherwise.

        A task queue is not looked up: whoever asks knows whether there is one.

        Bindings differ by key and arguments, also where the type of the exchange reads neither.
        Exchanges may be bound in a circle.
        """
        host = self._host(virtual_host)
        row = self._binding(host, source, destination, key, arguments)
        checks.binding(row, _exchange(host, source).row.type)
        if destination.kind is DestinationKind.EXCHANGE:
            _exchange(host, destination.name)
        elif destination.kind is DestinationKind.QUEUE and destination.name not in host.queues:
            raise not_found("message_queue", destination.name)
        if row.id in host.bindings:
            return None
        host.put_binding(row)
        return row

    def unbind(
        self,
        virtual_host: str,
        source: str,
        destination: Destination,
        key: bytes = b"",
        arguments: Table = (),
    ) -> Removed:
        """Remove a binding. Nothing happens when there is none, as in RabbitMQ."""
        host = self._host(virtual_host)
        return _remove(host, (self._binding(host, source, destination, key, arguments),))

    def bound_task_queue(self, name: str) -> int:
        """How many bindings lead to a task queue, in all virtual hosts."""
        destination = Destination(DestinationKind.TASK_QUEUE, name)
        return sum([len(host.bindings_to(destination)) for host in self._hosts.values()])

    def route(
        self,
        virtual_host: str,
        exchange: str,
        message: Message,
        *,
        mandatory: bool = False,
        inside: bool = False,
    ) -> Route:
        """The queues that a message published to `exchange` reaches.

        `inside`: the broker publishes it itself, which an internal exchange accepts.

        NOT_FOUND: no such exchange. FAILED_PRECONDITION: the exchange is internal.
        """
        host = self._host(virtual_host)
        state = _exchange(host, exchange)
        if state.row.internal and not inside:
            raise precondition(
                "INTERNAL_EXCHANGE",
                f"exchange {exchange!r} is internal; publish to an exchange that is bound to it",
                exchange=exchange,
            )
        keys = checks.routing_keys(message)
        found = state.matcher.match(message, keys)
        if (found.queues or found.task_queues) and not found.exchanges:
            return Route(found.queues, task_queues=found.task_queues)
        queues, tasks = _reached(host, state, found, message, keys)
        return Route(queues, mandatory and not (queues or tasks), tasks)

    def _host(self, name: str) -> VirtualHost:
        host = self._hosts.get(name)
        if host is None:
            raise not_found("virtual_host", name)
        return host

    @staticmethod
    def _binding(
        host: VirtualHost, source: str, destination: Destination, key: bytes, arguments: Table
    ) -> Binding:
        checks.ends(source, destination)
        checks.key("binding_key", key)
        checks.arguments(arguments)
        # Two clients that send the same arguments in another order mean the same binding.
        ordered = tuple(sorted(arguments, key=lambda entry: entry[0]))
        return Binding(host.name, source, destination, key, ordered, host.next_ordinal)


def _exchange(host: VirtualHost, name: str) -> ExchangeState:
    state = host.exchanges.get(name)
    if state is None:
        raise not_found("exchange", name)
    return state


def _reached(
    host: VirtualHost,
    state: ExchangeState,
    found: Matched,
    message: Message,
    keys: tuple[bytes, ...],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The message queues and task queues behind `state` that matched `found`, through exchanges.

    Each exchange is visited once, so circles of bindings or of alternates end. An alternate takes
    over when no binding matched, whatever those further on reach.
    """
    queues: dict[str, None] = {}
    tasks: dict[str, None] = {}
    visited = {state.row.name: None}
    waiting: deque[ExchangeState] = deque()
    while True:
        queues.update(dict.fromkeys(found.queues))
        tasks.update(dict.fromkeys(found.task_queues))
        following: tuple[str, ...] = found.exchanges
        if not found.size and state.alternate is not None:
            following = (state.alternate,)
        for name in following:
            # An alternate need not exist.
            if name not in visited and name in host.exchanges:
                visited[name] = None
                waiting.append(host.exchanges[name])
        if not waiting:
            return tuple(sorted(queues)), tuple(sorted(tasks))
        state = waiting.popleft()
        found = state.matcher.match(message, keys)


def _remove(host: VirtualHost, bindings: Iterable[Binding], *, exchange: str = "") -> Removed:
    """Remove bindings, then an exchange with its own, and the exchanges that only they kept."""
    doomed: deque[str] = deque()
    gone = _drop(host, bindings, doomed)
    exchanges: list[Exchange] = []
    if exchange:
        doomed.append(exchange)
    while doomed:
        name = doomed.popleft()
        # It is doomed twice when it is deleted, auto-delete and had bindings.
        if name not in host.exchanges:
            continue
        to_it = host.bindings_to(Destination(DestinationKind.EXCHANGE, name))
        gone += _drop(host, (*host.bindings_from(name), *to_it), doomed)
        exchanges.append(host.drop_exchange(name))
    return Removed(tuple(exchanges), tuple(gone))


def _drop(host: VirtualHost, bindings: Iterable[Binding], doomed: deque[str]) -> list[Binding]:
    """Remove those that are there; `doomed` gets the auto-delete exchanges that lost their last."""
    gone: list[Binding] = []
    for binding in bindings:
        row = host.drop_binding(binding.id)
        if row is None:
            continue
        gone.append(row)
        if host.exchanges[row.source].row.auto_delete and not host.is_source(row.source):
            doomed.append(row.source)
    return gone
