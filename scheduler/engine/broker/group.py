"""The writes of several events of the broker, joined into one entry of the journal.

Entries are joined by the journal in any case: this saves a callback and a check for each event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import weigh
from quorate.etcd.journal.joined import Addition
from quorate.etcd.journal.journal import Journal
from scheduler.core.broker import effects as fx
from scheduler.engine.broker.ports import EncodedStep

# Bytes of one group of writes; one event may hold as much alone.
GROUP_BYTES: Final = 512 << 10

Effects = Sequence[fx.After]


class BrokerGroup:
    """The group that is being gathered. Owned by the driver.

    Args:
        committed: called with the effects of a group and the revision of its Txn.
        failed: called with the effects of a group that is not known to be committed, and why.
    """

    def __init__(
        self,
        journal: Journal,
        max_txn_ops: int,
        committed: Callable[[Effects, int], None],
        failed: Callable[[Effects, Exception], None],
    ) -> None:
        self._journal = journal
        # One operation of a Txn is the head's.
        self._most_ops = min(max(8, max_txn_ops // 2), max_txn_ops - 1)
        self._committed = committed
        self._failed = failed
        self._writes: list[Put | Delete] = []
        self._additions: list[Addition] = []
        self._after: list[fx.After] = []
        self._weight = 0

    @property
    def some(self) -> bool:
        """Whether anything is gathered."""
        return bool(self._writes or self._additions or self._after)

    def add(self, step: EncodedStep, after: Effects, tasks: Sequence[Put | Delete] = ()) -> None:
        """Join one event. `tasks`: what it writes of tasks: in the same Txn as the rest."""
        writes, additions = [*step.writes, *tasks], step.additions
        if step.purged or step.bodies:
            self._purge(step, writes, after)
            return
        size = step.weight + (weigh(tasks) if tasks else 0)
        # A Txn does not put what it deletes: an event that deletes a range goes alone.
        alone = any(type(write) is Delete and write.range_end for write in writes)
        ops = len(self._writes) + len(self._additions) + len(writes) + len(additions)
        if alone or ops > self._most_ops or self._weight + size > GROUP_BYTES:
            self.flush()
        self._writes += writes
        self._additions += additions
        self._after += after
        self._weight += size
        if alone:
            self.flush()

    def follow(self, after: Effects) -> None:
        """Effects of an event that writes nothing: they follow what was written before."""
        self._after += after

    def flush(self) -> None:
        """Append the gathered group to the journal."""
        writes, additions, after = self._writes, self._additions, self._after
        if not writes and not additions and not after:
            return
        self._writes, self._additions, self._after, self._weight = [], [], [], 0
        callbacks = partial(self._committed, after), partial(self._failed, after)
        # Taken out before: what raises is not appended again.
        if additions:
            self._journal.append_joined(writes, additions, *callbacks)
        else:
            self._journal.append(writes, *callbacks)

    def _purge(self, step: EncodedStep, writes: list[Put | Delete], after: Effects) -> None:
        """etcd has no space: what is deleted goes ahead of the puts that wait. Effects follow the
        last of what the event writes, but wait for no bodies."""
        self.flush()
        if step.purged and not writes and not step.additions:
            callbacks = partial(self._committed, after), partial(self._failed, after)
            self._journal.append_purge(step.purged, *callbacks)
        else:
            if step.purged:
                self._journal.append_purge(step.purged)
            self._writes, self._additions, self._after = writes, step.additions, list(after)
            self.flush()
        if step.bodies:
            self._journal.append_purge(step.bodies, ahead=False)
