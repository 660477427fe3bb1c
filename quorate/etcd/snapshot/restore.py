"""Restoring a backup into an empty cluster.

```
 verify the whole file -> begin: `restoring` and `head` -> put, put, ... -> end: `generation`,
                          (only where no log is)            `restoring` deleted
```

Every Txn compares the mod_revision of `restoring`, and writes it anew with how far it is. Hence:

* it applies once and in order, whatever the network delays or repeats;
* two restores at a time, or one that was forgotten and wakes up, cannot mix;
* a restore that was cut off goes on where it was when it is started again with the same file.

The first Txn also takes the head away from any leader, and each further one proves that none has it
(a scheduler claims the head only when there is no `restoring`, read together). So while a restore
is under way nobody leads, and afterwards schedulers fold everything anew.

The generation that follows is one more than the backup's, or what the caller says: agents that
lived through the restore refuse epochs lower than they have seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from quorate.etcd.api import (
    Compare,
    Delete,
    Etcd,
    EtcdError,
    EtcdNoSpace,
    EtcdUnavailable,
    Op,
    Put,
    TxnResult,
)
from quorate.etcd.generation import (
    FIRST_GENERATION,
    GENERATION,
    HEAD,
    LAST_GENERATION,
    RESTORING,
    Standing,
    epoch_of,
    read_standing,
)
from quorate.etcd.paging import pages
from quorate.etcd.snapshot.file import SnapshotReader
from quorate.etcd.snapshot.snapshot import Progress
from quorate.internal.v1.backup_pb2 import BackupRecord, GenerationRecord, RestoreRecord
from quorate.internal.v1.records_pb2 import HeadRecord
from quorate.runtime.errors import invalid, precondition, unavailable

# etcd refuses requests over 1.5 MiB; one record may be as large as that.
_TXN_BYTES: Final = 1 << 20
# `restoring` takes one of the operations; the first and the last Txn hold two and no records.
_OWN_OPS: Final = 1
# Attempts at one Txn whose outcome was unknown, and the pause between two, seconds.
_ATTEMPTS: Final = 20
_PAUSE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that is done.

    Attributes:
        generation: the cluster's from now on.
        records: in the backup; `resumed_at`: how many an earlier, unfinished run had written.
    """

    cluster: str
    generation: int
    records: int
    resumed_at: int
    backup_time: float
    digest: str


async def restore(
    etcd: Etcd,
    prefix: bytes,
    cluster: str,
    source: Path,
    *,
    now: float,
    max_txn_ops: int = 128,
    generation: int = 0,
    progress: Progress = lambda done, total: None,
) -> Restore:
    """Write a backup into a cluster prefix without any lasting key.

    Args:
        now: seconds since the epoch, for the record.
        max_txn_ops: etcd's --max-txn-ops.
        generation: of the restored cluster; 0: one more than the backup's.
        progress: called with how many of how many records are written.

    Raises:
        QuorateError: BACKUP_DAMAGED, OTHER_CLUSTER, CLUSTER_NOT_EMPTY, OTHER_RESTORE,
            RESTORE_OVERTAKEN; INVALID_ARGUMENT for a generation that is not later; UNAVAILABLE
            when etcd does not answer: start it again with the same file. OSError.
    """
    reader = SnapshotReader(source)
    header = reader.header
    if header.cluster != cluster:
        raise precondition(
            "OTHER_CLUSTER",
            f"{source} is a backup of cluster {header.cluster!r}, not of {cluster!r}: "
            f"use --cluster {header.cluster}",
        )
    following = generation or header.generation + 1
    if not header.generation < following <= LAST_GENERATION:
        raise invalid(
            "generation",
            f"{following} is not between {header.generation + 1} and {LAST_GENERATION}",
        )
    # All of it before the first write: half a cluster is worse than none.
    records = await asyncio.to_thread(reader.verify)
    marker = RestoreRecord(digest=reader.digest, generation=following, records=records)
    try:
        return await _Run(etcd, prefix, reader, marker, max_txn_ops, progress).run(now)
    except EtcdNoSpace as error:
        raise unavailable(
            "ETCD_NO_SPACE", f"etcd has no space left ({error}); see 'quorate etcd recover'"
        ) from error
    except EtcdError as error:
        raise unavailable(
            "ETCD_UNAVAILABLE",
            f"etcd does not answer ({error}): start the restore again with the same file",
        ) from error


