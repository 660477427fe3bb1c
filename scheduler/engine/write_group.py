"""Writes of several events, joined into one group for the journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.joined import Addition
from quorate.etcd.journal.journal import Journal
from scheduler.core.model import effects as fx
from scheduler.engine.ports import Encoder

# Bytes of one group of writes: etcd refuses a Txn of 1.5 MiB, and one event may hold 1 MiB alone.
GROUP_BYTES = 512 << 10
# Deletions in one Txn of retention: of the longest names, callers and request ids 1.8 KB each.
PURGED_AT_ONCE = 800
# Bytes of an event with the messages about it, below etcd's bound of 1.5 MiB.
JOINED_BYTES: Final = 1_280 << 10

# Writes of attempts and of chunks that are given to nodes.
_ASSIGNMENTS: Final = frozenset((fx.PutRun, fx.PutChunk))


class Beside(NamedTuple):
    """What the broker writes beside an event: messages about it, and tasks that these became.

    Attributes:
        weight: bytes in a request, rounded up.
        made: the tasks, whose writes are among `ops`; None: none.
    """

    ops: list[Put | Delete]
    additions: list[Addition]
    weight: int
    made: fx.Effects | None


class WriteGroup:
    """The group that is being gathered: encoded writes, and what follows their commit.

    It is bounded by operations and bytes, and goes to the journal when the next event's writes
    would exceed them, or when it is flushed. Owned by the driver.

    Args:
        committed: called with the effects of a group and the revision of its Txn.
        failed: called with the effects of a group that never was committed, and why.
    """

    def __init__(
        self,
        journal: Journal,
        codec: Encoder,
        max_txn_ops: int,
        committed: Callable[[Sequence[fx.After], int], None],
        failed: Callable[[Sequence[fx.After], Exception], None],
    ) -> None:
        self.after: list[fx.After] = []
        """What follows the commit."""
        self._journal = journal
        self._codec = codec
        # Whole events are joined into groups of this many writes: one callback for many events.
        # One operation of a Txn is the head's.
        self._most_ops = min(max(8, max_txn_ops // 2), max_txn_ops - 1)
        self._purge_ops = (min(max_txn_ops, PURGED_AT_ONCE) - 2) // 2 * 2
        self._committed = committed
        self._failed = failed
        self._limit_ops = max_txn_ops - 1
        self._ops: list[Put | Delete] = []
        self._additions: list[Addition] = []
        self._bytes = 0

    def add(self, writes: Sequence[fx.Write], beside: Beside | None = None) -> None:
        """Join an event's writes to the group.

        Args:
            beside: messages about it: in the same Txn as a rule, right behind it where that
                would be too large.
        """
        if beside is not None:
            # Ahead of it: so the Txn has room for both.
            self.flush()
            self._encode(writes)
            ops = len(self._ops) + len(beside.ops) + len(beside.additions)
            if ops > self._limit_ops or self._bytes + beside.weight > JOINED_BYTES:
                self.flush()
            self._ops += beside.ops
            self._additions += beside.additions
            self._bytes += beside.weight
            return
        if len(self._ops) + 2 * len(writes) > self._most_ops:
            self.flush()
        self._encode(writes)

    def add_assignments(
        self, rates: Sequence[fx.PutRate], writes: Sequence[fx.Write], after: Sequence[fx.After]
    ) -> None:
        """Join a placement: first what it took of rate limits, then its assignments.

        Each assignment is one write and one effect; what else is written (a job that begins) comes
        between. No effect goes with an earlier Txn than its write: so many assignments as are
        written, so many effects follow.
        """
        for rate in rates:
            if len(self._ops) >= self._most_ops:
                self.flush()
            self._encode((rate,))
        done, size, given = 0, len(writes), 0
        while done < size:
            space = self._most_ops - len(self._ops)
            if space <= 0:
                self.flush()
                continue
            part = writes[done : done + space]
            self._encode(part)
            written = given + sum([type(write) in _ASSIGNMENTS for write in part])
            self.after += after[given:written]
            done, given = done + space, written
        self.after += after[given:]

    def _encode(self, writes: Sequence[fx.Write]) -> None:
        """Encode writes; the group goes first if it would grow too large."""
        begin = len(self._ops)
        size = self._codec.encode(writes, self._ops)
        if begin and self._bytes + size > GROUP_BYTES:
            added = self._ops[begin:]
            del self._ops[begin:]
            self.flush()
            self._ops = added
        self._bytes += size

    def flush(self) -> None:
        """Append the gathered group to the journal."""
        ops, after, additions = self._ops, self.after, self._additions
        if not ops and not after and not additions:
            return
        self._ops, self.after, self._bytes = [], [], 0
        callbacks = partial(self._committed, after), partial(self._failed, after)
        if additions:
            self._additions = []
            self._journal.append_joined(ops, additions, *callbacks)
        else:
            self._journal.append(ops, *callbacks)

    def purge(self, out: fx.Effects) -> int:
        """Append what retention deletes, in Txns of its own; how many deletions there are."""
        deletes = self._codec.encode_purges(out)
        # An even number: the two keys of a task go together.
        for start in range(0, len(deletes), self._purge_ops):
            self._journal.append_purge(deletes[start : start + self._purge_ops])
        return len(deletes)
