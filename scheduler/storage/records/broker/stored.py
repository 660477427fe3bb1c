"""Chunks in etcd, read back: several of them in one request."""

from __future__ import annotations

from collections.abc import Sequence

from quorate.etcd.api import Etcd, Range
from scheduler.core.broker.rows import QueueUid
from scheduler.core.broker.storage.places import SubLogName
from scheduler.storage import keys

# Seconds: etcd reads some MiB.
_TIMEOUT = 10.0


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
