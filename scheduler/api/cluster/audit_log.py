"""Reading the audit log: ListAuditEntries of a leader.

Which entries there are is known in memory (`core.audit_index`), and only what is durable; the
entries are read back from etcd, newest first, in fenced Txns behind a barrier. Filters are applied
to what is read: a page ends after `SCAN` entries, whether they were what was asked for or not, so
that one call costs a bounded time; its successor goes on from there.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from quorate.runtime.errors import invalid
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1.audit_pb2 import AuditEntry
from scheduler.api import page_tokens, validate
from scheduler.api.asking import PAGE_BYTES
from scheduler.api.origin import AUDITED
from scheduler.core.model.indexes.audit_index import MICROS
from scheduler.engine.driver import Driver
from scheduler.storage import reads
from scheduler.storage.records import audit as audit_records

# Entries looked at for one page, and read in one Txn (6 MB at most).
SCAN: Final = 5_000
AT_ONCE: Final = 500
RESOURCE_TYPES: Final = (
    *("queue", "node", "service", "task", "job", "schedule", "quota", "limit", "pause"),
    *("exchange", "message_queue", "virtual_host"),
)
_MAX_TEXT: Final = 256
# No instant of a Timestamp is later.
_NO_END: Final = 253_402_300_800 * MICROS


class _Filter(NamedTuple):
    caller: str
    kind: str
    name: str
    # The RPC's full name.
    method: str

    def matches(self, entry: AuditEntry) -> bool:
        return (
            (not self.caller or self.caller in (entry.caller, f"{entry.role}:{entry.caller}"))
            and (not self.kind or self.kind == entry.resource_type)
            and (not self.name or self.name == entry.resource_name)
            and (not self.method or self.method == entry.method)
        )


class AuditLog:
    """Answers for one term."""

    def __init__(self, driver: Driver, stored: reads.FencedReads) -> None:
        self._driver = driver
        self._stored = stored

    async def page(self, request: pb.ListAuditEntriesRequest) -> pb.ListAuditEntriesResponse:
        """A page. Raises QuorateError naming the field of what is wrong."""
        size = validate.page_size(request.page_size)
        wanted = _filter(request)
        begin, end = _between(request)
        filters = (*wanted, begin, end)
        before = page_tokens.decode("audit", filters, request.page_token)
        if before is not None:
            if not audit_records.is_id(before):
                raise page_tokens.stale("is malformed; begin again without it")
            end = min(end, int(before, 16))
        await self._driver.readable()
        index = self._driver.state.audit
        at_once = AT_ONCE if any(wanted) else min(AT_ONCE, size)
        answer = pb.ListAuditEntriesResponse()
        looked = length = last = 0
        full = False
        while looked < SCAN and not full:
            # Looked up again each time: retention may have taken some meanwhile.
            ids = index.below(end, begin, at_once)
            if not ids:
                return answer
            looked += len(ids)
            found = await self._read(ids[0], ids[-1])
            end = ids[0]
            for number, entry in reversed(found):
                if not wanted.matches(entry):
                    continue
                length += entry.ByteSize()
                if answer.entries and length > PAGE_BYTES:
                    full = True
                else:
                    answer.entries.append(entry)
                    last = number
                    full = len(answer.entries) == size
                if full:
                    end = last
                    break
        if index.below(end, begin, 1):
            position = audit_records.id_text(end)
            answer.next_page_token = page_tokens.encode("audit", filters, position)
        return answer

    async def _read(self, first: int, last: int) -> list[tuple[int, AuditEntry]]:
        """The entries of the ids `[first, last]` that are still there, ascending."""
        found = await self._stored.span(audit_records.key_of(first), audit_records.key_of(last))
        numbers = ((audit_records.id_of(kv.key), kv.value) for kv in found)
        return [(number, audit_records.entry(number, value)) for number, value in numbers]


def _filter(request: pb.ListAuditEntriesRequest) -> _Filter:
    for field in ("caller", "resource_name"):
        validate.at_most(field, len(getattr(request, field)), _MAX_TEXT, "characters")
    kind = request.resource_type
    if kind and kind not in RESOURCE_TYPES:
        raise invalid("resource_type", f"{kind[:80]!r} must be one of {', '.join(RESOURCE_TYPES)}")
    method = request.method
    if method:
        found = [full for full in AUDITED.values() if method in (full, full.rpartition("/")[2])]
        if not found:
            names = sorted(full.rpartition("/")[2] for full in AUDITED.values())
            raise invalid("method", f"{method[:80]!r} must be one of {', '.join(names)}")
        method = found[0]
    return _Filter(request.caller, kind, request.resource_name, method)


def _between(request: pb.ListAuditEntriesRequest) -> tuple[int, int]:
    """`[begin, end)` of the ids that are meant."""
    begin, end = 0, _NO_END
    if request.HasField("since"):
        begin = _micros("since", request.since)
    if request.HasField("until"):
        end = _micros("until", request.until)
        if end <= begin:
            raise invalid("until", "must be later than since")
    return begin, end


def _micros(field: str, value: Timestamp) -> int:
    if not 0 <= value.seconds < _NO_END // MICROS or not 0 <= value.nanos < 1_000_000_000:
        raise invalid(field, "must be an instant from 1970 to the year 9999")
    # Up: an entry of an instant between two microseconds there is none.
    return value.seconds * MICROS + -(-value.nanos // 1_000)
