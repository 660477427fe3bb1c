"""Consistent hashing: each message goes to one destination, chosen by a hash of its routing key, a
header or a property (RabbitMQ's plugin `rabbitmq_consistent_hash_exchange`).

A binding's key is its weight: the number of its buckets. Buckets stand in the order in which the
bindings were made (`Binding.ordinal`). When a destination has several bindings, the oldest counts.

A hash finds its bucket by "A Fast, Minimal Memory, Consistent Hash Algorithm" (Lamping and Veach,
2014): with one more bucket of n, one hash of n moves, and always into the new one.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from scheduler.core.broker.routing.fields import Table, comparable, lookup
from scheduler.core.broker.routing.matchers.matcher import NOTHING, Matched, matched
from scheduler.core.broker.routing.rows import Binding, BindingId, Destination, Message

HASH_HEADER: Final = "hash-header"
HASH_PROPERTY: Final = "hash-property"
PROPERTIES: Final = ("correlation_id", "message_id", "timestamp")
MOST_WEIGHT: Final = 10_000

_MASK = (1 << 64) - 1


class ConsistentHash:
    """One destination for each message. `arguments` are those of the exchange.

    A route costs the logarithm of the number of buckets; the first one after a change of bindings
    sorts them.
    """

    def __init__(self, arguments: Table) -> None:
        self._header = _name(arguments, HASH_HEADER)
        self._property = _name(arguments, HASH_PROPERTY)
        self._bindings: dict[BindingId, Binding] = {}
        # The destinations in the order of their buckets, and the number of the buckets of each and
        # of those before it; empty: to be made.
        self._order: list[Destination] = []
        self._ends: list[int] = []

    def bind(self, binding: Binding) -> None:
        """Add a binding."""
        self._bindings[binding.id] = binding
        self._ends.clear()

    def unbind(self, binding: Binding) -> None:
        """Remove a binding."""
        del self._bindings[binding.id]
        self._ends.clear()

    def match(self, message: Message, keys: Sequence[bytes]) -> Matched:
        """The destination for a message; none while nothing is bound."""
        if not self._bindings:
            return NOTHING
        if not self._ends:
            self._arrange()
        digest = hashlib.blake2b(self._hashed(message), digest_size=8).digest()
        bucket = jump(int.from_bytes(digest, "big"), self._ends[-1])
        return matched((self._order[bisect_right(self._ends, bucket)],))

    def _arrange(self) -> None:
        weights: dict[Destination, int] = {}
        for binding in sorted(self._bindings.values(), key=lambda one: one.ordinal):
            weights.setdefault(binding.destination, int(binding.key))
        self._order = list(weights)
        total = 0
        for weight in weights.values():
            total += weight
            self._ends.append(total)

    def _hashed(self, message: Message) -> bytes:
        """What is hashed. All messages without the header or property hash the same."""
        if self._header is not None:
            value = message.headers.get(self._header)
            return b"" if value is None else repr(comparable(value)).encode()
        match self._property:
            case "correlation_id":
                return message.correlation_id or b""
            case "message_id":
                return message.message_id or b""
            case "timestamp":
                return b"" if message.timestamp is None else b"%d" % message.timestamp
            case _:
                return message.routing_key


def jump(key: int, buckets: int) -> int:
    """The bucket of a 64-bit hash, from 0 to `buckets` - 1."""
    bucket, following = 0, 0
    while following < buckets:
        bucket = following
        key = (key * 2862933555777941757 + 1) & _MASK
        following = int((bucket + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return bucket


def _name(arguments: Table, name: str) -> str | None:
    value = lookup(arguments, name)
    if value is None:
        return None
    assert isinstance(value.scalar, bytes), "the exchange was checked"
    return value.scalar.decode()
