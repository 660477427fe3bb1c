"""A prefix is read in large pages; one that failed is asked for again, as it was."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio
import pytest

from quorate.etcd import paging
from quorate.etcd.api import (
    EtcdAnswerTooLarge,
    EtcdError,
    EtcdUnavailable,
    Put,
    Range,
    RangeResult,
)
from quorate.etcd.failures import from_rpc
from quorate.etcd.memory.store import MemoryEtcd
from quorate.etcd.paging import SAFE_PAGE, pages
from scheduler.storage.replica.replica import Replica

PREFIX = b"/p/tasks/"
KEYS = [PREFIX + b"%06d" % number for number in range(3_000)]


class BusyEtcd(MemoryEtcd):
    """Answers each page at the second try only, but for the first one."""

    def __init__(self, failures: int = 1) -> None:
        super().__init__()
        self.limits: list[int] = []
        self.failures = failures
        self._left = failures

    async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
        self.limits.append(read.limit)
        if read.revision and self._left:
            self._left -= 1
            raise EtcdUnavailable("deadline exceeded")
        self._left = self.failures
        return await super().range(read, timeout=timeout)


class Records:
    """Counts what a replica folds."""

    def __init__(self) -> None:
        self.resets = self.puts = 0

    def reset(self) -> None:
        self.resets += 1

    def put(self, key: bytes, value: bytes, mod_revision: int, lease: int) -> None:
        self.puts += 1

    def deleted(self, key: bytes, revision: int) -> None:
        raise AssertionError(key)

    def at(self, revision: int) -> None:
        pass


async def filled(etcd: MemoryEtcd) -> None:
    for start in range(0, len(KEYS), 100):
        await etcd.txn((), [Put(key, b"v") for key in KEYS[start : start + 100]])


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "_FIRST_PAUSE", 0.0)


async def test_a_page_that_timed_out_is_asked_for_again_at_the_same_size() -> None:
    etcd = BusyEtcd()
    await filled(etcd)
    found = [kv.key async for page in pages(etcd, PREFIX) for kv in page.kvs]
    assert found == KEYS
    # Every page but the first twice; small ones would cost etcd 3.4 its whole index each.
    assert etcd.limits == [32, 512, 512, 5_000, 5_000]


async def test_a_page_is_given_up_after_its_tries() -> None:
    etcd = BusyEtcd(failures=3)
    await filled(etcd)
    with pytest.raises(EtcdError):
        async for _ in pages(etcd, PREFIX, tries=3):
            pass
    assert etcd.limits == [32, 512, 512, 512]


async def test_a_replica_keeps_what_it_loaded_while_etcd_is_slow() -> None:
    etcd = BusyEtcd(failures=5)
    await filled(etcd)
    records = Records()
    replica = Replica(etcd, b"/p/", records, order=(b"queues/", b"tasks/"))
    running = asyncio.create_task(replica.run())
    try:
        async with asyncio.timeout(60):
            while not replica.revision:
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait({running})
    assert records.resets == 1
    assert records.puts == len(KEYS)


@pytest.mark.parametrize(
    "details",
    [
        "CLIENT: Received message larger than max (70000000 vs. 67108864)",
        "Received message larger than max (70000000 vs. 67108864)",
        "grpc: trying to send message larger than max (3000000000 vs. 2147483647)",
    ],
)
def test_an_answer_that_is_too_large_is_told_from_one_that_is_late(details: str) -> None:
    code, nothing = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(code, nothing, nothing, details, debug_error_string="")
    assert isinstance(from_rpc(error, "e"), EtcdAnswerTooLarge)


async def test_only_an_answer_too_large_makes_pages_smaller() -> None:
    class Narrow(BusyEtcd):
        async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
            self.limits.append(read.limit)
            page = await MemoryEtcd.range(self, read, timeout=timeout)
            if len(page.kvs) > 1_000:
                raise EtcdAnswerTooLarge("received message larger than max")
            return page

    etcd = Narrow()
    await filled(etcd)
    found = [kv.key async for page in pages(etcd, PREFIX) for kv in page.kvs]
    assert found == KEYS
    assert etcd.limits[:4] == [SAFE_PAGE, 512, 5_000, SAFE_PAGE]
    assert max(etcd.limits[4:]) <= 1_250