class _Run:
    """One run. Owns `marker`: what `restoring` says, as far as it is known to be committed."""

    def __init__(
        self,
        etcd: Etcd,
        prefix: bytes,
        reader: SnapshotReader,
        marker: RestoreRecord,
        max_txn_ops: int,
        progress: Progress,
    ) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._reader = reader
        self._marker = marker
        self._marker_mod = 0
        self._head_mod = 0
        self._max_records = max(1, max_txn_ops - _OWN_OPS)
        self._progress = progress

    async def run(self, now: float) -> Restore:
        standing = await read_standing(self._etcd, self._prefix)
        if standing.restoring is None:
            await self._refuse_unless_empty(standing)
            await self._begin()
        else:
            self._go_on(standing)
        resumed_at = self._marker.done
        for batch in _batches(self._reader.records(), resumed_at, self._max_records):
            puts = [Put(self._prefix + record.key, record.value) for record in batch]
            self._marker.done += len(batch)
            await self._step([*puts, self._put_marker()])
            self._progress(self._marker.done, self._marker.records)
        await self._end(now)
        header, marker = self._reader.header, self._marker
        return Restore(
            header.cluster,
            marker.generation,
            marker.records,
            resumed_at,
            header.create_time,
            marker.digest.hex(),
        )

    async def _refuse_unless_empty(self, standing: Standing) -> None:
        """Keys under a lease may be there: agents that lived on register by themselves."""
        found = 0
        async for page in pages(self._etcd, self._prefix, standing.revision, keys_only=True):
            found += sum(not kv.lease for kv in page.kvs)
        if found:
            cluster = self._reader.header.cluster
            raise precondition(
                "CLUSTER_NOT_EMPTY",
                f"cluster {cluster!r} has {found} keys in this etcd already; a backup is restored "
                "into an empty one only. Stop its schedulers (they write as soon as they lead), "
                f"then use an empty etcd, or delete all below {self._prefix.decode()} first",
                keys=found,
            )

    async def _begin(self) -> None:
        head = HeadRecord(epoch=epoch_of(self._marker.generation, 0), sequence=0)
        await self._step([self._put_marker(), Put(self._prefix + HEAD, head.SerializeToString())])
        # Put in one Txn, at one revision.
        self._head_mod = self._marker_mod

    def _go_on(self, standing: Standing) -> None:
        found, mine = standing.restoring, self._marker
        assert found is not None
        if found.digest != mine.digest or found.generation != mine.generation:
            raise precondition(
                "OTHER_RESTORE",
                f"a restore of another backup (digest {found.digest.hex()[:16]}, generation "
                f"{found.generation}) was begun here and is not finished: finish it with that "
                f"file, or delete all below {self._prefix.decode()} and begin anew",
            )
        self._marker = found
        self._marker_mod = standing.restoring_mod
        self._head_mod = standing.head_mod

    async def _end(self, now: float) -> None:
        done = GenerationRecord(
            generation=self._marker.generation,
            revision=self._reader.header.revision,
            restore_time=now,
        )
        await self._step(
            [
                Put(self._prefix + GENERATION, done.SerializeToString()),
                Delete(self._prefix + RESTORING),
            ]
        )

    def _put_marker(self) -> Put:
        return Put(self._prefix + RESTORING, self._marker.SerializeToString())

    async def _step(self, ops: list[Op]) -> None:
        """Apply one Txn, exactly once. Raises QuorateError when somebody else was here."""
        compares = (
            Compare(self._prefix + RESTORING, "mod", "=", self._marker_mod),
            Compare(self._prefix + HEAD, "mod", "=", self._head_mod),
        )
        for attempt in range(_ATTEMPTS):
            try:
                result: TxnResult = await self._etcd.txn(compares, ops)
            except (EtcdUnavailable, EtcdNoSpace):
                # Perhaps applied. The compares see to it that it is not applied again.
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_PAUSE)
                continue
            if result.succeeded:
                self._marker_mod = result.revision
                return
            if attempt and await self._applied():
                return
            break
        raise precondition(
            "RESTORE_OVERTAKEN",
            "somebody else writes into this cluster: another restore, or a scheduler of an earlier "
            "version that does not know of restores. Stop it, empty the cluster and begin anew",
        )

    async def _applied(self) -> bool:
        """Whether what `restoring` says is what the last Txn wrote, or its deletion."""
        standing = await read_standing(self._etcd, self._prefix)
        if standing.restoring is None:
            # The last step of all.
            return standing.generation == self._marker.generation > FIRST_GENERATION
        self._marker_mod = standing.restoring_mod
        return standing.restoring == self._marker


def _batches(records: Iterator[BackupRecord], skip: int, most: int) -> Iterator[list[BackupRecord]]:
    """Records for one Txn each, behind the first `skip`."""
    batch: list[BackupRecord] = []
    size = 0
    for record in islice(records, skip, None):
        weight = len(record.key) + len(record.value)
        if batch and (len(batch) >= most or size + weight > _TXN_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += weight
    if batch:
        yield batch
