"""Pages of results for reduces that run on nodes: see `ReadResults` of the node agent's protocol.

Owned by one term. What a reduce gets never changes: it is read once all of it has succeeded. So a
block is read once, and what is known of it is kept:

* its values, where these are few bytes (`SMALL_BYTES`), as a rule;
* else which positions each of its records has, so that a page costs the reads of its own records.

Bounds: `KEPT_BYTES` of all blocks together, the one used longest ago goes first; while a block is
read a page of etcd more, and for each page `RECORDS_AT_ONCE` records.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from quorate.etcd.api import Etcd, Range
from quorate.etcd.paging import pages
from quorate.internal.v1 import jobs_pb2 as r
from quorate.v1 import job_pb2
from scheduler.core.arrays.positions import BLOCK
from scheduler.storage import keys
from scheduler.storage.job_results import Value

# Bytes of the values of one page, unless it has one value; positions are those of a block at most.
PAGE_BYTES: Final = 1 << 20
SMALL_BYTES: Final = 4 << 20
KEPT_BYTES: Final = 32 << 20
# Of a block with large values: each has 256 KiB, or one value.
RECORDS_AT_ONCE: Final = 8
# What a value, and what is known of a record, costs beside its bytes, about.
_ENTRY: Final = 150


class _Span(NamedTuple):
    """The positions that a record has values of: `first` to `last`, perhaps not all of them."""

    first: int
    last: int
    key: bytes


class _Block:
    """What is kept of a block: its values, or (None) where these are."""

    __slots__ = ("size", "spans", "values")

    def __init__(self) -> None:
        self.values: dict[int, Value] | None = {}
        self.spans: list[_Span] = []
        self.size = 0

    def add(self, key: bytes, record: r.JobResultsRecord) -> None:
        """One more of its records was read."""
        runs = [run for run in record.runs if run.values]
        if not runs:
            return
        last = max(run.first + len(run.values) - 1 for run in runs)
        self.spans.append(_Span(min(run.first for run in runs), last, key))
        self.size += _ENTRY + len(key)
        if self.values is not None:
            self.size += _take(record, self.values, range(1 << 62))
            if self.size > SMALL_BYTES:
                self.values = None
                self.size = sum(_ENTRY + len(span.key) for span in self.spans)

    def near(self, first: int, end: int) -> tuple[list[_Span], int]:
        """The records that have the values from a position on, some at a time.

        Returns:
            They, and before which position they have all values.
        """
        wanted: list[_Span] = []
        for span in self.spans:
            if span.first >= end:
                break
            if span.first > first and len(wanted) >= RECORDS_AT_ONCE:
                return wanted, span.first
            if span.last >= first:
                wanted.append(span)
        return wanted, end


class ResultPages:
    """The pages of one term.

    Args:
        prefix: the cluster's key prefix.
    """

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        self._prefix = prefix
        # By job and block, the one used last at the end.
        self._kept: OrderedDict[tuple[str, int], _Block] = OrderedDict()
        self._size = 0

    async def page(self, job: str, first: int, end: int) -> tuple[int, list[job_pb2.ResultRun]]:
        """The results of a job from a position on, at least that one and none behind `end`.

        Returns:
            The position behind the last one, and runs. An empty value, and none, is no result.

        Raises:
            EtcdError: etcd does not answer.
        """
        number = first // BLOCK
        end = min(end, (number + 1) * BLOCK)
        block = await self._block(job, number)
        values = block.values
        if values is None:
            spans, end = block.near(first, end)
            values = await self._values(spans, first, end)
        runs: list[job_pb2.ResultRun] = []
        size, get = 0, values.get
        run: job_pb2.ResultRun | None = None
        for position in range(first, end):
            found = get(position)
            if found is None:
                if run is not None:
                    run.values.append(b"")
                continue
            kind, value = found
            if size and size + len(value) > PAGE_BYTES:
                return position, runs
            size += len(value)
            if run is None or run.kind != kind:
                run = job_pb2.ResultRun(first=position, kind=kind)  # type: ignore[arg-type]
                runs.append(run)
            run.values.append(value)
        return max(first + 1, end), runs

    async def _block(self, job: str, number: int) -> _Block:
        block = self._kept.get((job, number))
        if block is not None:
            self._kept.move_to_end((job, number))
            return block
        block = _Block()
        below = self._prefix + keys.JOB_RESULTS + f"{job}/{number:04d}/".encode()
        async for page in pages(self._etcd, below):
            for kv in page.kvs:
                block.add(kv.key, r.JobResultsRecord.FromString(kv.value))
            await asyncio.sleep(0)
        block.spans.sort()
        if (job, number) not in self._kept:
            self._kept[job, number] = block
            self._size += block.size
        while self._size > KEPT_BYTES and len(self._kept) > 1:
            _, gone = self._kept.popitem(last=False)
            self._size -= gone.size
        return block

    async def _values(self, spans: Iterable[_Span], first: int, end: int) -> dict[int, Value]:
        """The values of some records, as far as they are of the positions before `end`."""
        result = await self._etcd.txn((), [Range(span.key) for span in spans])
        values: dict[int, Value] = {}
        for found in result.ranges:
            for kv in found.kvs:
                _take(r.JobResultsRecord.FromString(kv.value), values, range(first, end))
        return values


def _take(record: r.JobResultsRecord, values: dict[int, Value], wanted: range) -> int:
    """Add the values of a record; what they cost."""
    size = 0
    for run in record.runs:
        kind = int(run.kind)
        for place, value in enumerate(run.values, run.first):
            if value and place in wanted:
                values[place] = (kind, value)
                size += len(value) + _ENTRY
    return size
