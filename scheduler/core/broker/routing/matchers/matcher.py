"""What every type of exchange does, and destinations as matchers hold and return them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from scheduler.core.broker.routing.rows import Binding, Destination, DestinationKind, Message


class Matched(NamedTuple):
    """The destinations of matching bindings, by kind: sorted, each once."""

    queues: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()
    task_queues: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.queues) + len(self.exchanges) + len(self.task_queues)


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
    found: dict[DestinationKind, dict[str, None]] = {kind: {} for kind in DestinationKind}
    for kind, name in destinations:
        found[kind][name] = None
    return Matched(
        tuple(sorted(found[DestinationKind.QUEUE])),
        tuple(sorted(found[DestinationKind.EXCHANGE])),
        tuple(sorted(found[DestinationKind.TASK_QUEUE])),
    )


def union(results: Sequence[Matched]) -> Matched:
    """What any of them has."""
    if not results:
        return NOTHING
    if len(results) == 1:
        return results[0]
    queues = {name: None for result in results for name in result.queues}
    exchanges = {name: None for result in results for name in result.exchanges}
    tasks = {name: None for result in results for name in result.task_queues}
    return Matched(tuple(sorted(queues)), tuple(sorted(exchanges)), tuple(sorted(tasks)))
