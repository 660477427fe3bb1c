"""The audit log between the core, etcd and its readers: keys, records, entries."""

from __future__ import annotations

import re
from typing import Final

from quorate.internal.v1.audit_pb2 import AuditRecord
from quorate.v1.audit_pb2 import AuditChange, AuditEntry
from scheduler.core.model.effects import PutAudit
from scheduler.core.model.indexes.audit_index import MICROS
from scheduler.storage import keys

# Characters of one value: longer ones are cut. A record takes 12 KiB at most.
MAX_VALUE: Final = 256
MAX_CHANGES: Final = 16

_ID: Final = re.compile(r"[0-9a-f]{16}")


def id_text(entry: int) -> str:
    """An entry's id as callers see it: text sorts as the numbers do."""
    return f"{entry:016x}"


def is_id(text: str) -> bool:
    """Whether this is the shape of an entry's id."""
    return _ID.fullmatch(text) is not None


def key_of(entry: int) -> bytes:
    """Where an entry is, below the cluster's prefix."""
    return keys.AUDIT + id_text(entry).encode()


def id_of(key: bytes) -> int:
    """The entry behind a key, with or without the cluster's prefix."""
    return int(key.rpartition(b"/")[2], 16)


def record(write: PutAudit) -> AuditRecord:
    """What is kept of an entry."""
    origin = write.origin
    return AuditRecord(
        entry=AuditEntry(
            caller=origin.caller,
            role=origin.role,
            credential=origin.credential,
            peer=origin.peer,
            method=origin.method,
            resource_type=write.kind,
            resource_name=write.name,
            queue=write.queue,
            request_id=write.request_id,
            changes=[
                AuditChange(
                    field=change.field[:MAX_VALUE],
                    before=change.before[:MAX_VALUE],
                    after=change.after[:MAX_VALUE],
                )
                for change in write.changes[:MAX_CHANGES]
            ],
        )
    )


def entry(number: int, data: bytes) -> AuditEntry:
    """An entry as callers see it."""
    found = AuditRecord.FromString(data).entry
    found.id = id_text(number)
    found.time.FromMicroseconds(number)
    return found


def instant(number: int) -> float:
    """When an entry was made, in seconds since the epoch."""
    return number / MICROS
