"""Topic exchanges: a trie of the binding keys, and a cache of what routing keys matched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from scheduler.core.broker.routing.matchers.matcher import Matched, union
from scheduler.core.broker.routing.matchers.trie import Trie
from scheduler.core.broker.routing.rows import Binding, Message

# Destinations in the cache of one exchange, plus one for each of its keys: at most 2 MB, with keys
# of 255 bytes, beside the names that the bindings hold anyway.
MOST_CACHED: Final = 4096


class Topic:
    """The binding key, a pattern, matches one of the routing keys.

    The cache is emptied when a binding changes, and when it is full: keys that are not repeated
    then cost what they cost without a cache.
    """

    def __init__(self) -> None:
        self._trie = Trie()
        self._cache: dict[bytes, Matched] = {}
        self._cached = 0

    @property
    def visits(self) -> int:
        """Nodes of the trie visited so far."""
        return self._trie.visits

    def bind(self, binding: Binding) -> None:
        """Add a binding."""
        self._trie.add(binding.key, binding.destination)
        self._forget()

    def unbind(self, binding: Binding) -> None:
        """Remove a binding."""
        self._trie.remove(binding.key, binding.destination)
        self._forget()

    def match(self, message: Message, keys: Sequence[bytes]) -> Matched:
        """The destinations for a message."""
        cache = self._cache
        return union([cache.get(key) or self._match(key) for key in keys])

    def _match(self, key: bytes) -> Matched:
        result = union([ends.matched() for ends in self._trie.match(key)])
        size = 1 + result.size
        if size > MOST_CACHED:
            return result
        if self._cached + size > MOST_CACHED:
            self._forget()
        self._cache[key] = result
        self._cached += size
        return result

    def _forget(self) -> None:
        self._cache.clear()
        self._cached = 0
