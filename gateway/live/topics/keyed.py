"""Feeds of topics whose whole state is small: `queues`, `nodes`, `services`, `cluster`. Pure.

`Entities` holds the state of one topic, name -> JSON, and says what changed when a newer one comes;
each feed picks what its filter names. A client that comes back gets a snapshot: it is as small as
what it missed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gateway.live.messages import frames
from gateway.live.messages.filters import NameFilter
from gateway.live.topics.feed import Feed


class Entities:
    """The state of one topic; `version` grows with each change."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}
        self.known = False
        self.version = 0
        # The etcd revision up to which all is here; 0 where the cluster does not give it.
        self.revision = 0

    def replace(self, items: Mapping[str, bytes]) -> set[str]:
        """Take a whole new state; the names of what is new, changed or gone."""
        changed = {name for name, text in items.items() if self.items.get(name) != text}
        changed |= self.items.keys() - items.keys()
        return self._change(dict(items), changed)

    def update(self, items: Mapping[str, bytes], removed: Iterable[str]) -> set[str]:
        """Take changes; the names of what they change."""
        merged = {**self.items, **items}
        for name in removed:
            merged.pop(name, None)
        return self.replace(merged)

    def _change(self, items: dict[str, bytes], changed: set[str]) -> set[str]:
        self.items = items
        if changed or not self.known:
            self.version += 1
        self.known = True
        return changed


class KeyedFeed(Feed):
    """Entities with the names that are wanted."""

    def __init__(self, topic: str, wanted: NameFilter, entities: Entities) -> None:
        super().__init__(topic)
        self.wanted = wanted
        self._entities = entities
        self._changed: set[str] = set()

    @property
    def loaded(self) -> bool:
        """Whether the topic's state is known."""
        return self._entities.known

    def note(self, names: Iterable[str]) -> bool:
        """These changed; whether any is wanted."""
        wanted = self.wanted.names
        self._changed.update(name for name in names if not wanted or name in wanted)
        return bool(self._changed)

    def snapshot(self) -> bytes:
        """All that is wanted, by name."""
        wanted = self.wanted.names
        items = self._entities.items
        texts = [items[name] for name in sorted(items) if not wanted or name in wanted]
        return frames.snapshot(self.topic, self._entities.revision, self._resume(), texts)

    def flush(self, now: float) -> bytes | None:
        """What changed since the last flush."""
        if not self._changed:
            return None
        names, self._changed = sorted(self._changed), set()
        items = self._entities.items
        changed = [items[name] for name in names if name in items]
        removed = [name for name in names if name not in items]
        return frames.delta(self.topic, self._entities.revision, self._resume(), changed, removed)

    def _resume(self) -> str:
        return str(self._entities.version)
