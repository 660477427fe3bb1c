"""Whether every scheduler understands a kind of record that versions before did not have.

In a rolling upgrade an older scheduler may become leader at any moment. It would leave records of
a new kind alone: schedules that never fire, limits that limit nothing. So a call that makes such a
record is refused while a candidate of the election does not list the kind in its own key
(`CandidateRecord.record_kinds`, written from `scheduler.storage.record_kinds.RECORD_KINDS`).

The check is advice, no fence: an older scheduler may join right after it. Its term leaves the
records alone, and the next leader that understands them goes on from what they say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

from google.protobuf.message import DecodeError

from quorate.etcd.api import Etcd, EtcdError, KeyValue
from quorate.etcd.election import Election
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import precondition, unavailable
from quorate.v1 import task_pb2
from scheduler.core.values import HOOKS, TaskSpec
from scheduler.storage import keys, record_kinds
from scheduler.storage.records import task_spec

# The kind of shared limits, and of queues that have limits.
LIMIT_GROUP: Final = "limit-group"
# Of tasks with large payloads: an older scheduler would give them to nodes that cannot read them.
BLOB: Final = "blob"
# All that `_kinds` may say, and the rule about the unique keys of many.
_OF_TASKS: Final = (
    record_kinds.START_DEADLINE,
    BLOB,
    record_kinds.PLACEMENT,
    record_kinds.TASK_HOOKS,
    record_kinds.TASK_KEYS,
    record_kinds.UNIQUE_WINDOW,
)
# Seconds for which an answer "all understand it" is used again: callers that create many records
# make one read a second. A refusal is never used again.
_FRESH: Final = 1.0


class Candidates:
    """What the candidates of the election understand, for one term.

    Args:
        prefix: the cluster's.
        monotonic: seconds.
    """

    def __init__(
        self, etcd: Etcd, prefix: bytes, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._election = Election(etcd, prefix + keys.ELECTION)
        self._monotonic = monotonic
        # When all were last found to understand a kind. Bounded: kinds are this program's own.
        self._understood: dict[str, float] = {}

    async def require(self, kind: str) -> None:
        """Return when every candidate understands records of this kind.

        Raises:
            QuorateError: FAILED_PRECONDITION `SCHEDULER_TOO_OLD` naming those that do not.
                UNAVAILABLE `ETCD_UNAVAILABLE`.
        """
        now = self._monotonic()
        checked = self._understood.get(kind)
        if checked is not None and now - checked < _FRESH:
            return
        try:
            standing = await self._election.candidates()
        except EtcdError as error:
            raise unavailable("ETCD_UNAVAILABLE", f"etcd does not answer: {error}") from error
        older = {
            name: version for name, version, kinds in map(_read, standing) if kind not in kinds
        }
        if older:
            raise _too_old(kind, older)
        self._understood[kind] = now

    async def require_for(self, specs: Collection[TaskSpec]) -> None:
        """Return when every candidate understands what the specs of one call have.

        Raises QuorateError, as `require`.
        """
        is_batch = len(specs) > 1
        specs = [spec for spec in specs if not _is_plain(spec)]
        for kind in dict.fromkeys(kind for spec in specs for kind in _kinds(spec)):
            await self.require(kind)
        # A unique key of a batch is checked by a rule that came later than unique keys.
        if is_batch and any(spec.limits and spec.limits.unique for spec in specs):
            await self.require(record_kinds.UNIQUE_WINDOW)

    async def require_for_retries(self) -> None:
        """Return when every candidate understands whatever a task that is retried may have.

        For calls about many tasks, whose specs are read only as they are retried: memory does not
        know what a finished task has. Raises QuorateError, as `require`.
        """
        for kind in _OF_TASKS:
            await self.require(kind)

    async def require_for_templates(self, *templates: task_pb2.TaskSpec) -> None:
        """As `require_for`, of what schedules and jobs make tasks of."""
        await self.require_for([task_spec(template, b"") for template in templates])

    async def require_for_arrays(self, *templates: task_pb2.TaskSpec) -> None:
        """As `require_for_templates`, of what the subtasks and reduces of jobs are made of."""
        await self.require_for_templates(*templates)
        if any(one.limits or one.limit_key or one.fairness_key for one in templates):
            await self.require(record_kinds.JOB_LIMITS)


def _is_plain(spec: TaskSpec) -> bool:
    """Whether `_kinds` has nothing for it."""
    return not (
        spec.limits is not None
        or spec.needs.counters
        or spec.start_deadline
        or spec.rules is not None
        or spec.blob is not None
    )


def _kinds(spec: TaskSpec) -> Iterator[str]:
    """What a scheduler must understand to keep a task of this spec."""
    if spec.start_deadline:
        yield record_kinds.START_DEADLINE
    if spec.blob is not None:
        yield BLOB
    if spec.rules is not None:
        yield record_kinds.PLACEMENT
    if (HOOKS, 1) in spec.needs.counters:
        yield record_kinds.TASK_HOOKS
    limits = spec.limits
    if limits is not None and (limits.unique or limits.ordering):
        yield record_kinds.TASK_KEYS
        if limits.window or limits.replaces:
            yield record_kinds.UNIQUE_WINDOW


def _read(kv: KeyValue) -> tuple[str, str, tuple[str, ...]]:
    """(name, version, kinds) of a candidate. (`etcdctl elect` can put any value there.)"""
    try:
        record = CandidateRecord.FromString(kv.value)
    except DecodeError:
        record = CandidateRecord()
    name = record.name or kv.key.rpartition(b"/")[2].decode(errors="replace")
    return name, record.version, tuple(record.record_kinds)


def _too_old(kind: str, older: Mapping[str, str]) -> Exception:
    shown = ", ".join(
        f"{name!r} (version {version})" if version else repr(name)
        for name, version in older.items()
    )
    return precondition(
        "SCHEDULER_TOO_OLD",
        f"these schedulers do not understand records of the kind {kind!r} yet: {shown}; upgrade or "
        "stop them, then repeat the call",
        kind=kind,
        schedulers=",".join(older),
    )
