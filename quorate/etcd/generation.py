"""The cluster's generation, and epochs that survive a restore.

etcd's revisions begin anew in an etcd that a backup is restored into, so by themselves they fence
only as long as the store lives. Hence an epoch is the pair (generation, revision), compared in that
order and kept in one 64-bit number, which every comparison, record and message takes as it is:

    bit 63   62 .. 48            47 .. 0
    sign 0   generation - 1      revision

A cluster that never was restored is of generation 1, its epochs are plain revisions, and it has no
`generation` key. A restore writes it, or `begin_generation`. See docs/adr/0007-generation.md.

Below the cluster's prefix: `generation` (GenerationRecord), and `restoring` (RestoreRecord) from
the first to the last Txn of a restore: while it is there nobody may lead. Both are read in one Txn
with the head, so that whoever claims that head knows that no restore began before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from quorate.etcd.api import Compare, Etcd, KeyValue, Put, Range, prefix_end
from quorate.internal.v1.backup_pb2 import GenerationRecord, RestoreRecord
from quorate.runtime.errors import not_found, precondition
from quorate.runtime.ids import Epoch

GENERATION: Final = b"generation"
RESTORING: Final = b"restoring"
HEAD: Final = b"head"

FIRST_GENERATION: Final = 1
LAST_GENERATION: Final = 1 << 15
_REVISION_BITS: Final = 48
# 10,000 Txns a second for 890 years.
MAX_REVISION: Final = (1 << _REVISION_BITS) - 1


def epoch_of(generation: int, elected: int) -> Epoch:
    """The epoch of the leader whose key was created at the revision `elected`.

    Raises ValueError as `scoped`.
    """
    return Epoch(scoped(generation, elected))


def scoped(generation: int, revision: int) -> int:
    """The place in the log of a revision in a generation; grows with either.

    Raises ValueError when one of them does not fit.
    """
    if not FIRST_GENERATION <= generation <= LAST_GENERATION:
        raise ValueError(f"generation {generation} is not between 1 and {LAST_GENERATION}")
    if not 0 <= revision <= MAX_REVISION:
        raise ValueError(f"revision {revision} is not between 0 and {MAX_REVISION}")
    return (generation - FIRST_GENERATION) << _REVISION_BITS | revision


def split(epoch: int) -> tuple[int, int]:
    """The (generation, revision) of an epoch."""
    return (epoch >> _REVISION_BITS) + FIRST_GENERATION, epoch & MAX_REVISION


def generation_in(value: bytes) -> int:
    """What the key `generation` says."""
    return int(GenerationRecord.FromString(value).generation)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the log ends and what it is a log of, read at one revision.

    Attributes:
        head_mod: the head's mod_revision; 0: no log yet.
        generation: of the cluster.
        restoring: the restore under way, if any, and the mod_revision of its record.
        revision: the store's revision when it was read.
    """

    head_mod: int
    generation: int
    restoring: RestoreRecord | None
    restoring_mod: int
    revision: int


async def read_standing(etcd: Etcd, prefix: bytes, *, timeout: float = 5.0) -> Standing:
    """Read it, linearizably. Raises EtcdError."""
    reads = [Range(prefix + key) for key in (HEAD, GENERATION, RESTORING)]
    result = await etcd.txn((), reads, timeout=timeout)
    head, generation, restoring = (_one(found.kvs) for found in result.ranges)
    return Standing(
        head_mod=head.mod_revision if head else 0,
        generation=generation_in(generation.value) if generation else FIRST_GENERATION,
        restoring=RestoreRecord.FromString(restoring.value) if restoring else None,
        restoring_mod=restoring.mod_revision if restoring else 0,
        revision=result.revision,
    )


def _one(kvs: Sequence[KeyValue]) -> KeyValue | None:
    return kvs[0] if kvs else None


async def begin_generation(etcd: Etcd, prefix: bytes, *, now: float) -> int:
    """Begin the next generation of a cluster that nobody stands to lead; its number.

    For an etcd whose revisions went back by other means than our restore. Raises EtcdError, and
    QuorateError: CLUSTER_NOT_FOUND, RESTORE_UNFINISHED, SCHEDULERS_RUNNING, OVERTAKEN.
    """
    standing = await read_standing(etcd, prefix)
    if not standing.head_mod:
        raise not_found("cluster", prefix.decode().strip("/").rpartition("/")[2])
    if standing.restoring is not None:
        raise precondition("RESTORE_UNFINISHED", "a restore is in progress and does this itself")
    election = prefix + b"election/"
    candidates = (await etcd.range(Range(election, prefix_end(election), count_only=True))).count
    if candidates:
        raise precondition(
            "SCHEDULERS_RUNNING",
            f"{candidates} schedulers are candidates for leadership: stop them, and wait until "
            "their leases end "
            "(--lease-ttl, 2 s by default)",
        )
    following = standing.generation + 1
    record = GenerationRecord(generation=following, revision=standing.revision, restore_time=now)
    unchanged = Compare(prefix + HEAD, "mod", "=", standing.head_mod)
    put = Put(prefix + GENERATION, record.SerializeToString())
    if not (await etcd.txn([unchanged], [put])).succeeded:
        raise precondition("OVERTAKEN", "a scheduler became leader: stop it first")
    return following
