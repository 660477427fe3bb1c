"""A virtual host: a name space of exchanges, message queues and bindings, and the indexes of them.

Nothing is checked here, and nothing follows from a change: `router` does both on the leader, and a
standby folds the rows that resulted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

from scheduler.core.broker.routing.checks import alternate
from scheduler.core.broker.routing.matchers.by_key import Default, Direct, Fanout
from scheduler.core.broker.routing.matchers.consistent_hash import ConsistentHash
from scheduler.core.broker.routing.matchers.headers import Headers
from scheduler.core.broker.routing.matchers.matcher import Matcher
from scheduler.core.broker.routing.matchers.topic import Topic
from scheduler.core.broker.routing.rows import (
    DEFAULT_EXCHANGE,
    Binding,
    BindingId,
    Destination,
    DestinationKind,
    Exchange,
    ExchangeType,
)

_Key = TypeVar("_Key", str, Destination)

# They are in each virtual host and have no records.
PREDECLARED: Final = (
    ("amq.direct", ExchangeType.DIRECT),
    ("amq.fanout", ExchangeType.FANOUT),
    ("amq.headers", ExchangeType.HEADERS),
    ("amq.match", ExchangeType.HEADERS),
    ("amq.topic", ExchangeType.TOPIC),
)


@dataclass(slots=True)
class ExchangeState:
    """An exchange, its bindings as they are matched, and the alternate exchange in force."""

    row: Exchange
    matcher: Matcher
    alternate: str | None


class VirtualHost:
    """One name space. All its mappings iterate in the order in which rows were put."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._queues: dict[str, None] = {}
        self._exchanges: dict[str, ExchangeState] = {}
        self._bindings: dict[BindingId, Binding] = {}
        self._from: dict[str, dict[BindingId, Binding]] = {}
        self._to: dict[Destination, dict[BindingId, Binding]] = {}
        self._next_ordinal = 1
        default = Exchange(name, DEFAULT_EXCHANGE, ExchangeType.DIRECT)
        self._exchanges[DEFAULT_EXCHANGE] = ExchangeState(default, Default(self._queues), None)
        for predeclared, type_ in PREDECLARED:
            self.put_exchange(Exchange(name, predeclared, type_))

    @property
    def exchanges(self) -> Mapping[str, ExchangeState]:
        """By name, the default exchange and the predeclared ones included."""
        return MappingProxyType(self._exchanges)

    @property
    def bindings(self) -> Mapping[BindingId, Binding]:
        """All but the implicit ones of the default exchange."""
        return MappingProxyType(self._bindings)

    @property
    def queues(self) -> Mapping[str, None]:
        """The names of the message queues that exist."""
        return MappingProxyType(self._queues)

    @property
    def next_ordinal(self) -> int:
        """Greater than that of every binding so far."""
        return self._next_ordinal

    def put_queue(self, name: str) -> None:
        """A message queue exists."""
        self._queues[name] = None

    def drop_queue(self, name: str) -> None:
        """A message queue is gone, after its bindings."""
        assert Destination(DestinationKind.QUEUE, name) not in self._to, "its bindings go first"
        self._queues.pop(name, None)

    def put_exchange(self, row: Exchange) -> None:
        """An exchange exists, or its policy has changed; its bindings stay."""
        in_force = alternate(row.arguments)
        if in_force is None:
            in_force = row.policy_alternate
        known = self._exchanges.get(row.name)
        if known is None:
            self._exchanges[row.name] = ExchangeState(row, _matcher(row), in_force)
        else:
            assert known.row.type is row.type, "a type never changes"
            known.row, known.alternate = row, in_force

    def drop_exchange(self, name: str) -> Exchange:
        """An exchange is gone, after its bindings."""
        assert not self.is_source(name), "its bindings go first"
        return self._exchanges.pop(name).row

    def put_binding(self, row: Binding) -> None:
        """A binding exists. Its source does, too."""
        identity = row.id
        if identity in self._bindings:
            return
        self._exchanges[row.source].matcher.bind(row)
        self._bindings[identity] = row
        self._from.setdefault(row.source, {})[identity] = row
        self._to.setdefault(row.destination, {})[identity] = row
        self._next_ordinal = max(self._next_ordinal, row.ordinal + 1)

    def drop_binding(self, identity: BindingId) -> Binding | None:
        """A binding is gone; None when there was none."""
        row = self._bindings.pop(identity, None)
        if row is None:
            return None
        self._exchanges[row.source].matcher.unbind(row)
        _take(self._from, row.source, identity)
        _take(self._to, row.destination, identity)
        return row

    def of(self, exchange: str) -> Mapping[BindingId, Binding]:
        """Those of which the exchange is the source."""
        return MappingProxyType(self._from.get(exchange, {}))

    def to(self, destination: Destination) -> Mapping[BindingId, Binding]:
        """Those that lead there."""
        return MappingProxyType(self._to.get(destination, {}))

    def bindings_from(self, exchange: str) -> tuple[Binding, ...]:
        """Those of which the exchange is the source, oldest first."""
        return _oldest_first(self._from.get(exchange))

    def bindings_to(self, destination: Destination) -> tuple[Binding, ...]:
        """Those that lead there, oldest first."""
        return _oldest_first(self._to.get(destination))

    def count_from(self, exchange: str) -> int:
        """How many bindings the exchange is the source of."""
        return len(self._from.get(exchange, ()))

    def is_source(self, exchange: str) -> bool:
        """Whether anything is bound to the exchange."""
        return exchange in self._from


def _matcher(row: Exchange) -> Matcher:
    match row.type:
        case ExchangeType.DIRECT:
            return Direct()
        case ExchangeType.FANOUT:
            return Fanout()
        case ExchangeType.TOPIC:
            return Topic()
        case ExchangeType.HEADERS:
            return Headers()
        case ExchangeType.CONSISTENT_HASH:
            return ConsistentHash(row.arguments)


def _take(index: dict[_Key, dict[BindingId, Binding]], key: _Key, identity: BindingId) -> None:
    del index[key][identity]
    if not index[key]:
        del index[key]


def _oldest_first(bindings: Mapping[BindingId, Binding] | None) -> tuple[Binding, ...]:
    return tuple(sorted((bindings or {}).values(), key=lambda row: row.ordinal))
