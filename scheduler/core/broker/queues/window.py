"""The bodies in memory: chunks of all queues, in one bound, shared fairly.

A queue may hold more than its share while there is room. When there is none, the queue that holds
most loses its last chunk, the one furthest from its consumers. What is not here is read again.

Bodies that are stored apart from their messages are here by their ids, whichever queues have them,
in up to half of the bound: the one that was not used for longest makes room. So large messages push
out only each other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, TypeAlias

from scheduler.core.broker.queues.envelope import body_field
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.bodies import LARGE_BYTES, BodyRef
from scheduler.core.broker.storage.format import BadChunk, Message, unpack
from scheduler.core.broker.storage.places import SubLogName

# Sub-log and first sequence of a chunk.
Place: TypeAlias = tuple[SubLogName, int]
# Memory of a message beside its payload.
_MESSAGE_BYTES: Final = 250


class BodyCache:
    """Bodies that are stored apart, and those of them that are on their way to clients.

    Attributes:
        limit, size: bytes.
        outgoing: bytes of large ones that clients have not taken yet, as the driver says before
            each step; `most_outgoing`: with more, no other one is sent.
    """

    def __init__(self, limit: int, most_outgoing: int) -> None:
        self.limit = limit
        self.size = 0
        self.outgoing = 0
        self.most_outgoing = most_outgoing
        # As fields of a message; empty: not to be read.
        self._fields: OrderedDict[int, bytes] = OrderedDict()

    def whole(self, payload: bytes, ref: BodyRef) -> bytes | None:
        """A message with its body; None: it is to be loaded."""
        field = self._fields.get(ref.id)
        if not field:
            return None
        self._fields.move_to_end(ref.id)
        return payload + field

    def field(self, ref: BodyRef) -> bytes | None:
        """A body as a field of its message; None: it is to be loaded. Empty: nobody can read it."""
        return self._fields.get(ref.id)

    def is_bad(self, ref: BodyRef) -> bool:
        """Whether a body was looked for and nobody can read it: its message is kept, and never
        delivered."""
        return self._fields.get(ref.id) == b""

    def may_send(self, ref: BodyRef) -> bool:
        """Whether a body may go to a client now; one may always if there is no other."""
        if ref.size < LARGE_BYTES or not self.outgoing:
            return True
        return self.outgoing + ref.size <= self.most_outgoing

    def sends(self, ref: BodyRef) -> None:
        """A body goes to a client."""
        if ref.size >= LARGE_BYTES:
            self.outgoing += ref.size

    def has(self, ref: BodyRef) -> bool:
        """Whether `whole` finds it."""
        return ref.id in self._fields

    def put(self, ref: BodyRef, value: bytes | None) -> None:
        """Take a body that somebody waits for. None: it is not to be read."""
        self.drop(ref.id)
        field = b"" if value is None else body_field(value)
        while self._fields and self.size + len(field) > self.limit:
            self.size -= len(self._fields.popitem(last=False)[1])
        self._fields[ref.id] = field
        self.size += len(field)

    def has_room(self, size: int) -> bool:
        """Whether a body fits without another one making room."""
        return self.size + size <= self.limit

    def drop(self, body: int) -> None:
        """Forget a body."""
        self.size -= len(self._fields.pop(body, b""))

    def clear(self) -> None:
        """Forget all."""
        self._fields.clear()
        self.size = self.outgoing = 0


class Window:
    """The bodies of all queues.

    Attributes:
        limit, size: bytes of chunks and bodies together, and of chunks.
        bodies: those that are stored apart.
    """

    def __init__(self, limit: int, most_outgoing: int = 64 << 20) -> None:
        self.limit = limit
        self.size = 0
        self.bodies = BodyCache(limit // 2, most_outgoing)
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
        if not wanted and self.size + self.bodies.size + weight > self.limit:
            return
        try:
            messages = {message.sequence: message for message in unpack(value)}
        except BadChunk:
            # Of a later version, or broken: nobody gets its messages from this process.
            messages = {}
        weight += _MESSAGE_BYTES * len(messages)
        self.drop(uid, sub_log, first, first)
        self._make_room(weight)
        self._chunks.setdefault(uid, {})[sub_log, first] = messages
        self._sizes.setdefault(uid, {})[sub_log, first] = weight
        self._weights[uid] = self._weights.get(uid, 0) + weight
        self.size += weight

    def put_body(self, ref: BodyRef, value: bytes | None, *, wanted: bool) -> None:
        """Take a body that is stored apart; `value`: see `BodyCache.put`; `wanted`: see `put`."""
        if not wanted and (
            not self.bodies.has_room(ref.size)
            or self.size + self.bodies.size + ref.size > self.limit
        ):
            return
        self.bodies.put(ref, value)
        self._make_room(0)

    def _make_room(self, weight: int) -> None:
        while self.size + self.bodies.size + weight > self.limit and self._weights:
            self._evict()

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
        self.bodies.clear()

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
