"""Elections on the in-memory store: who leads, who waits, what decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio

from quorate.etcd.api import LeaseNotFound
from quorate.etcd.election import Candidate, CandidateGone, Election
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.timing.clock import SimulatedClock

PREFIX = b"/election/scheduler"


@pytest_asyncio.fixture
async def etcd() -> AsyncIterator[MemoryEtcd]:
    store = MemoryEtcd(SimulatedClock())
    yield store
    await store.close()


@pytest.fixture
def election(etcd: MemoryEtcd) -> Election:
    return Election(etcd, PREFIX)


async def enter(etcd: MemoryEtcd, election: Election, value: bytes) -> tuple[int, Candidate]:
    lease = (await etcd.lease_grant(10)).id
    return lease, await election.campaign(lease, value)


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_the_key_is_the_lease_in_hex_below_the_prefix(
    etcd: MemoryEtcd, election: Election
) -> None:
    lease, candidate = await enter(etcd, election, b"me")
    assert candidate.key == PREFIX + b"/" + f"{lease:x}".encode()
    leader = await election.leader()
    assert leader is not None
    assert (leader.key, leader.value, leader.lease) == (candidate.key, b"me", lease)
    assert leader.create_revision == candidate.create_revision


async def test_campaigning_again_keeps_the_place_and_changes_the_value(
    etcd: MemoryEtcd, election: Election
) -> None:
    lease, first = await enter(etcd, election, b"old")
    await enter(etcd, election, b"other")
    assert await election.campaign(lease, b"new") == first
    leader = await election.leader()
    assert leader is not None
    assert (leader.value, leader.create_revision) == (b"new", first.create_revision)


async def test_without_candidates_there_is_no_leader(election: Election) -> None:
    assert await election.leader() is None
    assert list(await election.candidates()) == []


async def test_a_neighbouring_prefix_is_another_election(
    etcd: MemoryEtcd, election: Election
) -> None:
    await etcd.put(PREFIX + b"-old/1", b"")
    await etcd.put(PREFIX, b"")
    assert await election.leader() is None


async def test_a_candidate_is_elected_only_once_all_before_it_have_left(
    etcd: MemoryEtcd, election: Election
) -> None:
    _, first = await enter(etcd, election, b"1")
    _, second = await enter(etcd, election, b"2")
    third_lease, third = await enter(etcd, election, b"3")
    assert [kv.value for kv in await election.candidates()] == [b"1", b"2", b"3"]
    await asyncio.wait_for(election.wait_elected(first), 1)

    waiting = asyncio.create_task(election.wait_elected(third))
    await settle()
    # Out of order: the one just before it leaves while the leader stays.
    assert await election.resign(second)
    await settle()
    assert not waiting.done()
    await etcd.lease_keepalive(third_lease)
    assert await election.resign(first)
    await asyncio.wait_for(waiting, 1)
    assert not await election.resign(first), "it has left already"


async def test_the_watch_alone_elects_nobody(etcd: MemoryEtcd, election: Election) -> None:
    """A deletion seen on the watch is a reason to look, whatever else came with it."""
    lease, first = await enter(etcd, election, b"1")
    _, second = await enter(etcd, election, b"2")
    waiting = asyncio.create_task(election.wait_elected(second))
    await settle()
    await etcd.put(PREFIX + b"/gone", b"")
    await etcd.delete(PREFIX + b"/gone")
    await settle()
    assert not waiting.done()
    await etcd.lease_revoke(lease)
    await asyncio.wait_for(waiting, 1)
    assert first.create_revision < second.create_revision


async def test_a_waiting_candidate_learns_that_its_own_key_is_gone(
    etcd: MemoryEtcd, election: Election
) -> None:
    await enter(etcd, election, b"1")
    lease, second = await enter(etcd, election, b"2")
    waiting = asyncio.create_task(election.wait_elected(second))
    await settle()
    await etcd.lease_revoke(lease)
    with pytest.raises(CandidateGone):
        await asyncio.wait_for(waiting, 1)
    with pytest.raises(LeaseNotFound):
        await election.campaign(lease, b"again")


async def test_the_key_of_an_earlier_candidacy_does_not_count(
    etcd: MemoryEtcd, election: Election
) -> None:
    lease, before = await enter(etcd, election, b"1")
    await election.resign(before)
    after = await election.campaign(lease, b"1")
    assert after.create_revision > before.create_revision
    with pytest.raises(CandidateGone):
        await election.wait_elected(before)
    with pytest.raises(CandidateGone):
        await election.proclaim(before, lease, b"2")
    assert not await election.resign(before)
    await asyncio.wait_for(election.wait_elected(after), 1)


async def test_an_observer_sees_each_leader_and_each_proposal(
    etcd: MemoryEtcd, election: Election
) -> None:
    async with aclosing(election.observe()) as leaders:

        async def observed() -> bytes | None:
            leader = await asyncio.wait_for(anext(leaders), 1)
            return leader and leader.value

        assert await observed() is None
        lease, first = await enter(etcd, election, b"1")
        assert await observed() == b"1"
        await enter(etcd, election, b"2")
        await election.proclaim(first, lease, b"1, moved")
        assert await observed() == b"1, moved"
        await election.resign(first)
        assert await observed() == b"2"


async def test_an_observer_reads_again_after_a_compaction(
    etcd: MemoryEtcd, election: Election
) -> None:
    _, first = await enter(etcd, election, b"1")
    await enter(etcd, election, b"2")
    async with aclosing(election.observe()) as leaders:
        leader = await anext(leaders)
        assert leader is not None
        assert leader.value == b"1"
        await election.resign(first)
        await etcd.compact(await etcd.put(b"/x", b""))
        leader = await asyncio.wait_for(anext(leaders), 1)
        assert leader is not None
        assert leader.value == b"2"
