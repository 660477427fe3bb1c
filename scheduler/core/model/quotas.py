"""Quotas: what one caller, or one queue, may have and ask for at a time. Pure.

A quota is found in this order: the record of the caller or queue, the record of `*` (everybody who
has none), the default of `Limits`. An admin changes records at run time (`SetQuota`); they are part
of the log, so they survive a failover.

The core enforces what is on record, `live_tasks` and `stored_bytes`, where tasks are created: a
batch as a whole, before its first task. The others are enforced where calls arrive:
`quorate.security.limits`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from scheduler.core.model.answers import Fault, Refusal
from scheduler.core.model.usage import UNIT, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scheduler.core.model.limits import Limits
    from scheduler.core.model.state import State

CALLER: Final = "caller"
QUEUE: Final = "queue"
EVERYBODY: Final = "*"
# Records that an admin may make.
MOST_QUOTAS: Final = 10_000
UNLIMITED: Final = -1
# How callers without a name are called: authentication is off, or the cluster itself.
ANONYMOUS: Final = "anonymous"
# Seconds until more tasks may be finished: nobody knows.
_RETRY_LIVE: Final = 1.0

_REASONS: Final[Mapping[str, str]] = {
    "live_tasks": "TOO_MANY_LIVE_TASKS",
    "stored_bytes": "TOO_MANY_STORED_BYTES",
}
_ADVICE: Final[Mapping[str, str]] = {
    "live_tasks": "wait until tasks are finished, or cancel some",
    "stored_bytes": "delete finished tasks, keep them for a shorter time (the queue's retention), "
    "or send large data by reference",
}


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits by name; None: not set here, `UNLIMITED`: none."""

    live_tasks: int | None = None
    stored_bytes: int | None = None
    requests_per_second: int | None = None
    open_watches: int | None = None
    open_waits: int | None = None
    open_streams: int | None = None
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    kept: bytes = b""

    @property
    def empty(self) -> bool:
        """Whether it sets nothing."""
        return all(getattr(self, name) is None for name in NAMES)


NAMES: Final = tuple(field.name for field in fields(Quota) if field.name != "kept")
# Those of a queue: calls have callers.
QUEUE_NAMES: Final = ("live_tasks", "stored_bytes")
NO_QUOTA: Final = Quota()


def in_force(state: State, limits: Limits, kind: str, name: str) -> Quota:
    """The quota of a caller ("" for the anonymous one) or queue, every limit of it set."""
    name = name or ANONYMOUS
    found = [state.quotas.get((kind, name)), state.quotas.get((kind, EVERYBODY))]
    if kind == QUEUE:
        default = limits.queue_quota
    else:
        default = limits.anonymous_quota if name == ANONYMOUS else limits.caller_quota
    chain = [quota for quota in (*found, default) if quota is not None]
    values = {name: _first(chain, name) for name in NAMES}
    return replace(NO_QUOTA, **values)  # type: ignore[arg-type]  # `kept` is bytes


def _first(chain: list[Quota], limit: str) -> int:
    for quota in chain:
        value: int | None = getattr(quota, limit)
        if value is not None:
            return value
    return UNLIMITED


def refuse_created(
    state: State, limits: Limits, queue: Usage, creator: str, count: int, units: int
) -> Refusal | None:
    """Whether so many more tasks of this weight are too much for their caller or queue.

    Args:
        units: together, see `usage.task_units`; 0 when they are on record already.
    """
    caller = state.callers.get(creator) or Usage(creator)
    for kind, usage in ((CALLER, caller), (QUEUE, queue)):
        most_tasks, most_bytes = state.durable_quota(limits, kind, usage.name)
        if most_tasks >= 0 and usage.tasks + count > most_tasks:
            return _refusal(kind, usage, "live_tasks", most_tasks, usage.tasks, count)
        size, used = units * UNIT, usage.stored_bytes
        if units and most_bytes >= 0 and used + size > most_bytes:
            return _refusal(kind, usage, "stored_bytes", most_bytes, used, size)
    return None


def _refusal(kind: str, usage: Usage, quota: str, limit: int, used: int, asked: int) -> Refusal:
    name = usage.name or ANONYMOUS
    return Refusal(
        Fault.EXHAUSTED,
        _REASONS[quota],
        f"{kind} {name!r} uses {used} of its quota of {limit} {quota}, and this call needs {asked} "
        f"more: {_ADVICE[quota]}; an admin can raise it with "
        f'"quorate quota set --{kind} {name} --{quota.replace("_", "-")} N"',
        kind,
        name,
        metadata=(
            ("quota", quota),
            ("limit", str(limit)),
            ("usage", str(used)),
            ("asked", str(asked)),
        ),
        retry_delay=_RETRY_LIVE if quota == "live_tasks" else None,
    )
