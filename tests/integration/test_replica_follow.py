"""A replica of real etcd: consistent snapshots, whole revisions, compaction, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from quorate.etcd.api import Delete, Etcd, EtcdAnswerTooLarge, EtcdError, Put, Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.paging import SAFE_PAGE
from quorate.etcd.server.launcher import EtcdProcess
from scheduler.api.tasks.changes import Recent
from scheduler.storage.replica import replica as replica_module
from scheduler.storage.replica.replica import Replica

PREFIX = b"/quorate/replica/"
ANSWER_BYTES = 512 * 1024
ORDER = (b"queues/", b"tasks/", b"runs/")


class Records:
    """Keeps what it is told, and the order of it."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.leases: dict[bytes, int] = {}
        self.order: list[bytes] = []
        self.resets = 0
        self.snapshots: list[dict[bytes, bytes]] = []

    def reset(self) -> None:
        self.kept.clear()
        self.order.clear()
        self.resets += 1

    def put(self, key: bytes, value: bytes, mod_revision: int, lease: int) -> None:
        self.kept[key] = value
        self.leases[key] = lease
        self.order.append(key)

    def deleted(self, key: bytes, revision: int) -> None:
        # A deletion is only ever told of a key that is there.
        del self.kept[key]

    def at(self, revision: int) -> None:
        self.snapshots.append(dict(self.kept))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    process = EtcdProcess(tmp_path_factory.mktemp("etcd"))
    asyncio.run(process.start())
    yield process
    asyncio.run(process.stop())


@pytest.fixture
async def etcd(server: EtcdProcess) -> AsyncIterator[EtcdClient]:
    async with EtcdClient([server.endpoint]) as client:
        await client.delete(PREFIX, PREFIX[:-1] + b"0")
        yield client


