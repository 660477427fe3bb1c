"""One Txn in the making: the writes of whole events, coalesced by key, and who waits for them.

A batch is owned by the journal that opened it. It is plain data and knows nothing of etcd's
answers. It keeps etcd's own rule for a Txn: no key twice, and no put inside a deleted range
(`etcdserver: duplicate key given in txn request`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.joined import Addition, Joined

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


def touches(writes: Sequence[Put | Delete], keys: Sequence[bytes]) -> bool:
    """Whether one of `writes` writes or deletes one of `keys`."""
    single = {write[0] for write in writes if type(write) is Put or not write[1]}
    ranges = [write for write in writes if type(write) is Delete and write.range_end]
    return any(key in single or any(covers(deleted, key) for deleted in ranges) for key in keys)


class Fit(NamedTuple):
    """How the additions of one event fit into a batch.

    Attributes:
        added: by place, in order.
        opened: the joined writes that they begin; the others of `added` go to those of the batch.
        keys: the keys of what they begin.
        weight: bytes that they add.
    """

    added: Mapping[bytes, Sequence[Addition]]
    opened: Mapping[bytes, Joined[Any]]
    keys: Sequence[bytes]
    weight: int


class Batch:
    """The events of one Txn, in the order they were appended.

    Attributes:
        writes: the last write of each key.
        ranges: deletions of ranges; no put of the batch lies inside one.
        joins: joined writes, by place; until the batch is sealed they are not in `writes`, and
            their keys are in `joined_keys`.
        waiters: `after, failed, after, failed, ...`, flat, since a pair per event would cost an
            object per event.
        events: how many events were appended, also those without a waiter.
        weight: bytes of the writes that are left, see `weigh`.
        purge: the batch holds a retention Txn: deletions only, and the head is not moved.
        ahead: such a Txn may go ahead of puts that wait for space.
    """

    __slots__ = (
        "ahead",
        "events",
        "joined_keys",
        "joins",
        "purge",
        "ranges",
        "waiters",
        "weight",
        "writes",
    )

    def __init__(self, *, purge: bool = False, ahead: bool = False) -> None:
        self.writes: dict[bytes, Put | Delete] = {}
        self.ranges: list[Delete] = []
        self.joins: dict[bytes, Joined[Any]] = {}
        self.joined_keys: set[bytes] = set()
        self.waiters: list[After | Failed | None] = []
        self.events = 0
        self.weight = 0
        self.purge = purge
        self.ahead = ahead

    @property
    def size(self) -> int:
        """Operations in the Txn, without the head."""
        return len(self.writes) + len(self.ranges) + len(self.joined_keys)

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

    def fit(self, added: Mapping[bytes, Sequence[Addition]]) -> Fit | None:
        """How additions of one event fit; None: a joined write is full. Changes nothing."""
        opened: dict[bytes, Joined[Any]] = {}
        keys: list[bytes] = []
        weight = 0
        for place, additions in added.items():
            joined = self.joins.get(place)
            if joined is None:
                joined = opened[place] = additions[0].begin(additions)
                keys.extend(joined.keys)
                weight += joined.weight
                continue
            growth = joined.growth(additions)
            if growth is None:
                return None
            weight += growth
        return Fit(added, opened, keys, weight)

    def join(self, fit: Fit) -> int:
        """Take the additions of an event; the caller has checked that it fits. Returns the bytes
        they added."""
        for place, additions in fit.added.items():
            if place not in fit.opened:
                self.joins[place].add(additions)
        self.joins.update(fit.opened)
        self.joined_keys.update(fit.keys)
        self.weight += fit.weight
        return fit.weight

    def seal(self) -> int:
        """Make plain writes of the joined ones. Returns the bytes that this added.

        What breaks the rules of `Joined` is our bug, and raises.
        """
        before = self.weight
        for joined in self.joins.values():
            writes = joined.seal()
            for write in writes:
                assert write[0] in joined.keys, f"a joined write of {write[0]!r}"
                assert write[0] not in self.writes, f"{write[0]!r} is written twice"
                assert type(write) is Put or not write[1], "a joined write deletes a range"
                self.writes[write[0]] = write
            self.weight += weigh(writes) - joined.weight
        self.joined_keys.clear()
        return self.weight - before

    def clashes(self, writes: Sequence[Put | Delete]) -> bool:
        """Whether `writes` may not be beside this batch: etcd would refuse them because of a
        deleted range, or they touch what a joined write writes."""
        for write in writes:
            if type(write) is Delete and write.range_end:
                if self.puts_into((write,)):
                    return True
            elif write[0] in self.joined_keys or any(
                covers(deleted, write[0]) for deleted in self.ranges
            ):
                return True
        return False

    def writes_any(self, keys: Iterable[bytes]) -> bool:
        """Whether the batch writes or deletes one of `keys`."""
        return any(
            key in self.writes
            or key in self.joined_keys
            or any(covers(deleted, key) for deleted in self.ranges)
            for key in keys
        )

    def puts_into(self, deletes: Sequence[Delete]) -> bool:
        """Whether the batch puts a key that one of `deletes` removes."""
        for delete in deletes:
            if not delete.range_end:
                if type(self.writes.get(delete.key)) is Put or delete.key in self.joined_keys:
                    return True
            elif any(
                type(write) is Put and covers(delete, key) for key, write in self.writes.items()
            ) or any(covers(delete, key) for key in self.joined_keys):
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
        if self.joins:
            self._joined_committed(revision)
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

    def _joined_committed(self, revision: int) -> None:
        try:
            for joined in self.joins.values():
                joined.committed(revision)
        except Exception as error:
            self.abandoned(error)
            raise

    def abandoned(self, error: Exception) -> None:
        """Tell every waiter, in order, that the outcome of its event is unknown."""
        waiters, self.waiters = self.waiters, []
        for failed in waiters[1::2]:
            if failed is not None:
                failed(error)  # type: ignore[arg-type]
