"""Bounds of the requests about quotas; see `scheduler.api.validate`."""

from __future__ import annotations

from dataclasses import replace

from quorate.runtime.errors import invalid
from quorate.runtime.quotas import UNLIMITED
from quorate.v1 import quota_pb2
from scheduler.core.model.limits.quotas import (
    CALLER,
    NAMES,
    NO_QUOTA,
    QUEUE,
    QUEUE_NAMES,
    Quota,
)

# No limit is larger: JSON and Python agree on integers up to here.
MOST = 1 << 53
_LONGEST_NAME = 192


def quota(message: quota_pb2.Quota) -> tuple[str, str, Quota]:
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
