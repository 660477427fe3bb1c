"""Exchanges that need no more than a dictionary: direct, fanout and the default exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduler.core.broker.routing.matchers.matcher import Destinations, Matched, union
from scheduler.core.broker.routing.rows import Binding, Message


class Direct:
    """The binding key equals one of the routing keys. One look-up for each key."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Destinations] = {}

    def bind(self, binding: Binding) -> None:
        """Add a binding."""
        found = self._by_key.get(binding.key)
        if found is None:
            found = self._by_key[binding.key] = Destinations()
        found.add(binding.destination)

    def unbind(self, binding: Binding) -> None:
        """Remove a binding."""
        found = self._by_key[binding.key]
        found.remove(binding.destination)
        if not found:
            del self._by_key[binding.key]

    def match(self, message: Message, keys: Sequence[bytes]) -> Matched:
        """The destinations for a message."""
        by_key = self._by_key
        return union([by_key[key].matched() for key in keys if key in by_key])


class Fanout:
    """Every binding matches. The result is cached until a binding changes."""

    def __init__(self) -> None:
        self._all = Destinations()

    def bind(self, binding: Binding) -> None:
        """Add a binding."""
        self._all.add(binding.destination)

    def unbind(self, binding: Binding) -> None:
        """Remove a binding."""
        self._all.remove(binding.destination)

    def match(self, message: Message, keys: Sequence[bytes]) -> Matched:
        """All destinations."""
        return self._all.matched()


class Default:
    """A routing key is the name of the queue. `queues` are those of the virtual host, by name."""

    def __init__(self, queues: Mapping[str, None]) -> None:
        self._queues = queues

    def bind(self, binding: Binding) -> None:
        """Never called: nobody may bind to the default exchange."""
        raise AssertionError(binding)

    def unbind(self, binding: Binding) -> None:
        """Never called: see `bind`."""
        raise AssertionError(binding)

    def match(self, message: Message, keys: Sequence[bytes]) -> Matched:
        """The queues that exist. A key that is not UTF-8 is the name of none."""
        # Bytes that are not UTF-8 become surrogates, which no name has.
        names = [key.decode(errors="surrogateescape") for key in keys]
        return Matched(tuple(sorted([name for name in names if name in self._queues])))
