"""Whether every scheduler understands a kind of record that versions before did not have.

In a rolling upgrade an older scheduler may become leader at any moment. It would leave records of
a new kind alone: schedules that never fire, limits that limit nothing. So a call that makes such a
record is refused while a candidate of the election does not list the kind in its own key
(`CandidateRecord.record_kinds`, written from `scheduler.storage.keys.RECORD_KINDS`).

The check is advice, no fence: an older scheduler may join right after it. Its term leaves the
records alone, and the next leader that understands them goes on from what they say.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from google.protobuf.message import DecodeError

from quorate.etcd.api import Etcd, EtcdError, KeyValue
from quorate.etcd.election import Election
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import precondition, unavailable
from scheduler.storage import keys

# The kind of shared limits, and of queues that have limits.
LIMIT_GROUP: Final = "limit-group"
# Of tasks with large payloads: an older scheduler would give them to nodes that cannot read them.
BLOB: Final = "blob"
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
