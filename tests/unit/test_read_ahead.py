"""A follower's watch is open before its snapshot is read, and is read ahead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from quorate.etcd.api import (
    Compacted,
    Delete,
    KeyValue,
    Put,
    Range,
    RangeResult,
    WatchBatch,
    WatchEvent,
    size_of,
)
from quorate.etcd.memory.store import MemoryEtcd
from scheduler.storage.replica.loaded import Loaded
from scheduler.storage.replica.read_ahead import ReadAhead
from scheduler.storage.replica.replica import Replica

PREFIX = b"/quorate/t/"


class Records:
    """What is folded."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.told: list[tuple[bytes, int]] = []

    def reset(self) -> None:
        self.kept.clear()

    def put(self, key: bytes, value: bytes, mod_revision: int, lease: int) -> None:
        self.kept[key] = value
        self.told.append((key, mod_revision))

    def deleted(self, key: bytes, revision: int) -> None:
        # A deletion is only ever told of a key that is there.
        del self.kept[key]

    def at(self, revision: int) -> None:
        pass


class Busy(MemoryEtcd):
    """Changes while a snapshot of it is read; keeps from where watches were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.starts: list[int] = []
        self.ranges = 0
        self.merged = False

    @asynccontextmanager
    async def watch(
        self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0
    ) -> AsyncIterator[Any]:
        self.starts.append(start_revision)
        async with super().watch(key, range_end, start_revision=start_revision) as batches:
            yield self._merged(batches) if self.merged else batches

    async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
        self.ranges += 1
        if self.ranges == 1:
            # Between the opening of the watch and the snapshot: in both.
            await self.txn([], [Delete(PREFIX + b"tasks/q/old")])
            await self.txn([], [Put(PREFIX + b"tasks/q/2", b"two")])
        found = await super().range(read, timeout=timeout)
        if self.ranges == 1:
            # Behind the snapshot: only the watch tells of it.
            await self.txn([], [Put(PREFIX + b"tasks/q/3", b"three")])
            await self.txn([], [Delete(PREFIX + b"tasks/q/1")])
        return found

    async def _merged(self, batches: AsyncIterator[WatchBatch]) -> AsyncIterator[WatchBatch]:
        """One batch of four revisions, as from etcd to a watch that is a little late."""
        four = [await anext(batches) for _ in range(4)]
        yield WatchBatch(four[-1].revision, [event for each in four for event in each.events])
        async for batch in batches:
            yield batch


@pytest.mark.parametrize("merged", [False, True])
async def test_what_changes_during_a_load_comes_from_a_watch_that_never_asks_for_the_past(
    merged: bool,
) -> None:
    etcd, records, loaded = Busy(), Records(), Loaded()
    etcd.merged = merged
    for key in (b"old", b"1"):
        await etcd.txn([], [Put(PREFIX + b"tasks/q/" + key, b"one")])
    replica = Replica(etcd, PREFIX, records, order=(b"tasks/",), loaded=loaded)
    running = asyncio.create_task(replica.run())
    try:
        await asyncio.wait_for(loaded.wait(), 60)
        last = await etcd.txn([], [Put(PREFIX + b"tasks/q/4", b"four")])
        await replica.caught_up(last.revision, 5)
        assert etcd.starts == [0]
        assert records.kept == {b"tasks/q/2": b"two", b"tasks/q/3": b"three", b"tasks/q/4": b"four"}
        # None was told twice.
        assert len(records.told) == len(set(records.told))
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_a_replica_is_loaded_when_it_has_folded_what_came_during_the_load() -> None:
    etcd, records, folded = Busy(), Records(), list[set[bytes]]()
    await etcd.txn([], [Put(PREFIX + b"tasks/q/old", b"one"), Put(PREFIX + b"tasks/q/1", b"one")])

    class Noted(Loaded):
        def set(self, loaded: bool) -> None:
            super().set(loaded)
            if loaded:
                folded.append({*records.kept})

    replica = Replica(etcd, PREFIX, records, order=(b"tasks/",), loaded=(loaded := Noted()))
    running = asyncio.create_task(replica.run())
    try:
        await asyncio.wait_for(loaded.wait(), 60)
        assert folded == [{b"tasks/q/2", b"tasks/q/3"}]
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_a_page_is_read_while_the_one_before_it_is_folded() -> None:
    asked: list[int] = []

    class Counting(MemoryEtcd):
        async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
            asked.append(len(records.told))
            return await super().range(read, timeout=timeout)

    etcd, records, loaded = Counting(), Records(), Loaded()
    # Pages of 32, then of 512, then as large as may be.
    keys = [PREFIX + b"tasks/q/%04d" % number for number in range(1_000)]
    for first in range(0, len(keys), 100):
        await etcd.txn([], [Put(key, b"v") for key in keys[first : first + 100]])
    replica = Replica(etcd, PREFIX, records, order=(b"tasks/",), loaded=loaded)
    running = asyncio.create_task(replica.run())
    try:
        await asyncio.wait_for(loaded.wait(), 60)
    finally:
        running.cancel()
        await asyncio.wait({running})
    assert len(records.told) == len(keys)
    assert len(asked) == 3
    assert asked[2] < 32 + 512, "the third page is asked for before the second is folded"


def batch(revision: int, size: int = 1) -> WatchBatch:
    kv = KeyValue(b"", b"x" * size, revision, revision, 1, 0)
    return WatchBatch(revision, [WatchEvent(False, kv)])


def size(batch: WatchBatch) -> int:
    return size_of(batch.events)


class Source:
    """A watch of a given number of batches, that then fails; counts what was taken."""

    def __init__(self, count: int) -> None:
        self.count, self.taken = count, 0

    async def batches(self) -> AsyncIterator[WatchBatch]:
        while self.taken < self.count:
            self.taken += 1
            yield batch(self.taken)
        raise Compacted(7)


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_it_reads_ahead_up_to_its_bound() -> None:
    source = Source(100)
    async with ReadAhead(source.batches(), size, most=10) as ahead:
        await settled()
        assert source.taken == 11
        assert ahead.last == batch(11)
        assert (await anext(ahead)).revision == 1
        await settled()
        assert source.taken == 12


async def test_what_the_watch_raises_comes_behind_the_batches_before_it() -> None:
    source = Source(3)
    async with ReadAhead(source.batches(), size) as ahead:
        await settled()
        assert [(await anext(ahead)).revision for _ in range(3)] == [1, 2, 3]
        with pytest.raises(Compacted):
            await anext(ahead)


async def test_nothing_is_read_any_more_when_it_is_left() -> None:
    source = Source(100)
    async with ReadAhead(source.batches(), size, most=5):
        await settled()
    taken = source.taken
    await settled()
    assert source.taken == taken
