"""Bodies that are stored apart from their messages: large ones, and those that many queues share.

    new -- parts are written --> on record -- messages refer to it --> deleted with the last one
                                    '-- a leader died before any did --> deleted at the election

A body is stored once, in parts, each written by a commit of its own if they are too much for one.
The chunks that refer to it are committed with the last part or after it, so what refers to a body
finds all of it. It is deleted in the commit that deletes the last of these chunks, or after it.

How many messages refer to a body is not on record: a leader counts the references of all chunks
when its term begins, those of messages that it publishes, and takes off those of chunks that are
deleted. A chunk refers to a body until it is deleted, also for a message of it that is
acknowledged: with its bodies a chunk is no larger than one without (`format`), and a message that
is larger is a chunk of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

# Bytes of one part: a commit takes it with what else it has.
PART_BYTES: Final = 512 << 10
# Its id, and how many bytes it has.
REF: Final = struct.Struct("<QI")
REF_BYTES: Final = REF.size
# Smaller ones are no matter on their way to clients: their messages are no larger than others.
LARGE_BYTES: Final = 256 << 10
MOST_BODY_BYTES: Final = (1 << 32) - 1


class BodyRef(NamedTuple):
    """What a message says of a body that is stored apart. `size` in bytes."""

    id: int
    size: int

    @property
    def parts(self) -> int:
        """How many there are."""
        return -(-self.size // PART_BYTES)


def pack_refs(refs: Iterable[BodyRef]) -> bytes:
    """References, as they lie in the header of a chunk: one for each message that has one."""
    return b"".join([REF.pack(*ref) for ref in refs])


def unpack_refs(packed: bytes) -> Iterator[BodyRef]:
    """Undoes `pack_refs`."""
    return map(BodyRef._make, REF.iter_unpack(packed))


class Bodies:
    """Which bodies there are, and what refers to them.

    A standby knows which are on record; the rest is a leader's, from `lead` on. Memory: about 200
    bytes for each body.

    Attributes:
        on_record: ids of bodies with parts on record, or whose parts are being written.
        writing: bytes of those whose messages are not all placed yet; they are in memory.

    Args:
        most_writing: with more, `is_heavy`.
    """

    def __init__(self, most_writing: int = 64 << 20) -> None:
        self._most_writing = most_writing
        self.on_record: dict[int, None] = {}
        self._refs: dict[int, int] = {}
        self.writing = 0
        self._next = 1
        # Nothing refers to them any more. Parts: 0 for an unknown number.
        self._unused: dict[int, int] = {}

    @property
    def is_heavy(self) -> bool:
        """Whether so much is being written that clients have to wait."""
        return self.writing > self._most_writing

    # -- following

    def fold(self, body: int) -> None:
        """A part is on record."""
        self.on_record[body] = None

    def fold_deleted(self, body: int) -> None:
        """A part is deleted, and so are the others."""
        self.on_record.pop(body, None)

    # -- leading

    def lead(self, refs: Iterable[bytes]) -> None:
        """A term begins.

        Args:
            refs: the references of all chunks, packed. What is on record and has none is unused.
        """
        self.writing = 0
        self._refs.clear()
        for packed in refs:
            for body, _ in REF.iter_unpack(packed):
                self._refs[body] = self._refs.get(body, 0) + 1
        self._unused = {body: 0 for body in self.on_record if body not in self._refs}
        self._next = 1 + max([0, *self.on_record, *self._refs])

    def new(self, size: int) -> BodyRef:
        """A body whose parts will be written. One refers to it from now on: who asked."""
        assert 0 < size <= MOST_BODY_BYTES, size
        ref = BodyRef(self._next, size)
        self._next += 1
        self.on_record[ref.id] = None
        self._refs[ref.id] = 1
        return ref

    def refer(self, ref: BodyRef) -> None:
        """One more message refers to a body that has a reference."""
        self._refs[ref.id] = self._refs.get(ref.id, 0) + 1

    def release(self, packed: bytes) -> None:
        """References are gone: those of a chunk, or one of `refer` or `new`."""
        for body, size in REF.iter_unpack(packed):
            left = self._refs.get(body, 0) - 1
            if left > 0:
                self._refs[body] = left
            else:
                self._refs.pop(body, None)
                self._unused[body] = BodyRef(body, size).parts

    def references(self, body: int) -> int:
        """How many there are."""
        return self._refs.get(body, 0)

    def take_unused(self, most: int) -> list[tuple[int, int]]:
        """Up to so many bodies that nothing refers to any more, with their numbers of parts (0: not
        known): the caller deletes them in this step. At the end of a step: a message may move its
        reference from chunk to chunk within one."""
        found: list[tuple[int, int]] = []
        while self._unused and len(found) < most:
            body, parts = self._unused.popitem()
            if body not in self._refs and body in self.on_record:
                del self.on_record[body]
                found.append((body, parts))
        return found

    @property
    def has_unused(self) -> bool:
        """Whether `take_unused` may find more."""
        return bool(self._unused)

    def facts(self) -> tuple[object, ...]:
        """What a leader that is idle and one that is elected now have to agree on."""
        return sorted(self.on_record), sorted(self._refs.items())
