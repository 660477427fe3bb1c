"""When the last backup was done: a key beside the log that `quorate backup` writes.

It holds Unix time as decimal text. It is not journalled, and nothing is decided by it.
"""

from __future__ import annotations

from typing import Final

from quorate.etcd.api import Etcd, Range

LAST_BACKUP: Final = b"last-backup"


async def note_backup(etcd: Etcd, prefix: bytes, now: float) -> None:
    """Say that a backup was done at `now` (Unix time). Raises EtcdError."""
    await etcd.put(prefix + LAST_BACKUP, b"%d" % now)


async def last_backup(etcd: Etcd, prefix: bytes) -> float:
    """When the last backup was done, in Unix time; 0 if none was. Raises EtcdError."""
    found = (await etcd.range(Range(prefix + LAST_BACKUP))).kvs
    try:
        return float(found[0].value) if found else 0.0
    except ValueError:
        return 0.0
