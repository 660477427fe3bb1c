"""Chunks and bodies in etcd, read back: several of them in one request."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.etcd.api import Etcd, Range
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.bodies import PART_BYTES, BodyRef
from scheduler.core.broker.storage.places import SubLogName
from scheduler.storage import keys

# Seconds: etcd reads some MiB.
_TIMEOUT = 10.0
# Parts of bodies in one request: 4 MiB.
_PARTS = (4 << 20) // PART_BYTES


class StoredChunks:
    """Of one cluster. Owns nothing."""

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        self._prefix = prefix

    async def read(self, places: Sequence[tuple[QueueUid, SubLogName, int]]) -> list[bytes | None]:
        """The bytes of each chunk as they are now; None for one that is not there.

        Raises:
            EtcdError: as of `Etcd.txn`; nothing was read.
        """
        found = await self._etcd.txn(
            [],
            [
                Range(
                    keys.message_chunk_key(keys.message_sub_log(self._prefix, uid, sub_log), first)
                )
                for uid, sub_log, first in places
            ],
            timeout=_TIMEOUT,
        )
        return [read.kvs[0].value if read.kvs else None for read in found.ranges]

    async def read_bodies(self, refs: Sequence[BodyRef]) -> list[bytes | None]:
        """Each body as it is now; None for one that is not there, or not whole.

        Raises:
            EtcdError: as of `Etcd.txn`; nothing was read.
        """
        places = [(ref.id, part) for ref in refs for part in range(ref.parts)]
        read: dict[int, list[bytes]] = {ref.id: [] for ref in refs}
        for start in range(0, len(places), _PARTS):
            some = places[start : start + _PARTS]
            found = await self._etcd.txn(
                [],
                [Range(self._prefix + keys.message_body_key(*place)) for place in some],
                timeout=_TIMEOUT,
            )
            for (body, _), part in zip(some, found.ranges, strict=True):
                read[body] += [kv.value for kv in part.kvs]
        bodies = [b"".join(read[ref.id]) for ref in refs]
        return [
            body if len(body) == ref.size else None for ref, body in zip(refs, bodies, strict=True)
        ]
