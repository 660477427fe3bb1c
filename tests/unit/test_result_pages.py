"""Results for reduces: in pages, from few reads of etcd, whatever their number and size."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.etcd.api import Range
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import jobs_pb2 as r
from scheduler.core.arrays.positions import BLOCK
from scheduler.storage import keys, result_pages
from scheduler.storage.result_pages import ResultPages

PREFIX = b"/q/"


class Counting(MemoryEtcd):
    """Counts the ranges that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0

    # Any: passed on as it is.
    async def txn(self, *args: Any, **more: Any) -> Any:
        self.reads += sum(isinstance(op, Range) for op in args[1])
        return await super().txn(*args, **more)

    async def range(self, *args: Any, **more: Any) -> Any:
        self.reads += 1
        return await super().range(*args, **more)


class Store:
    """etcd with results of a job `j`."""

    def __init__(self) -> None:
        self.etcd = Counting()
        self.pages = ResultPages(self.etcd, PREFIX)

    async def put(self, *runs: tuple[int, int, list[bytes]]) -> None:
        record = r.JobResultsRecord()
        for first, kind, values in runs:
            record.runs.add(first=first, kind=kind, values=values)
        key = keys.job_results_key("j", runs[0][0] // BLOCK, runs[0][0])
        await self.etcd.put(PREFIX + key, record.SerializeToString())

    async def all(self, first: int, end: int) -> dict[int, tuple[int, bytes]]:
        """What reading page by page gives."""
        found: dict[int, tuple[int, bytes]] = {}
        while first < end:
            upto, runs = await self.pages.page("j", first, end)
            assert first < upto <= end
            for run in runs:
                for position, value in enumerate(run.values, run.first):
                    assert first <= position < upto
                    assert position not in found
                    if value:
                        found[position] = (run.kind, value)
            first = upto
        return found


@pytest.fixture
def store() -> Store:
    return Store()


async def test_values_of_a_block_are_read_once(store: Store) -> None:
    await store.put((0, 1, [b"0", b"1"]), (4, 2, [b"p"]))
    await store.put((2, 1, [b"2"]))
    wanted = {0: (1, b"0"), 1: (1, b"1"), 2: (1, b"2"), 4: (2, b"p")}
    assert await store.all(0, 10) == wanted
    reads = store.etcd.reads
    assert await store.all(1, 3) == {1: (1, b"1"), 2: (1, b"2")}
    assert store.etcd.reads == reads
    assert await store.all(5, 10) == {}


async def test_a_page_ends_with_its_block(store: Store) -> None:
    await store.put((BLOCK - 1, 1, [b"a"]))
    await store.put((BLOCK, 1, [b"b"]))
    assert (await store.pages.page("j", 0, 2 * BLOCK))[0] == BLOCK
    assert await store.all(BLOCK - 1, BLOCK + 1) == {BLOCK - 1: (1, b"a"), BLOCK: (1, b"b")}


@pytest.mark.parametrize("size", [300, 40_000])
async def test_large_values_are_read_by_their_records(
    store: Store, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(result_pages, "SMALL_BYTES", 10_000)
    wanted: dict[int, tuple[int, bytes]] = {}
    # Chunks that were reported side by side, one with holes that another one filled.
    for begin in range(0, 400, 10):
        values = {p: b"%d" % p + b"x" * size for p in range(begin, begin + 10) if p % 7}
        wanted |= {p: (1, value) for p, value in values.items()}
        even = [(p, 1, [value]) for p, value in values.items() if p % 2 == 0]
        odd = [(p, 1, [value]) for p, value in values.items() if p % 2]
        await store.put(*even)
        await store.put(*odd)
    assert await store.all(0, 400) == wanted
    assert await store.all(123, 321) == {p: v for p, v in wanted.items() if 123 <= p < 321}
    store.etcd.reads = 0
    await store.pages.page("j", 200, 210)
    # A few of the 80 records.
    assert store.etcd.reads <= 12


async def test_what_is_kept_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result_pages, "KEPT_BYTES", 2_000)
    for number in range(5):
        await store.put((number * BLOCK, 1, [b"v" * 900]))
    for number in range(5):
        await store.pages.page("j", number * BLOCK, number * BLOCK + 1)
    reads = store.etcd.reads
    await store.pages.page("j", 4 * BLOCK, 4 * BLOCK + 1)
    assert store.etcd.reads == reads
    await store.pages.page("j", 0, 1)
    assert store.etcd.reads == reads + 1
