"""What every type of exchange does, and destinations as matchers hold and return them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from scheduler.core.broker.routing.rows import Binding, Destination, DestinationKind, Message


class Matched(NamedTuple):
    """The destinations of matching bindings, by kind: sorted, each once."""

    queues: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()


NOTHING: Final = Matched()


class Matcher(Protocol):
    """The bindings of one exchange. A binding is bound once, and unbound only when it is bound."""

    def bind(self, binding: Binding) -> None:
        """Add a binding."""

    def unbind(self, binding: Binding) -> None:
        """Remove a binding."""

    def match(self, message: Message, keys: Sequence[bytes]) -> Matched:
        """The destinations for a message. `keys`: its routing key, then CC and BCC, each once."""


class Destinations:
    """Destinations of bindings that always match together, with the sorted result cached.

    Two bindings with the same key but different arguments lead to the same destination, so each
    is counted.
    """

    __slots__ = ("_counts", "_matched")

    def __init__(self) -> None:
        self._counts: dict[Destination, int] = {}
        self._matched: Matched | None = None

    def add(self, destination: Destination) -> None:
        """One more binding leads there."""
        self._counts[destination] = self._counts.get(destination, 0) + 1
        self._matched = None

    def remove(self, destination: Destination) -> None:
        """One binding fewer leads there."""
        left = self._counts[destination] - 1
        if left:
            self._counts[destination] = left
        else:
            del self._counts[destination]
        self._matched = None

    def __bool__(self) -> bool:
        return bool(self._counts)

    def matched(self) -> Matched:
        """All of them."""
        if self._matched is None:
            self._matched = matched(self._counts)
        return self._matched


def matched(destinations: Iterable[Destination]) -> Matched:
    """These destinations, which may repeat."""
    queues: dict[str, None] = {}
    exchanges: dict[str, None] = {}
    for kind, name in destinations:
        (queues if kind is DestinationKind.QUEUE else exchanges)[name] = None
    return Matched(tuple(sorted(queues)), tuple(sorted(exchanges)))


def union(results: Sequence[Matched]) -> Matched:
    """What any of them has."""
    if not results:
        return NOTHING
    if len(results) == 1:
        return results[0]
    queues = {name: None for result in results for name in result.queues}
    exchanges = {name: None for result in results for name in result.exchanges}
    return Matched(tuple(sorted(queues)), tuple(sorted(exchanges)))
