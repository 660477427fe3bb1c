"""Quotas as records in etcd."""

from __future__ import annotations

from dataclasses import replace

from quorate.internal.v1 import records_pb2 as r
from quorate.v1 import quota_pb2
from scheduler.core.model.limits.quotas import NAMES, Quota
from scheduler.storage.unknown_fields import unknown_fields


def quota(data: bytes) -> Quota:
    """The quota in a record."""
    record = r.QuotaRecord.FromString(data)
    limits = record.limits
    values = {name: getattr(limits, name) for name in NAMES if limits.HasField(name)}
    return replace(Quota(**values), unknown_fields=unknown_fields(record))


def record(row: Quota) -> bytes:
    """Undoes `quota`."""
    message = r.QuotaRecord(limits=limits_view(row))
    message.MergeFromString(row.unknown_fields)
    return message.SerializeToString()


def limits_view(row: Quota, names: tuple[str, ...] = NAMES) -> quota_pb2.QuotaLimits:
    """The limits that are set."""
    values = {name: getattr(row, name) for name in names}
    return quota_pb2.QuotaLimits(**{k: v for k, v in values.items() if v is not None})
