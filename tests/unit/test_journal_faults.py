"""The journal when outcomes are unknown, etcd refuses, or someone else leads."""

import asyncio

import pytest
import structlog.testing

from quorate.etcd.api import Delete, EtcdUnauthenticated, EtcdUnavailable
from quorate.etcd.journal.journal import Deposed, JournalError, JournalStalled
from quorate.internal.v1.records_pb2 import HeadRecord
from quorate.runtime.timing.clock import SimulatedClock
from tests.support.fake_store import ErrorKind, FakeStore
from tests.support.term import HEAD, LEADER_A, PREFIX, Outcomes, claimed, ended, put, running, stand


@pytest.mark.parametrize("fault", [ErrorKind.LOST_REQUEST, ErrorKind.NO_SPACE])
async def test_a_txn_that_was_not_applied_is_sent_again(fault):
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(fault)
    async with running(journal):
        seen.append(journal, "1", put("k"))
        await seen.until("1")
    # Out of space there is a barrier between them: does this leader still lead?
    assert [ops for ops in store.sent if put("k") in ops] == [store.sent[0]] * 2
    assert len(store.applied) == 1
    assert (journal.counters.unknown, journal.counters.repeats) == (1, 1)


@pytest.mark.parametrize("fault", [ErrorKind.LOST_REPLY, ErrorKind.NO_SPACE_BUT_APPLIED])
async def test_a_txn_that_was_applied_is_not_sent_again(fault):
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(fault)
    async with running(journal):
        seen.append(journal, "1", put("k"))
        await seen.until("1")
        assert seen.committed == [("1", store.kvs[HEAD].mod_revision)]
        seen.append(journal, "2", put("l"))
        await seen.until("1", "2")
    assert len(store.sent) == len(store.applied) == 2


@pytest.mark.parametrize("error", [EtcdUnavailable("x"), EtcdUnauthenticated("x")])
async def test_no_after_effect_runs_while_the_head_cannot_be_read(error):
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(ErrorKind.LOST_REPLY)
    store.range_errors.extend([error, error])
    during = []
    store.on_call = lambda: during.append(list(seen.names))
    async with running(journal):
        seen.append(journal, "1", put("k"))
        await seen.until("1")
    assert during == [[]] * 4
    assert len(store.applied) == 1


async def test_a_request_delivered_twice_counts_once():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.extend([ErrorKind.TWICE, ErrorKind.TWICE])
    async with running(journal):
        for name in ("1", "2"):
            seen.append(journal, name, put("k" + name))
            await journal.flush()
    assert seen.names == ["1", "2"]
    assert len(store.applied) == 2


async def test_a_first_copy_that_arrives_between_the_look_and_the_repeat_counts():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.extend([ErrorKind.LATE, ErrorKind.HELD])
    async with running(journal):
        seen.append(journal, "1", put("k"))
        await store.held.wait()
        assert store.deliver_late().succeeded
        store.release()
        await seen.until("1")
        assert seen.committed == [("1", store.kvs[HEAD].mod_revision)]
    assert len(store.applied) == 1


async def test_a_copy_that_arrives_after_its_repeat_and_its_successor_changes_nothing():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(ErrorKind.LATE)
    async with running(journal):
        seen.append(journal, "running", put("run", b"RUNNING"))
        await seen.until("running")
        seen.append(journal, "succeeded", put("run", b"SUCCEEDED"))
        await seen.until("running", "succeeded")
        assert not store.deliver_late().succeeded
        assert store.value(PREFIX + b"run") == b"SUCCEEDED"
        seen.append(journal, "next", put("k"))
        await seen.until("running", "succeeded", "next")


async def test_a_leader_deposed_in_flight_answers_nobody():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    successor = stand(store, "b")
    store.script.append(ErrorKind.HELD)
    async with running(journal) as task:
        seen.append(journal, "in flight", put("k"))
        await store.held.wait()
        seen.append(journal, "waiting", put("l"))
        seen.append(journal, "read")
        store.delete(LEADER_A)
        await successor.claim()
        store.release()
        assert isinstance(await ended(task), Deposed)
    assert seen.names == []
    assert seen.failures == ["in flight", "waiting", "read"]
    assert all(isinstance(error, Deposed) for _, error in seen.failed)
    assert store.value(PREFIX + b"k") is None


async def test_an_unknown_outcome_whose_head_is_anothers_means_deposed():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(ErrorKind.LOST_REPLY)

    def succeed_once_applied() -> None:
        if store.value(PREFIX + b"k") is not None:
            store.put(HEAD, HeadRecord(epoch=99, sequence=0).SerializeToString())

    store.on_call = succeed_once_applied
    async with running(journal) as task:
        seen.append(journal, "1", put("k"))
        error = await ended(task)
    assert isinstance(error, Deposed)
    assert "head is (99, 0)" in str(error)
    # It was applied, but we cannot know: the caller is told that the outcome is unknown.
    assert seen.failures == ["1"]
    assert store.value(PREFIX + b"k") == b"v"


