"""An agent takes no epoch but that of the leader whom etcd names, and who shows that it is."""

from __future__ import annotations

import pytest

from node_agent.session.leader_check import LeaderCheck
from quorate.etcd.api import EtcdUnavailable
from quorate.etcd.generation import epoch_of
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.backup_pb2 import GenerationRecord
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import Epoch
from quorate.security.session_proof import proof_of

PREFIX = b"/quorate/c/"
KEY, OTHER = b"k" * 32, b"o" * 32
ME = "this-process"


async def stand(etcd: MemoryEtcd, name: str, key: bytes = KEY) -> Epoch:
    """Enter the election; the epoch of it."""
    record = CandidateRecord(name=name, session_key=key)
    key_of = PREFIX + f"election/scheduler/{name}".encode()
    return epoch_of(1, await etcd.put(key_of, record.SerializeToString()))


async def rejection(
    check: LeaderCheck, epoch: Epoch, proof: bytes = b"", instance: str = ME
) -> str:
    try:
        await check(epoch, proof, instance)
    except QuorateError as error:
        return error.reason
    return ""


async def test_the_leader_is_believed_and_no_other_epoch() -> None:
    etcd = MemoryEtcd()
    check = LeaderCheck(etcd, PREFIX)
    assert await rejection(check, Epoch(1)) == "LEADER_NOT_NAMED"
    epoch = await stand(etcd, "s1")
    standby = await stand(etcd, "s2", OTHER)
    for number in ((1 << 63) - 1, epoch + 1, epoch - 1, 0, -1):
        stranger = Epoch(number)
        assert await rejection(check, stranger, proof_of(KEY, stranger, ME)) == "LEADER_NOT_NAMED"
    assert await rejection(check, standby, proof_of(OTHER, standby, ME)) == "LEADER_NOT_NAMED"
    # None of that was remembered.
    assert await rejection(check, epoch, proof_of(KEY, epoch, ME)) == ""


async def test_the_epoch_alone_is_no_proof() -> None:
    etcd = MemoryEtcd()
    check = LeaderCheck(etcd, PREFIX)
    epoch = await stand(etcd, "s1")
    for proof in (
        b"",
        b"x" * 32,
        proof_of(OTHER, epoch, ME),
        proof_of(KEY, Epoch(epoch + 1), ME),
        # What another agent was shown, or whoever listens in its place.
        proof_of(KEY, epoch, "another-process"),
    ):
        assert await rejection(check, epoch, proof) == "LEADER_NOT_NAMED"
        # Nor once the leader is known.
    assert await rejection(check, epoch, proof_of(KEY, epoch, ME)) == ""
    assert await rejection(check, epoch) == "LEADER_NOT_NAMED"


async def test_a_leader_of_an_earlier_version_has_no_secret_to_show() -> None:
    etcd = MemoryEtcd()
    epoch = await stand(etcd, "s1", b"")
    assert await rejection(LeaderCheck(etcd, PREFIX), epoch) == ""


async def test_the_epoch_is_of_the_clusters_generation() -> None:
    etcd = MemoryEtcd()
    await etcd.put(PREFIX + b"generation", GenerationRecord(generation=3).SerializeToString())
    revision = await stand(etcd, "s1")
    check = LeaderCheck(etcd, PREFIX)
    assert await rejection(check, revision, proof_of(KEY, revision, ME)) == "LEADER_NOT_NAMED"
    epoch = epoch_of(3, revision)
    assert await rejection(check, epoch, proof_of(KEY, epoch, ME)) == ""


async def test_what_is_no_candidate_leads_nobody() -> None:
    etcd = MemoryEtcd()
    epoch = epoch_of(1, await etcd.put(PREFIX + b"election/scheduler/1", b"\xff"))
    assert await rejection(LeaderCheck(etcd, PREFIX), epoch) == "LEADER_NOT_NAMED"


async def test_a_leader_that_is_known_may_dial_again_while_etcd_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    etcd = MemoryEtcd()
    check = LeaderCheck(etcd, PREFIX)
    epoch = await stand(etcd, "s1")
    proof = proof_of(KEY, epoch, ME)
    await check(epoch, proof, ME)

    async def silent(*_: object, **__: object) -> None:
        raise EtcdUnavailable("silent")

    monkeypatch.setattr(etcd, "txn", silent)
    assert await rejection(check, epoch, proof) == ""
    assert await rejection(check, Epoch(epoch + 1), proof) == "LEADER_UNKNOWN"
