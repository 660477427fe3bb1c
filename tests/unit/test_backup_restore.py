"""Backup and restore over the in-memory store: what is kept, what is refused, what resumes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest

from quorate.etcd.api import Compare, EtcdUnavailable, Op, Range, TxnResult, prefix_end
from quorate.etcd.generation import read_standing
from quorate.etcd.memory.store import MemoryEtcd
from quorate.etcd.snapshot.restore import restore
from quorate.etcd.snapshot.snapshot import back_up
from quorate.internal.v1.records_pb2 import HeadRecord
from quorate.runtime.errors import QuorateError

CLUSTER = "mine"
PREFIX = b"/quorate/mine/"
NOW = 1_000.0


async def filled(records: int = 300) -> MemoryEtcd:
    """A cluster with a log, tasks, and keys under leases."""
    etcd = MemoryEtcd()
    lease = (await etcd.lease_grant(60)).id
    await etcd.put(PREFIX + b"head", HeadRecord(epoch=1, sequence=2).SerializeToString())
    await etcd.put(PREFIX + b"nodes/n1", b"node", lease=lease)
    await etcd.put(b"/quorate/mine2/tasks/a", b"another cluster's")
    for number in range(records):
        await etcd.put(PREFIX + b"tasks/default/%04d" % number, b"%d" % number * 100)
    return etcd


async def content(etcd: MemoryEtcd) -> dict[bytes, bytes]:
    found = await etcd.range(Range(b"\0", prefix_end(b"/")))
    return {kv.key: kv.value for kv in found.kvs}


async def made(etcd: MemoryEtcd, path: Path, **more: Any) -> Any:
    return await back_up(etcd, PREFIX, CLUSTER, path, now=NOW, **more)


async def restored(etcd: MemoryEtcd, path: Path, cluster: str = CLUSTER, **more: Any) -> Any:
    prefix = f"/quorate/{cluster}/".encode()
    return await restore(etcd, prefix, cluster, path, now=NOW + 1, **more)


async def rejection(etcd: MemoryEtcd, path: Path, **more: Any) -> QuorateError:
    before = await content(etcd)
    with pytest.raises(QuorateError) as refused:
        await restored(etcd, path, **more)
    assert await content(etcd) == before, "something was written"
    return refused.value


class Fickle(MemoryEtcd):
    """Answers some Txns that write with silence, after doing them or instead."""

    def __init__(self, fates: str) -> None:
        super().__init__()
        self.fates = list(fates)

    async def txn(
        self,
        compares: Sequence[Compare],
        success: Sequence[Op],
        failure: Sequence[Op] = (),
        *,
        timeout: float = 5.0,
    ) -> TxnResult:
        writes = any(not isinstance(op, Range) for op in success)
        fate = self.fates.pop(0) if writes and self.fates else "."
        if fate == "x":
            raise EtcdUnavailable("it was lost on the way")
        result = await super().txn(compares, success, failure, timeout=timeout)
        if fate == "?":
            raise EtcdUnavailable("the answer was lost")
        return result


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.etcd.snapshot.restore._PAUSE", 0.0)


async def test_what_lasts_comes_back_and_what_was_leased_does_not(tmp_path: Path) -> None:
    etcd = await filled()
    told: list[tuple[int, int]] = []
    backup = await made(etcd, tmp_path / "b", progress=lambda *seen: told.append(seen))
    assert (backup.records, backup.generation, backup.revision) == (300, 1, 304)
    assert told[-1] == (302, 302)
    fresh = MemoryEtcd()
    result = await restored(fresh, tmp_path / "b")
    assert (result.records, result.generation, result.resumed_at) == (300, 2, 0)
    assert result.digest == backup.digest
    expected = {k: v for k, v in (await content(etcd)).items() if k.startswith(PREFIX + b"tasks")}
    found = await content(fresh)
    assert {k: v for k, v in found.items() if b"/tasks/" in k} == expected
    assert found.keys() - expected.keys() == {PREFIX + b"head", PREFIX + b"generation"}
    standing = await read_standing(fresh, PREFIX)
    assert standing.generation == 2
    assert standing.restoring is None
    again = await made(fresh, tmp_path / "c")
    assert again.generation == 2


async def test_a_backup_is_of_one_moment(tmp_path: Path) -> None:
    etcd = await filled()
    seen = []

    def watched(done: int, total: int) -> None:
        seen.append(done)

    real = etcd.range

    async def racing(read: Range, *, timeout: float = 5.0) -> Any:
        result = await real(read, timeout=timeout)
        await etcd.put(PREFIX + b"tasks/default/9999", b"later")
        await etcd.delete(PREFIX + b"tasks/default/0299")
        return result

    etcd.range = racing  # type: ignore[method-assign]
    await made(etcd, tmp_path / "b", progress=watched)
    assert len(seen) > 1, "read in one page"
    fresh = MemoryEtcd()
    await restored(fresh, tmp_path / "b")
    found = await content(fresh)
    assert PREFIX + b"tasks/default/0299" in found
    assert PREFIX + b"tasks/default/9999" not in found


async def test_a_revision_that_is_compacted_meanwhile_says_so(tmp_path: Path) -> None:
    etcd = await filled()

    real = etcd.range

    async def compacting(read: Range, *, timeout: float = 5.0) -> Any:
        result = await real(read, timeout=timeout)
        await etcd.compact(await etcd.put(b"/other", b""))
        return result

    etcd.range = compacting  # type: ignore[method-assign]
    with pytest.raises(QuorateError, match="start again") as refused:
        await made(etcd, tmp_path / "b")
    assert refused.value.reason == "HISTORY_COMPACTED"
    assert not list(tmp_path.iterdir())


async def test_there_has_to_be_a_cluster_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(QuorateError, match="no cluster 'mine'"):
        await made(MemoryEtcd(), tmp_path / "b")


async def test_a_cluster_that_holds_anything_is_refused(tmp_path: Path) -> None:
    etcd = await filled()
    await made(etcd, tmp_path / "b")
    error = await rejection(etcd, tmp_path / "b")
    assert error.reason == "CLUSTER_NOT_EMPTY"
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert "301 keys" in error.message
    other = MemoryEtcd()
    await other.put(PREFIX + b"queues/default", b"")
    assert (await rejection(other, tmp_path / "b")).reason == "CLUSTER_NOT_EMPTY"


async def test_agents_that_registered_already_are_no_obstacle(tmp_path: Path) -> None:
    await made(await filled(), tmp_path / "b")
    fresh = MemoryEtcd()
    await fresh.put(PREFIX + b"nodes/n1", b"alive", lease=(await fresh.lease_grant(60)).id)
    await restored(fresh, tmp_path / "b")
    assert (await content(fresh))[PREFIX + b"nodes/n1"] == b"alive"


async def test_a_backup_of_another_cluster_is_refused(tmp_path: Path) -> None:
    await made(await filled(), tmp_path / "b")
    error = await rejection(MemoryEtcd(), tmp_path / "b", cluster="other")
    assert error.reason == "OTHER_CLUSTER"
    assert "--cluster mine" in error.message


async def test_a_damaged_file_is_found_out_before_the_first_write(tmp_path: Path) -> None:
    path = tmp_path / "b"
    await made(await filled(), path)
    path.write_bytes(path.read_bytes()[:-1])
    assert (await rejection(MemoryEtcd(), path)).reason == "BACKUP_DAMAGED"


@pytest.mark.parametrize("generation", [1, -1, (1 << 15) + 1])
async def test_a_generation_that_is_not_later_is_refused(tmp_path: Path, generation: int) -> None:
    await made(await filled(), tmp_path / "b")
    error = await rejection(MemoryEtcd(), tmp_path / "b", generation=generation)
    assert error.field == "generation"


async def test_a_later_generation_can_be_asked_for(tmp_path: Path) -> None:
    await made(await filled(), tmp_path / "b")
    fresh = MemoryEtcd()
    assert (await restored(fresh, tmp_path / "b", generation=9)).generation == 9
    assert (await read_standing(fresh, PREFIX)).generation == 9


@pytest.mark.parametrize("fates", ["?", "x", ".?", ".x", "..?x?", "...............?", "??????"])
async def test_unknown_outcomes_are_settled(tmp_path: Path, fates: str) -> None:
    await made(await filled(120), tmp_path / "b")
    fresh = Fickle(fates)
    result = await restored(fresh, tmp_path / "b", max_txn_ops=10)
    assert not fresh.fates, "not all of it happened"
    assert result.records == 120
    assert len(await content(fresh)) == 122


@pytest.mark.parametrize("after", [1, 2, 7])
async def test_a_restore_that_was_cut_off_goes_on(tmp_path: Path, after: int) -> None:
    await made(await filled(120), tmp_path / "b")
    fresh = Fickle("." * after + "x" * 20)
    with pytest.raises(QuorateError, match="again with the same file"):
        await restored(fresh, tmp_path / "b", max_txn_ops=10)
    standing = await read_standing(fresh, PREFIX)
    assert standing.restoring is not None, "a scheduler could lead"
    with pytest.raises(QuorateError, match="is being restored"):
        await made(fresh, tmp_path / "c")
    result = await restored(fresh, tmp_path / "b", max_txn_ops=20)
    assert result.resumed_at == 9 * (after - 1)
    assert len(await content(fresh)) == 122


async def test_a_restore_of_another_file_does_not_go_on_with_it(tmp_path: Path) -> None:
    await made(await filled(120), tmp_path / "b")
    await made(await filled(119), tmp_path / "c")
    fresh = Fickle("..." + "x" * 20)
    with pytest.raises(QuorateError):
        await restored(fresh, tmp_path / "b", max_txn_ops=10)
    assert (await rejection(fresh, tmp_path / "c")).reason == "OTHER_RESTORE"
    assert (await rejection(fresh, tmp_path / "b", generation=5)).reason == "OTHER_RESTORE"


@pytest.mark.parametrize("key", [b"head", b"restoring"])
async def test_whoever_else_writes_ends_the_restore(tmp_path: Path, key: bytes) -> None:
    """A leader of an earlier version, which does not know that it must not, or a second restore."""
    await made(await filled(120), tmp_path / "b")
    fresh = MemoryEtcd()
    real = fresh.txn
    calls = 0

    async def intruded(*arguments: Any, **more: Any) -> TxnResult:
        nonlocal calls
        calls += 1
        if calls == 4:
            await fresh.put(PREFIX + key, b"")
        return await real(*arguments, **more)

    fresh.txn = intruded  # type: ignore[method-assign]
    with pytest.raises(QuorateError, match="somebody else writes") as refused:
        await restored(fresh, tmp_path / "b", max_txn_ops=10)
    assert refused.value.reason == "RESTORE_OVERTAKEN"
