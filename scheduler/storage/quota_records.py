"""Quotas as records in etcd and as messages of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.errors import invalid
from quorate.v1 import quota_pb2
from scheduler.core.model.quotas import (
    CALLER,
    NAMES,
    NO_QUOTA,
    QUEUE,
    QUEUE_NAMES,
    UNLIMITED,
    Quota,
)
from scheduler.storage.unknown_fields import unknown_fields

# No limit is larger: JSON and Python agree on integers up to here.
MOST = 1 << 53
_LONGEST_NAME = 192


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


def usage_view(values: Mapping[str, int]) -> quota_pb2.QuotaLimits:
    """What is used, by the names of the limits."""
    return quota_pb2.QuotaLimits(**values)


def asked(message: quota_pb2.Quota) -> tuple[str, str, Quota]:
    """(kind, name, quota) of a request.

    Raises:
        QuorateError: INVALID_ARGUMENT naming the field and the limit.
    """
    if bool(message.caller) == bool(message.queue):
        raise invalid("quota", "set exactly one of caller, queue")
    kind, name = (CALLER, message.caller) if message.caller else (QUEUE, message.queue)
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise invalid(
            f"quota.{kind}", f"at most {_LONGEST_NAME} printable characters", limit=_LONGEST_NAME
        )
    if kind == CALLER and name not in ("*", "anonymous") and ":" not in name:
        raise invalid("quota.caller", f"{name[:80]!r} is not <role>:<name>, anonymous or *")
    values: dict[str, int] = {}
    for limit in NAMES:
        if not message.limits.HasField(limit):
            continue
        field = f"quota.limits.{limit}"
        value: int = getattr(message.limits, limit)
        if kind == QUEUE and limit not in QUEUE_NAMES:
            raise invalid(field, "is a limit of callers; it cannot be set for a queue")
        if not UNLIMITED <= value <= MOST:
            raise invalid(field, f"{value} is not within -1 and {MOST}", limit=MOST, value=value)
        values[limit] = value
    return kind, name, replace(NO_QUOTA, **values)  # type: ignore[arg-type]  # `kept` is bytes
