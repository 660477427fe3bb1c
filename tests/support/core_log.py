"""etcd for a pure core: what it wrote, and the standby that follows it.

Owned by one test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quorate.etcd.api import Delete, Put
from quorate.etcd.journal_batch import Batch
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName
from scheduler.core.model.rows import NodeRow
from scheduler.core.model.state import State
from scheduler.storage import keys
from scheduler.storage.fold import Fold

# Of what is written under a lease.
LEASE = 9


class Log:
    """What etcd would hold, and a standby that follows it.

    Args:
        join: how many events the journal joins into one Txn, where the last write of a key
            replaces those before it.
    """

    def __init__(self, join: int = 1) -> None:
        self._join = join
        self._batch = Batch()
        self.kept: dict[bytes, bytes] = {}
        # The mod_revision of each key that was ever written.
        self._written: dict[bytes, int] = {}
        self.fold = Fold()
        self.revision = 0

    def append(self, ops: Sequence[Put | Delete]) -> None:
        """One event."""
        self._batch.add(ops, None, None)
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
                self.kept[op.key] = op.value
                self._written[op.key] = self.revision
                self.fold.put(op.key, op.value, self.revision)
            elif not op.range_end:
                self._delete(op.key)
            else:
                for key in sorted(k for k in self.kept if op.key <= k < op.range_end):
                    self._delete(key)

    def _delete(self, key: bytes) -> None:
        if self.kept.pop(key, None) is not None:
            self.fold.deleted(key)

    def registered(self, node: NodeRow) -> None:
        """An agent wrote its key, under its lease."""
        record = r.NodeRecord(
            name=node.name, instance=node.instance, address="h:1", slots=node.slots
        )
        record.capacity.cpu = node.cpu
        record.capacity.memory = node.memory
        record.capacity.counters.update(node.counters)
        self.apply([Put(keys.node_key(node.name), record.SerializeToString())])

    def instance(self, service: str, name: str, record: r.InstanceRecord | None) -> None:
        """Somebody wrote an instance's key, or (None) it is gone."""
        self.flush()
        key = keys.instance_key(service, name)
        if record is None:
            self.apply([Delete(key)])
            return
        self.revision += 1
        self.kept[key] = record.SerializeToString()
        self._written[key] = self.revision
        self.fold.put(key, self.kept[key], self.revision, LEASE)

    def lease_ended(self, name: NodeName, instance: InstanceId) -> None:
        """The node's key is gone, unless another process has it."""
        key = keys.node_key(name)
        if r.NodeRecord.FromString(self.kept.get(key, b"")).instance == instance:
            self.apply([Delete(key)])

    def followed(self) -> State:
        """The state of a standby that followed from the beginning: it leads from now on."""
        self.flush()
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
                lease = LEASE if prefix == keys.INSTANCES else 0
                fold.put(key, self.kept[key], self._written[key], lease)
        fold.at(self.revision)
        return fold
