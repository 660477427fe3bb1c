"""Recent versions of tasks, the newest of each: what resuming clients missed is read from it. Pure.

A journal follows one watch. Each answer of the watch is one batch with a position (1, 2, ...) and a
token to resume behind it. Nobody ever gets an older version of a task once there is a newer one,
so an older one is dropped; `floor` is the newest position of which something else had to go.

    begin(token) -> append(entries, token)* -> since(position) | None when that is too old
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from gateway.live import limits
from gateway.live.cluster.entries import Entry
from gateway.live.cluster.tokens import Token


class Journal:
    """Bounded in entries and bytes; the oldest go first."""

    def __init__(self, most: int = limits.EVENTS, most_bytes: int = limits.JOURNAL_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0
        self._positions: OrderedDict[str, int] = OrderedDict()
        self.head = 0
        self.floor = 0
        self.token = Token(0, "")
        # Up to which the watch says that nothing happened that is not here.
        self._reached = 0

    def __len__(self) -> int:
        return len(self._entries)

    def begin(self, token: Token, revision: int = 0) -> None:
        """Start anew at a token, and its revision: what was before is not known."""
        self._entries.clear()
        self._positions.clear()
        self._bytes = 0
        # Positions go on, so that no old one is taken for a new one.
        self.head += 1
        self.floor = self.head
        self.token = token
        self._reached = revision
        self._positions[token.upstream] = self.head

    def append(self, entries: Sequence[Entry], upstream: str) -> None:
        """Add one batch; `upstream` resumes behind it."""
        self.head += 1
        revision = self.token.revision
        for entry in entries:
            entry.position = self.head
            old = self._entries.pop(entry.id, None)
            if old is not None:
                self._bytes -= old.size
            self._entries[entry.id] = entry
            self._bytes += entry.size
            revision = max(revision, entry.revision)
        self.token = Token(revision, upstream)
        self._positions[upstream] = self.head
        self._positions.move_to_end(upstream)
        while self._entries and (len(self._entries) > self._most or self._bytes > self._most_bytes):
            _, gone = self._entries.popitem(last=False)
            self._bytes -= gone.size
            self.floor = max(self.floor, gone.position)
        while len(self._positions) > self._most:
            self._positions.popitem(last=False)

    @property
    def revision(self) -> int:
        """The etcd revision up to which all is here; 0: not known.

        Not the token's: that is the newest event's, which a watch of another gateway's meets.
        """
        return max(self._reached, self.token.revision)

    def renew(self, upstream: str, revision: int = 0) -> None:
        """The watch is at another place, and nothing happened between."""
        self._reached = max(self._reached, revision)
        if upstream != self.token.upstream:
            self.append((), upstream)

    def since(self, position: int) -> list[Entry] | None:
        """The newest version of each task that changed after `position`, oldest first.

        None when a part of that is forgotten.
        """
        if position < self.floor:
            return None
        found = []
        for entry in reversed(self._entries.values()):
            if entry.position <= position:
                break
            found.append(entry)
        found.reverse()
        return found

    def position_of(self, token: Token) -> int | None:
        """Where a token of this journal's watch is; None for any other."""
        position = self._positions.get(token.upstream)
        return position if position is not None and position >= self.floor else None

    def get(self, task_id: str) -> Entry | None:
        """The newest version of a task, if it is recent."""
        return self._entries.get(task_id)
