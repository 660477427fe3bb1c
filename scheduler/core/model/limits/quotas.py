"""Quotas: what one caller, or one queue, may have and ask for at a time. Pure.

A quota is found in this order: the record of the caller or queue, the record of `*` (everybody who
has none), the default of `Limits`. An admin changes records at run time (`SetQuota`); they are part
of the log, so they survive a failover.

The core enforces what is on record, `live_tasks` and `stored_bytes`, where tasks are created: a
batch as a whole, before its first task. The others are enforced where calls arrive:
`quorate.security.limits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Final, Protocol

from quorate.runtime.ids import ANONYMOUS
from quorate.runtime.quotas import UNLIMITED

CALLER: Final = "caller"
QUEUE: Final = "queue"
EVERYBODY: Final = "*"
# Records that an admin may make.
MOST_QUOTAS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits by name; None: not set here, `UNLIMITED`: none."""

    live_tasks: int | None = None
    stored_bytes: int | None = None
    requests_per_second: int | None = None
    open_watches: int | None = None
    open_waits: int | None = None
    open_streams: int | None = None
    live_subtasks: int | None = None
    blob_bytes: int | None = None
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""

    @property
    def empty(self) -> bool:
        """Whether it sets nothing."""
        return all(getattr(self, name) is None for name in NAMES)


NAMES: Final = tuple(field.name for field in fields(Quota) if field.name != "unknown_fields")
# Those of a queue: calls have callers.
QUEUE_NAMES: Final = ("live_tasks", "stored_bytes", "live_subtasks", "blob_bytes")
NO_QUOTA: Final = Quota()


class Defaults(Protocol):
    """The quotas of those for whom an admin set none: `limits.Limits`."""

    @property
    def caller_quota(self) -> Quota: ...

    @property
    def anonymous_quota(self) -> Quota: ...

    @property
    def queue_quota(self) -> Quota: ...


def in_force(
    records: Mapping[tuple[str, str], Quota], defaults: Defaults, kind: str, name: str
) -> Quota:
    """The quota of a caller ("" for the anonymous one) or queue, every limit of it set.

    Args:
        records: what an admin set, by kind and name: `State.quotas`.
    """
    name = name or ANONYMOUS
    found = [records.get((kind, name)), records.get((kind, EVERYBODY))]
    if kind == QUEUE:
        default = defaults.queue_quota
    else:
        default = defaults.anonymous_quota if name == ANONYMOUS else defaults.caller_quota
    chain = [quota for quota in (*found, default) if quota is not None]
    values = {name: _first(chain, name) for name in NAMES}
    return replace(NO_QUOTA, **values)  # type: ignore[arg-type]  # `kept` is bytes


def durable(quota: Quota) -> tuple[int, int, int]:
    """Of a quota in force: the live tasks, stored bytes and live subtasks."""
    assert quota.live_tasks is not None
    assert quota.stored_bytes is not None
    assert quota.live_subtasks is not None
    return quota.live_tasks, quota.stored_bytes, quota.live_subtasks


def _first(chain: list[Quota], limit: str) -> int:
    for quota in chain:
        value: int | None = getattr(quota, limit)
        if value is not None:
            return value
    return UNLIMITED
