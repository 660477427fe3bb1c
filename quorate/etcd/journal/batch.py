"""One Txn in the making: the writes of whole events, coalesced by key, and who waits for them.

A batch is owned by the journal that opened it. It is plain data and knows nothing of etcd's
answers. It keeps etcd's own rule for a Txn: no key twice, and no put inside a deleted range
(`etcdserver: duplicate key given in txn request`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from quorate.etcd.api import Delete, Put

After = Callable[[int], None]
Failed = Callable[[Exception], None]

# Bytes that a write costs in the request beside its key and value (tags, lengths, lease).
WRITE_OVERHEAD = 24


def weigh(writes: Sequence[Put | Delete]) -> int:
    """Bytes that `writes` take in a request, rounded up."""
    # Field 1 of both kinds is bytes: a Put's value, a Delete's range_end.
    return sum([len(write[0]) + len(write[1]) for write in writes]) + WRITE_OVERHEAD * len(writes)


def covers(delete: Delete, key: bytes) -> bool:
    """Whether `delete` removes `key`. A `range_end` of NUL means every key from `key` on."""
    if not delete.range_end:
        return key == delete.key
    return key >= delete.key and (delete.range_end == b"\0" or key < delete.range_end)


def conflicting(writes: Sequence[Put | Delete]) -> bool:
    """Whether one event both deletes a range and puts a key inside it."""
    ranges = [write for write in writes if type(write) is Delete and write.range_end]
    return any(type(w) is Put and covers(deleted, w.key) for deleted in ranges for w in writes)


class Batch:
    """The events of one Txn, in the order they were appended.

    Attributes:
        writes: the last write of each key.
        ranges: deletions of ranges; no put of the batch lies inside one.
        waiters: `after, failed, after, failed, ...`, flat, since a pair per event would cost an
            object per event.
        events: how many events were appended, also those without a waiter.
        weight: bytes of the writes that are left, see `weigh`.
        purge: the batch holds a retention Txn: deletions only, and the head is not moved.
    """

    __slots__ = ("events", "purge", "ranges", "waiters", "weight", "writes")

    def __init__(self, *, purge: bool = False) -> None:
        self.writes: dict[bytes, Put | Delete] = {}
        self.ranges: list[Delete] = []
        self.waiters: list[After | Failed | None] = []
        self.events = 0
        self.weight = 0
        self.purge = purge

    @property
    def size(self) -> int:
        """Operations in the Txn, without the head."""
        return len(self.writes) + len(self.ranges)

    def add(
        self,
        writes: Sequence[Put | Delete],
        weight: int,
        after: After | None,
        failed: Failed | None,
    ) -> int:
        """Take one event of `weight`; the caller has checked that it fits. Returns the bytes it
        added."""
        known = self.writes
        grown = weight
        for write in writes:
            key = write[0]
            if type(write) is Delete and write.range_end:
                self.ranges.append(write)
                continue
            if key in known:
                grown -= len(key) + len(known[key][1]) + WRITE_OVERHEAD
            known[key] = write
        self.weight += grown
        self.events += 1
        if after is not None or failed is not None:
            self.waiters.append(after)
            self.waiters.append(failed)
        return grown

    def clashes(self, writes: Sequence[Put | Delete]) -> bool:
        """Whether etcd would refuse `writes` beside this batch because of a deleted range."""
        for write in writes:
            if type(write) is Delete and write.range_end:
                if self.puts_into((write,)):
                    return True
            elif any(covers(deleted, write[0]) for deleted in self.ranges):
                return True
        return False

    def puts_into(self, deletes: Sequence[Delete]) -> bool:
        """Whether the batch puts a key that one of `deletes` removes."""
        for delete in deletes:
            if not delete.range_end:
                if type(self.writes.get(delete.key)) is Put:
                    return True
            elif any(
                type(write) is Put and covers(delete, key) for key, write in self.writes.items()
            ):
                return True
        return False

    def deletes(self) -> list[Delete]:
        """What the batch deletes."""
        return [*(write for write in self.writes.values() if type(write) is Delete), *self.ranges]

    def ops(self) -> list[Put | Delete]:
        """The Txn's writes. Their order does not matter: no key is there twice."""
        return [*self.writes.values(), *self.ranges]

    def committed(self, revision: int) -> None:
        """Run the after-effects in order.

        One that raises is our bug: those behind it fail, and the exception propagates.
        """
        waiters = self.waiters
        for index in range(0, len(waiters), 2):
            after = waiters[index]
            if after is None:
                continue
            try:
                after(revision)  # type: ignore[arg-type]
            except Exception as error:
                self.waiters = waiters[index:]
                self.abandoned(error)
                raise

    def abandoned(self, error: Exception) -> None:
        """Tell every waiter, in order, that the outcome of its event is unknown."""
        waiters, self.waiters = self.waiters, []
        for failed in waiters[1::2]:
            if failed is not None:
                failed(error)  # type: ignore[arg-type]
