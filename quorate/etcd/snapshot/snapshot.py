"""A backup of one cluster: every lasting key below its prefix, as it was at one revision.

It is read page by page at the revision of the first page, beside a cluster that works on: no lock,
no pause, and the cost of reading (a page takes milliseconds). etcd has to keep that revision for as
long as it takes, which the leader sees to for a minute at least while half of the quota is free
(`scheduler.storage.compaction_checkpoints`).

Left out: keys under a lease (nodes, candidates, service instances), which whoever lives writes
anew; the head, since a restored cluster begins a log of its own; and the generation, which is in
the header.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quorate.etcd.api import Compacted, Etcd, EtcdError, Range, prefix_end
from quorate.etcd.generation import GENERATION, HEAD, RESTORING, read_standing
from quorate.etcd.paging import pages
from quorate.etcd.snapshot.file import FORMAT, SnapshotWriter
from quorate.internal.v1.backup_pb2 import BackupHeader
from quorate.runtime.errors import precondition, unavailable

# Keys that are the store's own: they are no part of a backup, whatever they hold.
NOT_KEPT: Final = frozenset((HEAD, GENERATION, RESTORING))

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made.

    Attributes:
        digest: names the file's content, hex.
        size: bytes.
    """

    cluster: str
    generation: int
    revision: int
    create_time: float
    records: int
    size: int
    digest: str


async def back_up(
    etcd: Etcd,
    prefix: bytes,
    cluster: str,
    target: Path,
    *,
    now: float,
    version: str = "",
    progress: Progress = lambda done, total: None,
) -> Backup:
    """Write a backup to `target`, which must not exist.

    Args:
        now: seconds since the epoch, for the header; `version`: of this program, likewise.
        progress: called with how many of about how many keys were read.

    Raises:
        QuorateError: NOTHING_TO_BACK_UP, RESTORE_UNFINISHED, HISTORY_COMPACTED,
            FILE_ALREADY_EXISTS; UNAVAILABLE when etcd does not answer. No file is left then.
        OSError: the file cannot be written.
    """
    try:
        return await _back_up(etcd, prefix, cluster, target, now, version, progress)
    except Compacted as gone:
        raise precondition(
            "HISTORY_COMPACTED",
            f"etcd compacted the revision that was being read (it has those from {gone.revision} "
            "on); start again, and do not compact by hand meanwhile",
        ) from gone
    except EtcdError as error:
        raise unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}") from error


async def _back_up(
    etcd: Etcd,
    prefix: bytes,
    cluster: str,
    target: Path,
    now: float,
    version: str,
    progress: Progress,
) -> Backup:
    standing = await read_standing(etcd, prefix)
    if standing.restoring is not None:
        raise precondition(
            "RESTORE_UNFINISHED", f"cluster {cluster!r} is being restored; finish the restore first"
        )
    if not standing.head_mod:
        raise precondition(
            "NOTHING_TO_BACK_UP",
            f"there is no cluster {cluster!r} in this etcd: check --etcd and --cluster",
        )
    revision = standing.revision
    end = prefix_end(prefix)
    counted = await etcd.range(Range(prefix, end, revision=revision, count_only=True))
    header = BackupHeader(
        format=FORMAT,
        cluster=cluster,
        generation=standing.generation,
        revision=revision,
        create_time=now,
        version=version,
    )
    with SnapshotWriter(target, header) as writer:
        done = 0
        async for page in pages(etcd, prefix, revision):
            for kv in page.kvs:
                key = kv.key[len(prefix) :]
                if not kv.lease and key not in NOT_KEPT:
                    writer.add(key, kv.value)
            done += len(page.kvs)
            progress(done, counted.count)
        digest = writer.finish()
        return Backup(
            cluster, standing.generation, revision, now, writer.records, writer.size, digest.hex()
        )
