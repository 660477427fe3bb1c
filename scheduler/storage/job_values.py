"""What of a job is in no row: its template, and its items. Read from etcd when they are sent.

Owned by one term; read back after a failover. What is read was committed before the chunk was given
out, so nothing here is fenced: a leader that was deposed sends nothing that counts.

Bounds: `MOST_BYTES` of templates and of items each, and `MOST_JOBS` jobs of which it is known where
the records of their items begin; what was used longest ago goes first.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from quorate.etcd.api import Etcd, Range
from quorate.etcd.paging import pages
from quorate.internal.v1 import jobs_pb2 as r
from scheduler.core.arrays.positions import Range as Positions
from scheduler.core.model.rows import JobRow
from scheduler.storage import keys

MOST_BYTES: Final = 64 << 20
MOST_JOBS: Final = 1_000
# What an entry costs beside its bytes, about.
_ENTRY: Final = 200

Key = TypeVar("Key")
Value = TypeVar("Value")


def template_name(job: JobRow) -> str:
    """The name of what each subtask of a job runs: its id, or that of the reduces it is a level
    of."""
    return job.id if job.parent is None or not job.level else reduces_name(job.parent.id)


def reduces_name(job: str) -> str:
    """The name of what the reduces of a job run."""
    return f"{job}/reduce"


class ValuesMissing(Exception):
    """A job's template or items are not on record: the job is gone."""


class _Kept(Generic[Key, Value]):
    """Values by key, at most so many bytes together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._found: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        found = self._found.get(key)
        if found is None:
            return None
        self._found.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        self.drop(key)
        self._found[key] = (value, size + _ENTRY)
        self._size += size + _ENTRY
        while self._size > self._most and len(self._found) > 1:
            _, (_, gone) = self._found.popitem(last=False)
            self._size -= gone

    def drop(self, key: Key) -> None:
        found = self._found.pop(key, None)
        if found is not None:
            self._size -= found[1]


class _Part(NamedTuple):
    """A record of items."""

    items: list[bytes]
    appender: str


class JobValues:
    """Templates and items of jobs: templates by `template_name`, items by job id.

    Args:
        prefix: the cluster's key prefix.
    """

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._templates: _Kept[str, bytes] = _Kept(MOST_BYTES)
        self._items: _Kept[tuple[str, int], _Part] = _Kept(MOST_BYTES)
        # Where the records of a job's items begin, ascending.
        self._firsts: OrderedDict[str, list[int]] = OrderedDict()

    def known_template(self, name: str) -> bytes | None:
        """The template, where it is in memory."""
        return self._templates.get(name)

    def put_template(self, job: str, template: bytes, reduce: bytes = b"") -> None:
        """Keep the templates of a job that are about to be sent."""
        self._templates.put(job, template, len(template))
        if reduce:
            self._templates.put(reduces_name(job), reduce, len(reduce))

    def forget(self, job: str) -> None:
        """The job has finished."""
        self._templates.drop(job)
        self._templates.drop(reduces_name(job))
        self._firsts.pop(job, None)

    async def template(self, name: str) -> bytes:
        """A template by its name.

        Raises:
            EtcdError: etcd does not answer.
            ValuesMissing: it is not on record.
        """
        found = self._templates.get(name)
        if found is None:
            job = name.partition("/")[0]
            kvs = await self._read(Range(self._prefix + keys.job_template_key(job)))
            if not kvs:
                raise ValuesMissing(job)
            record = r.JobTemplateRecord.FromString(kvs[0])
            self.put_template(job, record.template, record.reduce)
            found = record.template if name == job else record.reduce
        return found

    async def items(self, job: str, ranges: Sequence[Positions]) -> list[bytes]:
        """The items of positions, in order. Raises as `template`."""
        found: list[bytes] = []
        for first, last in ranges:
            while first <= last:
                begin, record = await self._record(job, first)
                part = record.items[first - begin : last - begin + 1]
                found += part
                first += len(part)
        return found

    async def same(self, job: str, first: int, items: Sequence[bytes], appender: str) -> int:
        """How many of `items`, from the first on, are on record from position `first` on.

        Those of another appender are not, even if they are the same; nobody's are compared alone.
        Raises as `template`.
        """
        at, end = first, first + len(items)
        while at < end:
            begin, record = await self._record_near(job, at)
            part = record.items[at - begin : end - begin]
            if appender and record.appender:
                if appender != record.appender:
                    break
            elif part != items[at - first : at - first + len(part)]:
                pairs = zip(part, items[at - first :], strict=False)
                at += next(n for n, (one, other) in enumerate(pairs) if one != other)
                break
            at += len(part)
            # A record can be of one item.
            await asyncio.sleep(0)
        return at - first

    async def _record_near(self, job: str, position: int) -> tuple[int, _Part]:
        """As `_record`; one read where a record begins at the position."""
        try:
            return position, await self._items_at(job, position)
        except ValuesMissing:
            return await self._record(job, position)

    async def _record(self, job: str, position: int) -> tuple[int, _Part]:
        """The record that has the item of a position, and where it begins."""
        for fresh in (False, True):
            firsts = await self._index(job, fresh=fresh)
            place = bisect_right(firsts, position) - 1
            if place < 0:
                continue
            begin = firsts[place]
            record = await self._items_at(job, begin)
            if begin <= position < begin + len(record.items):
                return begin, record
        raise ValuesMissing(job)

    async def _index(self, job: str, *, fresh: bool) -> list[int]:
        """Where the records of a job's items begin, as far as it was known; all when `fresh`."""
        firsts = self._firsts.get(job)
        if firsts is None or fresh:
            prefix = self._prefix + keys.JOB_ITEMS + f"{job}/".encode()
            firsts = []
            async for page in pages(self._etcd, prefix, keys_only=True):
                firsts += [int(kv.key[len(prefix) :]) for kv in page.kvs]
            self._firsts[job] = firsts
            if len(self._firsts) > MOST_JOBS:
                self._firsts.popitem(last=False)
        self._firsts.move_to_end(job)
        return firsts

    async def _items_at(self, job: str, begin: int) -> _Part:
        part = self._items.get((job, begin))
        if part is None:
            kvs = await self._read(Range(self._prefix + keys.job_items_key(job, begin)))
            if not kvs:
                raise ValuesMissing(job)
            record = r.JobItemsRecord.FromString(kvs[0])
            part = _Part(list(record.items), record.appender)
            size = len(kvs[0]) + 64 * len(part.items)
            self._items.put((job, begin), part, size)
        return part

    async def _read(self, read: Range) -> list[bytes]:
        result = await self._etcd.txn((), (read,))
        return [kv.value for kv in result.ranges[0].kvs]
