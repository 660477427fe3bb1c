"""etcd for a pure core: what it wrote, and the standby that follows it.

Owned by one test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal.batch import Batch, weigh
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName
from scheduler.core.model.rows import NodeRow
from scheduler.core.model.state import State
from scheduler.storage import keys
from scheduler.storage.replica.fold import Fold

# Of what is written under a lease.
LEASE = 9


class Log:
    """What etcd would hold, and a standby that follows it.

    Args:
        join: how many events the journal joins into one Txn, where the last write of a key
            replaces those before it.
        replayable: keep every change, for `replayed`.
    """

    def __init__(self, join: int = 1, *, replayable: bool = False) -> None:
        self._join = join
        # Every change in order: key, value (None: deleted), revision, lease.
        self._changes: list[tuple[bytes, bytes | None, int, int]] | None = (
            [] if replayable else None
        )
        self._leases: dict[bytes, int] = {}
        self._batch = Batch()
        self.kept: dict[bytes, bytes] = {}
        # The mod_revision of each key that was ever written.
        self._written: dict[bytes, int] = {}
        self.fold = Fold()
        self.fold.at(1)
        self.revision = 0

    def append(self, ops: Sequence[Put | Delete]) -> None:
        """One event."""
        if self._batch.clashes(ops):
            self.flush()
        self._batch.add(ops, weigh(ops), None, None)
        if self._batch.events >= self._join:
            self.flush()

    def flush(self) -> None:
        """The open Txn commits."""
        batch, self._batch = self._batch, Batch()
        if batch.size:
            self.apply(batch.ops())

    def apply(self, ops: Iterable[Put | Delete]) -> None:
        """One Txn."""
        self.revision += 1
        for op in ops:
            if isinstance(op, Put):
                self._put(op.key, op.value)
            elif not op.range_end:
                self._delete(op.key)
            else:
                for key in sorted(k for k in self.kept if op.key <= k < op.range_end):
                    self._delete(key)

    def _put(self, key: bytes, value: bytes, lease: int = 0) -> None:
        self.kept[key] = value
        self._written[key] = self.revision
        self._leases[key] = lease
        if self._changes is not None:
            self._changes.append((key, value, self.revision, lease))
        self.fold.put(key, value, self.revision, lease)

    def _delete(self, key: bytes) -> None:
        if self.kept.pop(key, None) is not None:
            if self._changes is not None:
                self._changes.append((key, None, self.revision, 0))
            self.fold.deleted(key, self.revision)

    def registered(self, node: NodeRow) -> None:
        """An agent wrote its key, under its lease."""
        record = r.NodeRecord(
            name=node.name,
            instance=node.instance,
            address=node.address,
            slots=node.slots,
            labels=node.labels,
            register_time=node.register_time,
            version=node.version,
            takes_chunks=node.takes_chunks,
            takes_signals=node.takes_signals,
            takes_reduces=node.takes_reduces,
            ends_subtasks=node.ends_subtasks,
            announces_end=node.announces_end,
            ending=node.ending,
        )
        record.capacity.cpu = node.cpu
        record.capacity.memory = node.memory
        record.capacity.counters.update(node.counters)
        self.revision += 1
        self._put(keys.node_key(node.name), record.SerializeToString(), node.lease)

    def instance(self, service: str, name: str, record: r.InstanceRecord | None) -> None:
        """Somebody wrote an instance's key, or (None) it is gone."""
        self.flush()
        key = keys.instance_key(service, name)
        if record is None:
            self.apply([Delete(key)])
            return
        self.revision += 1
        self._put(key, record.SerializeToString(), LEASE)

    def lease_ended(self, name: NodeName, instance: InstanceId) -> None:
        """The node's key is gone, unless another process has it."""
        key = keys.node_key(name)
        if r.NodeRecord.FromString(self.kept.get(key, b"")).instance == instance:
            self.apply([Delete(key)])

    def followed(self) -> State:
        """The state of a standby that followed from the beginning: it leads from now on."""
        self.flush()
        # As the replica does when all of a Txn is folded.
        self.fold.at(self.revision)
        state = self.fold.state
        # Another one follows from here.
        self.fold = self.loaded()
        return state

    def loaded(self) -> Fold:
        """A standby that loads a snapshot now instead of having followed from the beginning."""
        self.flush()
        fold = Fold()
        for prefix in keys.SNAPSHOT_ORDER:
            for key in sorted(k for k in self.kept if k.startswith(prefix)):
                fold.put(key, self.kept[key], self._written[key], self._leases[key])
        fold.at(self.revision)
        return fold

    def replayed(self) -> Fold:
        """Another standby that followed from the beginning."""
        assert self._changes is not None
        self.flush()
        fold = Fold()
        fold.at(1)
        for key, value, revision, lease in self._changes:
            if value is None:
                fold.deleted(key, revision)
            else:
                fold.put(key, value, revision, lease)
        fold.at(self.revision)
        return fold
