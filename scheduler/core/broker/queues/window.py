"""The bodies in memory: chunks of all queues, in one bound, shared fairly.

A queue may hold more than its share while there is room. When there is none, the queue that holds
most loses its last chunk, the one furthest from its consumers. What is not here is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.format import BadChunk, Message, unpack
from scheduler.core.broker.storage.places import SubLogName

# Sub-log and first sequence of a chunk.
Place: TypeAlias = tuple[SubLogName, int]
# Memory of a message beside its payload.
_MESSAGE_BYTES: Final = 250


class Window:
    """The bodies of all queues.

    Attributes:
        limit, size: bytes.
        bad: chunks that could not be read, by place: their messages are kept and never delivered.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._chunks: dict[QueueUid, dict[Place, Mapping[int, Message]]] = {}
        self._sizes: dict[QueueUid, dict[Place, int]] = {}
        self._weights: dict[QueueUid, int] = {}

    def get(self, uid: QueueUid, sub_log: SubLogName, first: int) -> Mapping[int, Message] | None:
        """The messages of a chunk by sequence; None: it is not in memory."""
        chunks = self._chunks.get(uid)
        return None if chunks is None else chunks.get((sub_log, first))

    def put(
        self, uid: QueueUid, sub_log: SubLogName, first: int, value: bytes, *, wanted: bool
    ) -> None:
        """Take a chunk.

        Args:
            wanted: somebody waits for it: others make room. Otherwise it is left out when there is
                none.
        """
        weight = len(value)
        if not wanted and self.size + weight > self.limit:
            return
        try:
            messages = {message.sequence: message for message in unpack(value)}
        except BadChunk:
            # Of a later version, or broken: nobody gets its messages from this process.
            messages = {}
        weight += _MESSAGE_BYTES * len(messages)
        self.drop(uid, sub_log, first, first)
        while self.size + weight > self.limit and self._weights:
            self._evict()
        self._chunks.setdefault(uid, {})[sub_log, first] = messages
        self._sizes.setdefault(uid, {})[sub_log, first] = weight
        self._weights[uid] = self._weights.get(uid, 0) + weight
        self.size += weight

    def drop(self, uid: QueueUid, sub_log: SubLogName, first: int, last: int) -> None:
        """Forget the chunks whose first sequences are from `first` to `last`."""
        sizes = self._sizes.get(uid)
        if sizes is None:
            return
        places = (
            [(sub_log, first)]
            if first == last
            else [place for place in sizes if place[0] == sub_log and first <= place[1] <= last]
        )
        for place in places:
            if place in sizes:
                self._forget(uid, place)

    def drop_queue(self, uid: QueueUid) -> None:
        """Forget all of a queue."""
        self.size -= self._weights.pop(uid, 0)
        self._chunks.pop(uid, None)
        self._sizes.pop(uid, None)

    def clear(self) -> None:
        """Forget everything."""
        for uid in list(self._weights):
            self.drop_queue(uid)

    def _evict(self) -> None:
        uid = max(self._weights, key=self._weights.__getitem__)
        # Lower priorities first, then later sequences.
        self._forget(uid, min(self._sizes[uid], key=lambda place: (place[0], -place[1])))

    def _forget(self, uid: QueueUid, place: Place) -> None:
        weight = self._sizes[uid].pop(place)
        del self._chunks[uid][place]
        self.size -= weight
        self._weights[uid] -= weight
        if not self._sizes[uid]:
            del self._sizes[uid], self._chunks[uid], self._weights[uid]
