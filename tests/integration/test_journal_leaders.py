"""Histories of several leaders and claims, against real etcd behind a network that misbehaves."""

from __future__ import annotations

import asyncio

import pytest

from quorate.etcd.journal.journal import Deposed
from tests.support.fault_proxy import ErrorKind, FaultProxy
from tests.support.journal_world import World
from tests.support.term import Outcomes, ended, running


@pytest.fixture
async def proxy(etcd_server):
    async with FaultProxy(etcd_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
async def far(proxy):
    """The leader's client: its network is the proxy."""
    async with proxy.client() as client:
        yield client


@pytest.fixture
def world(etcd_client, key_prefix):
    return World(etcd_client, key_prefix)


@pytest.fixture
def seen():
    return Outcomes()


async def test_two_candidates_that_both_believe_they_lead_cannot_both_commit(
    world, proxy, far, seen
):
    """The first one's key still lives; only the head tells them apart."""
    first = await world.stand(far, "a")
    await first.claim()
    second, theirs = await world.stand(world.store, "b"), Outcomes()
    proxy.script("Txn", ErrorKind.HOLD)
    async with running(first) as first_task:
        seen.append(first, "first's", world.put("k", b"first"))
        held = await proxy.next_held()
        await second.claim()
        async with running(second):
            theirs.append(second, "second's", world.put("k", b"second"))
            await theirs.until("second's")
            await held.deliver()
            assert isinstance(await ended(first_task), Deposed)
            theirs.append(second, "still leads", world.put("l"))
            await theirs.until("second's", "still leads")
    assert seen.names == []
    assert seen.failures == ["first's"]
    assert await world.value("k") == b"second"


async def test_of_two_claims_on_the_same_head_one_succeeds(world):
    candidates = [await world.stand(world.store, name) for name in ("a", "b", "c")]
    outcomes = await asyncio.gather(
        *(candidate.claim() for candidate in candidates), return_exceptions=True
    )
    revisions = [outcome for outcome in outcomes if isinstance(outcome, int)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, Deposed)]
    # A claim that began after another had ended finds the new head and takes over from it.
    assert len(revisions) + len(refused) == 3
    assert max(revisions) == (await world.head())[2]
    lasting = outcomes.index(max(revisions))
    for number, candidate in enumerate(candidates):
        if isinstance(outcomes[number], Deposed):
            continue
        seen = Outcomes()
        async with running(candidate) as task:
            seen.append(candidate, "write", world.put(f"by{number}"))
            if number == lasting:
                await seen.until("write")
            else:
                assert isinstance(await ended(task), Deposed)


async def test_a_leader_deposed_in_flight_answers_nobody(world, proxy, far, seen):
    journal = await world.stand(far, "a")
    await journal.claim()
    successor = await world.stand(world.store, "b")
    proxy.script("Txn", ErrorKind.HOLD)
    async with running(journal) as task:
        seen.append(journal, "in flight", world.put("k"))
        held = await proxy.next_held()
        seen.append(journal, "waiting", world.put("l"))
        seen.append(journal, "read")
        await world.resign("a")
        claimed = await successor.claim()
        await held.deliver()
        assert isinstance(await ended(task), Deposed)
    assert seen.names == []
    assert seen.failures == ["in flight", "waiting", "read"]
    assert await world.value("k") is None
    assert (await world.head())[2] == claimed


async def test_the_barrier_of_an_idle_leader_fails_when_it_is_deposed(world, far, seen):
    journal = await world.stand(far, "a")
    await journal.claim()
    async with running(journal) as task:
        seen.append(journal, "before")
        await seen.until("before")
        assert (await world.head())[1] == 0
        await world.resign("a")
        seen.append(journal, "after")
        assert isinstance(await ended(task), Deposed)
    assert seen.failures == ["after"]


async def test_a_head_that_moved_since_the_fold_refuses_the_claim(world, far):
    first = await world.stand(far, "a")
    claimed = await first.claim()
    second = await world.stand(far, "b")
    with pytest.raises(Deposed):
        await second.claim(expected_head_mod=claimed - 1)
    assert await second.claim(expected_head_mod=claimed) > claimed
    assert (await world.head())[1:] == (0, second.head_revision)


async def test_a_txn_of_a_dead_leader_that_arrives_after_the_next_claim_changes_nothing(
    world, proxy, far
):
    journal = await world.stand(far, "a")
    await journal.claim()
    proxy.script("Txn", ErrorKind.HOLD)
    async with running(journal):
        journal.append([world.put("spec"), world.put("dedup")])
        held = await proxy.next_held()
    await world.resign("a")
    successor = await world.stand(world.store, "b")
    await successor.claim()
    before = await world.head()
    await held.deliver()
    assert (await world.value("spec"), await world.value("dedup")) == (None, None)
    assert await world.head() == before


async def test_a_candidate_whose_key_is_thousands_of_revisions_old_takes_the_log_over(
    world, far, seen
):
    """Its epoch lies far below the head's revision, and below everything it has to fold."""
    first, second = await world.stand(far, "a"), await world.stand(world.store, "b")
    await first.claim()
    theirs = Outcomes()
    async with running(first) as first_task:
        await asyncio.gather(*(world.store.put(world.prefix + b"x", b"") for _ in range(3000)))
        seen.append(first, "last", world.put("k"))
        await seen.until("last")
        assert first.head_revision > 3000
        await world.resign("a")
        await second.claim(expected_head_mod=first.head_revision)
        async with running(second):
            theirs.append(second, "second's", world.put("k", b"second"))
            await theirs.until("second's")
            seen.append(first, "too late", world.put("k", b"first"))
            assert isinstance(await ended(first_task), Deposed)
            theirs.append(second, "still leads", world.put("l"))
            await theirs.until("second's", "still leads")
    assert await world.value("k") == b"second"
    assert seen.failures == ["too late"]
