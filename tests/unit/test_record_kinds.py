"""New kinds of records are refused while a candidate of the election does not understand them."""

from __future__ import annotations

import grpc
import pytest

from quorate.etcd.api import Delete, EtcdUnavailable, Put, Range, RangeResult
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from scheduler.api.candidates import Candidates
from scheduler.storage import keys

PREFIX = b"/quorate/test/"


class CountingEtcd(MemoryEtcd):
    """Counts its reads; `now` is the time of the one who asks."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.now = 100.0
        self.away = False

    async def range(self, read: Range, *, timeout: float = 5.0) -> RangeResult:
        self.reads += 1
        if self.away:
            raise EtcdUnavailable("away")
        return await super().range(read, timeout=timeout)

    def candidates(self) -> Candidates:
        return Candidates(self, PREFIX, lambda: self.now)


async def enter(
    etcd: MemoryEtcd, lease: int, name: str, *kinds: str, version: str = "0.2.0"
) -> bytes:
    key = PREFIX + keys.ELECTION + f"/{lease:x}".encode()
    record = CandidateRecord(name=name, version=version, record_kinds=kinds)
    await etcd.txn([], [Put(key, record.SerializeToString())])
    return key


async def test_a_kind_that_all_candidates_list_is_allowed() -> None:
    etcd = CountingEtcd()
    await enter(etcd, 1, "s1", "schedule", "job")
    await enter(etcd, 2, "s2", "job", "schedule")
    await etcd.candidates().require("schedule")


async def test_a_refusal_names_the_candidates_that_lack_the_kind() -> None:
    etcd = CountingEtcd()
    await enter(etcd, 1, "s1", "schedule")
    await enter(etcd, 2, "s2", version="0.1.0")
    await enter(etcd, 3, "s3", "job")
    with pytest.raises(QuorateError) as caught:
        await etcd.candidates().require("schedule")
    error = caught.value
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert error.reason == "SCHEDULER_TOO_OLD"
    assert error.metadata == {"kind": "schedule", "schedulers": "s2,s3"}
    assert "'s2' (version 0.1.0)" in error.message
    assert "'s1'" not in error.message


async def test_a_candidate_that_is_no_scheduler_counts_as_one_that_lacks_the_kind() -> None:
    etcd = CountingEtcd()
    await enter(etcd, 1, "s1", "schedule")
    await etcd.txn([], [Put(PREFIX + keys.ELECTION + b"/2f", b"\xff\xff by etcdctl")])
    with pytest.raises(QuorateError, match="'2f'"):
        await etcd.candidates().require("schedule")


async def test_the_answer_is_used_for_a_second_and_a_refusal_is_not() -> None:
    etcd = CountingEtcd()
    old = await enter(etcd, 1, "s1")
    candidates = etcd.candidates()
    for _ in range(2):
        with pytest.raises(QuorateError):
            await candidates.require("schedule")
    assert etcd.reads == 2
    await etcd.txn([], [Delete(old)])
    await enter(etcd, 2, "s2", "schedule")
    for _ in range(3):
        await candidates.require("schedule")
    assert etcd.reads == 3
    etcd.now += 1.0
    await candidates.require("schedule")
    assert etcd.reads == 4


async def test_an_etcd_that_is_away_is_unavailable() -> None:
    etcd = CountingEtcd()
    etcd.away = True
    with pytest.raises(QuorateError) as caught:
        await etcd.candidates().require("schedule")
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