@asynccontextmanager
async def running(replica: Replica) -> AsyncIterator[None]:
    task = asyncio.create_task(replica.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def write(etcd: Etcd, *keys: bytes, value: bytes = b"v") -> int:
    revision = 0
    for start in range(0, len(keys), 100):
        ops = [Put(PREFIX + key, value) for key in keys[start : start + 100]]
        revision = (await etcd.txn((), ops)).revision
    return revision


async def test_snapshot_comes_in_the_given_order_and_without_other_keys(etcd: EtcdClient) -> None:
    revision = await write(etcd, b"runs/q/1", b"tasks/q/1", b"queues/q", b"dedup/q/1")
    records = Records()
    replica = Replica(etcd, PREFIX, records, order=ORDER)
    async with running(replica):
        await replica.caught_up(revision, 10)
        assert records.order == [b"queues/q", b"tasks/q/1", b"runs/q/1"]
        revision = await write(etcd, b"dedup/q/2", b"tasks/q/2")
        await replica.caught_up(revision, 10)
        assert records.order[3:] == [b"tasks/q/2"]


async def test_the_lease_of_a_record_is_told(etcd: EtcdClient) -> None:
    lease = (await etcd.lease_grant(30)).id
    await etcd.put(PREFIX + b"runs/loaded", b"v", lease=lease)
    revision = await write(etcd, b"queues/q")
    records = Records()
    replica = Replica(etcd, PREFIX, records, order=ORDER)
    async with running(replica):
        await replica.caught_up(revision, 10)
        revision = await etcd.put(PREFIX + b"runs/watched", b"v", lease=lease)
        await replica.caught_up(revision, 10)
        assert records.leases == {b"queues/q": 0, b"runs/loaded": lease, b"runs/watched": lease}


async def test_paged_snapshot_is_of_one_revision_while_writes_go_on(etcd: EtcdClient) -> None:
    """Each Txn writes the same value to a first and a last key: every snapshot has them equal."""
    filler = [b"tasks/q/%06d" % number for number in range(1_000)]
    await write(etcd, *filler)
    first, last = PREFIX + b"queues/first", PREFIX + b"runs/last"
    revision = 0

    class Busy:
        """The store, with a write between any two pages."""

        async def range(self, read: Range, *, timeout: float = 5.0):
            nonlocal revision
            value = b"%d" % revision
            revision = (await etcd.txn((), [Put(first, value), Put(last, value)])).revision
            return await etcd.range(read, timeout=timeout)

        def __getattr__(self, name: str):
            return getattr(etcd, name)

    records = Records()
    replica = Replica(Busy(), PREFIX, records, order=ORDER)
    async with running(replica):
        await replica.caught_up(1, 10)
        await replica.caught_up(revision, 10)
        pairs = [(kept[b"queues/first"], kept[b"runs/last"]) for kept in records.snapshots]
        assert all(one == other for one, other in pairs)
        # The snapshot is older than the writes made while it was read; the watch brings them.
        assert pairs[0] != pairs[-1]
        assert len(records.kept) == len(filler) + 2


async def test_a_txn_is_folded_as_a_whole(etcd: EtcdClient) -> None:
    revision = await write(etcd, b"queues/q")
    records = Records()
    replica = Replica(etcd, PREFIX, records, order=ORDER)
    async with running(replica):
        await replica.caught_up(revision, 10)
        for round_ in range(50):
            value = b"%d" % round_
            ops = [Put(PREFIX + b"tasks/q/%03d" % number, value) for number in range(100)]
            revision = (await etcd.txn((), ops)).revision
        await replica.caught_up(revision, 10)
        for kept in records.snapshots:
            assert len({kept[key] for key in kept if key.startswith(b"tasks/")}) <= 1


async def test_what_was_compacted_while_the_replica_was_away_is_loaded_again(
    etcd: EtcdClient, server: EtcdProcess
) -> None:
    revision = await write(etcd, b"queues/q", b"tasks/q/1")
    records = Records()
    gate: Any = Gate(etcd)
    replica = Replica(gate, PREFIX, records, order=ORDER)
    async with running(replica):
        await replica.caught_up(revision, 10)
        async with gate.closed():
            await etcd.txn((), [Delete(PREFIX + b"tasks/q/1"), Put(PREFIX + b"tasks/q/2", b"v")])
            revision = await write(etcd, b"tasks/q/3")
            revision = await write(etcd, b"tasks/q/4")
            await etcd.compact(revision)
        await replica.caught_up(revision, 10)
        assert records.resets == 2
        assert sorted(records.kept) == [b"queues/q", b"tasks/q/2", b"tasks/q/3", b"tasks/q/4"]


class Gate:
    """A store whose watches can be broken, and kept from being opened again."""

    def __init__(self, etcd: EtcdClient) -> None:
        self._etcd = etcd
        self._open = asyncio.Event()
        self._open.set()
        self._broken: asyncio.Queue[None] = asyncio.Queue()
        self._down = asyncio.Event()

    async def range(self, read: Range, *, timeout: float = 5.0):
        return await self._etcd.range(read, timeout=timeout)

    @asynccontextmanager
    async def watch(self, key: bytes, range_end: bytes = b"", *, start_revision: int = 0):
        await self._open.wait()
        async with self._etcd.watch(key, range_end, start_revision=start_revision) as batches:
            yield self._batches(batches)

    async def _batches(self, batches):
        while True:
            arriving = asyncio.ensure_future(anext(batches))
            breaking = asyncio.ensure_future(self._broken.get())
            try:
                await asyncio.wait({arriving, breaking}, return_when=asyncio.FIRST_COMPLETED)
                if breaking.done():
                    self._down.set()
                    raise EtcdError("the connection broke")
                yield await arriving
            finally:
                arriving.cancel()
                breaking.cancel()

    @asynccontextmanager
    async def closed(self):
        self._open.clear()
        self._broken.put_nowait(None)
        await asyncio.wait_for(self._down.wait(), 60)
        yield
        self._open.set()


async def test_etcd_killed_and_restarted_loses_nothing(
    etcd: EtcdClient, server: EtcdProcess
) -> None:
    revision = await write(etcd, b"queues/q", b"tasks/q/1")
    records = Records()
    replica = Replica(etcd, PREFIX, records, order=ORDER)
    async with running(replica):
        await replica.caught_up(revision, 10)
        await server.kill()
        await server.start()
        revision = await write(etcd, b"tasks/q/2")
        await replica.caught_up(revision, 20)
        assert records.kept.keys() == {b"queues/q", b"tasks/q/1", b"tasks/q/2"}
        assert records.resets == 1


async def test_a_replica_started_before_etcd_loads_when_it_comes(tmp_path: Path) -> None:
    late = EtcdProcess(tmp_path / "late")
    await late.start()
    await late.stop()
    async with EtcdClient([late.endpoint]) as client:
        records = Records()
        replica = Replica(client, PREFIX, records, order=ORDER)
        async with running(replica):
            with pytest.raises(TimeoutError):
                await replica.caught_up(1, 0.2)
            await late.start()
            try:
                await replica.caught_up(await write(client, b"queues/q"), 20)
                assert records.kept == {b"queues/q": b"v"}
            finally:
                await late.stop()


async def test_records_that_grow_along_the_way_still_load(etcd: EtcdClient) -> None:
    """Small records make pages long; the long page then meets large ones, past what fits."""
    small = [b"tasks/q/%06d" % number for number in range(5_000)]
    await write(etcd, *small)
    large = [b"tasks/q/9%05d" % number for number in range(40)]
    await write(etcd, *large, value=bytes(ANSWER_BYTES // SAFE_PAGE))
    revision = await write(etcd, b"runs/q/1")
    rejections = 0

    class Narrow:
        """The store, behind a client that takes answers of so many bytes and no more."""

        async def range(self, read: Range, *, timeout: float = 5.0):
            nonlocal rejections
            page = await etcd.range(read, timeout=timeout)
            if sum(len(kv.value) for kv in page.kvs) > ANSWER_BYTES:
                rejections += 1
                raise EtcdAnswerTooLarge("received message larger than max")
            return page

        def __getattr__(self, name: str):
            return getattr(etcd, name)

    records = Records()
    replica = Replica(Narrow(), PREFIX, records, order=ORDER)
    async with running(replica):
        await replica.caught_up(revision, 10)
        assert len(records.kept) == len(small) + len(large) + 1
        assert records.resets == 1
        # Each is asked for in vain, so there are few: the ceiling comes down with each.
        assert 1 <= rejections <= 5


async def test_the_event_loop_turns_while_records_are_folded(
    etcd: EtcdClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "SLICE", 10)
    revision = await write(etcd, *(b"tasks/q/%06d" % number for number in range(1_000)))
    turns_seen: list[int] = []
    turns = 0

    class Counting(Records):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int) -> None:
            turns_seen.append(turns)
            super().put(key, value, mod_revision, lease)

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    replica = Replica(etcd, PREFIX, Counting(), order=ORDER)
    ticking = asyncio.create_task(turn())
    async with running(replica):
        await replica.caught_up(revision, 10)
    ticking.cancel()
    longest = max(turns_seen.count(turn_) for turn_ in set(turns_seen))
    assert longest == 10


async def test_held_replica_stands_still_at_a_whole_revision(etcd: EtcdClient) -> None:
    revision = await write(etcd, b"queues/q")
    records = Records()
    replica = Replica(etcd, PREFIX, records, order=ORDER)
    async with running(replica):
        await replica.caught_up(revision, 10)
        async with replica.held() as at:
            assert at == revision
            later = await write(etcd, b"tasks/q/1")
            with pytest.raises(TimeoutError):
                await replica.caught_up(later, 0.1)
            assert records.kept.keys() == {b"queues/q"}
        await replica.caught_up(later, 10)
        assert records.kept.keys() == {b"queues/q", b"tasks/q/1"}


async def test_a_standby_far_behind_catches_up_piece_by_piece(server: EtcdProcess) -> None:
    """50,000 events behind, of which etcd makes one response: folded as they come."""
    async with EtcdClient([server.endpoint]) as etcd, EtcdClient([server.endpoint]) as writer:
        records, recent = Records(), Recent(PREFIX, most=20_000)
        replica = Replica(etcd, PREFIX, records, order=ORDER, recent=recent)
        run = asyncio.create_task(replica.run())
        try:
            begin = await writer.put(PREFIX + b"queues/begin", b"")
            await replica.caught_up(begin, timeout=60)
            snapshots = len(records.snapshots)
            async with replica.held():
                for number in range(500):
                    puts = [
                        Put(PREFIX + b"runs/far/%d-%d" % (number, place), bytes(200))
                        for place in range(100)
                    ]
                    last = (await writer.txn((), puts, timeout=60)).revision
            records.snapshots.clear()
            records.at = lambda revision: at.append((revision, len(records.kept)))  # type: ignore[method-assign]
            at: list[tuple[int, int]] = []
            await replica.caught_up(last, timeout=60)
            assert snapshots
            assert records.resets == 1, "nothing was loaded again"
            grown = [after - before for (_, before), (_, after) in pairwise(at)]
            assert max(grown) <= 10_000, "a fragment at a time"
            assert at[-1][0] == last
            # What it does not need itself is bounded too.
            assert recent.revision == last
            assert len(recent) <= 20_000
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