@pytest.mark.parametrize("fault", [ErrorKind.LOST_REPLY, ErrorKind.LOST_REQUEST, ErrorKind.TWICE])
async def test_a_claim_with_an_unknown_outcome_is_settled(fault):
    store = FakeStore()
    journal = stand(store, "a")
    store.script.append(fault)
    store.range_errors.append(EtcdUnavailable("the first look"))
    assert await journal.claim() == store.kvs[HEAD].mod_revision
    assert len(store.applied) == 2  # The leader key and the claim.


async def test_only_the_first_of_two_claims_on_one_head_succeeds():
    store = FakeStore()
    first, second = stand(store, "a"), stand(store, "b")
    store.script.append(ErrorKind.HELD)
    late = asyncio.create_task(first.claim())
    await store.held.wait()
    await second.claim()
    store.release()
    with pytest.raises(Deposed):
        await late


async def test_a_refused_txn_is_logged_in_full_and_never_repeated():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(ErrorKind.REFUSED)
    with structlog.testing.capture_logs() as logs:
        async with running(journal) as task:
            seen.append(journal, "1", put("k", b"x" * 5000), Delete(PREFIX + b"gone"))
            assert isinstance(await ended(task), JournalError)
    assert len(store.sent) == 1
    assert seen.failures == ["1"]
    (log,) = logs
    assert [line.split()[1] for line in log["ops"][::2]] == [
        repr(PREFIX + b"k"),
        repr(HEAD),
    ]
    assert repr(PREFIX + b"gone") in log["ops"][1]
    assert "5000 bytes" in log["ops"][0]
    assert len(log["ops"][0]) < 200


async def test_no_commit_for_long_although_there_is_work_means_stalled():
    clock, store, seen = SimulatedClock(), FakeStore(), Outcomes()
    journal = await claimed(store, clock=clock, stall_after=10.0)
    clock.advance(1000)  # Idle time is not counted.
    store.on_call = lambda: clock.advance(1)
    store.script.extend([ErrorKind.LOST_REQUEST] * 100)
    async with running(journal) as task:
        seen.append(journal, "1", put("k"))
        assert isinstance(await ended(task), JournalStalled)
    # Each attempt is a Txn and a look at the head, one second each.
    assert len(store.sent) == 5
    assert seen.failures == ["1"]


async def test_time_in_which_the_lease_is_silent_too_is_no_stall():
    """Nobody else can commit either, as far as is known: to resign would only cost the memory."""
    store, seen, clock = FakeStore(), Outcomes(), SimulatedClock()
    acts = True
    journal = await claimed(store, clock=clock, stall_after=10.0, acts=lambda: acts)
    store.script.extend([ErrorKind.LOST_REQUEST] * 6)
    store.on_call = lambda: clock.advance(4.0)
    acts = False
    async with running(journal):
        seen.append(journal, "1", put("k"))
        async with asyncio.timeout(60):
            while store.script:
                await asyncio.sleep(0)
        acts = True
        await seen.until("1")
    assert len(store.applied) == 1


async def test_what_was_committed_outside_the_trust_window_is_acted_on_once_it_is_open_again():
    store, seen = FakeStore(), Outcomes()
    acts = False
    journal = await claimed(store, acts=lambda: acts)
    async with running(journal):
        seen.append(journal, "1", put("k"))
        seen.append(journal, "2")
        async with asyncio.timeout(60):
            while not store.applied:
                await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        assert seen.names == []
        acts = True
        await seen.until("1", "2")


async def test_what_waits_for_the_trust_window_is_unknown_when_the_term_ends():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store, acts=lambda: False)
    async with running(journal):
        seen.append(journal, "1", put("k"))
        async with asyncio.timeout(60):
            while not store.applied:
                await asyncio.sleep(0)
    assert seen.names == []
    assert seen.failures == ["1"]


async def test_a_claim_that_etcd_does_not_answer_stalls():
    clock, store = SimulatedClock(), FakeStore()
    journal = stand(store, "a", clock=clock, stall_after=3.0)
    store.on_call = lambda: clock.advance(1)
    store.range_errors.extend([EtcdUnavailable("x")] * 100)
    with pytest.raises(JournalStalled):
        await journal.claim()


async def test_a_claim_without_space_stalls():
    clock, store = SimulatedClock(), FakeStore()
    journal = stand(store, "a", clock=clock, stall_after=3.0)
    store.on_call = lambda: clock.advance(1)
    store.full = True
    with pytest.raises(JournalStalled):
        await journal.claim()
