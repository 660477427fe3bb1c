"""The journal out of space, and deletions of what is finished (purges)."""

import pytest

from quorate.etcd.api import Delete
from quorate.etcd.journal.journal import Deposed
from quorate.runtime.timing.clock import SimulatedClock
from tests.support.fake_store import ErrorKind, FakeStore
from tests.support.term import HEAD, LEADER_A, PREFIX, Outcomes, claimed, ended, put, running


async def test_out_of_space_purges_go_ahead_of_the_puts_that_wait():
    clock, store, seen = SimulatedClock(), FakeStore(), Outcomes()
    store.put(PREFIX + b"old1")
    store.put(PREFIX + b"old2")
    journal = await claimed(store, clock=clock, stall_after=10.0)
    # Far more time than stall_after goes by: no successor could commit either, so it stays.
    store.on_call = lambda: clock.advance(4)
    store.full = True
    async with running(journal):
        seen.append(journal, "put", put("k"))
        seen.append(journal, "read")
        seen.purge(journal, "purge1", PREFIX + b"old1")
        seen.append(journal, "put2", put("l"))
        seen.purge(journal, "purge2", PREFIX + b"old2")
        await seen.until("purge1", "purge2")
        full = journal.no_space
        assert full
        assert store.value(PREFIX + b"old1") is None
        assert store.value(PREFIX + b"old2") is None
        assert journal.pending_events == 3
        store.full = False
        await seen.until("purge1", "purge2", "put", "read", "put2")
    assert not journal.no_space
    assert journal.idle


async def test_out_of_space_a_purge_stays_behind_a_put_of_its_key():
    store, seen = FakeStore(), Outcomes()
    store.put(PREFIX + b"old")
    journal = await claimed(store)
    store.full = True
    async with running(journal):
        seen.append(journal, "finished", put("run"))
        seen.purge(journal, "purge run", PREFIX + b"run")
        seen.purge(journal, "purge old", PREFIX + b"old")
        await seen.until("purge old")
        store.full = False
        await seen.until("purge old", "finished", "purge run")
    assert store.value(PREFIX + b"run") is None


async def test_out_of_space_a_deposed_leader_notices_although_its_puts_are_never_compared():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.full = True
    async with running(journal) as task:
        seen.append(journal, "put", put("k"))
        store.delete(LEADER_A)
        assert isinstance(await ended(task), Deposed)
    assert seen.failures == ["put"]


async def test_out_of_space_a_put_that_was_applied_all_the_same_is_found_by_the_repeat():
    store, seen = FakeStore(), Outcomes()
    store.put(PREFIX + b"old")
    journal = await claimed(store)
    store.script.extend([ErrorKind.LATE, ErrorKind.NO_SPACE, ErrorKind.NONE, ErrorKind.HELD])
    async with running(journal):
        seen.append(journal, "put", put("k"))
        seen.purge(journal, "purge", PREFIX + b"old")
        await store.held.wait()
        # The purge is on its way; the put it overtakes arrives before it.
        assert store.deliver_late().succeeded
        store.release()
        await seen.until("put", "purge")
    assert store.value(PREFIX + b"old") is None


async def test_a_purge_deletes_only_and_leaves_the_head_alone():
    store, seen = FakeStore(), Outcomes()
    for name in ("x", "y"):
        store.put(PREFIX + name.encode())
    journal = await claimed(store)
    before = store.kvs[HEAD]
    async with running(journal):
        seen.purge(journal, "purge", PREFIX + b"x", PREFIX + b"y")
        await seen.until("purge")
    assert store.applied == [[Delete(PREFIX + b"x"), Delete(PREFIX + b"y")]]
    assert store.kvs[HEAD] == before
    assert journal.counters.purges == 1


@pytest.mark.parametrize("fault", [ErrorKind.LOST_REPLY, ErrorKind.LOST_REQUEST, ErrorKind.TWICE])
async def test_a_purge_may_be_applied_twice(fault):
    store, seen = FakeStore(), Outcomes()
    store.put(PREFIX + b"x")
    journal = await claimed(store)
    store.script.append(fault)
    async with running(journal):
        seen.purge(journal, "purge", PREFIX + b"x")
        seen.append(journal, "next", put("k"))
        await seen.until("purge", "next")
    assert store.value(PREFIX + b"x") is None


async def test_a_purge_that_arrives_after_a_later_put_changes_nothing():
    store, seen = FakeStore(), Outcomes()
    store.put(PREFIX + b"x")
    journal = await claimed(store)
    store.script.append(ErrorKind.LATE)
    async with running(journal):
        seen.purge(journal, "purge", PREFIX + b"x")
        seen.append(journal, "again", put("x", b"again"))
        await seen.until("purge", "again")
    assert not store.deliver_late().succeeded
    assert store.value(PREFIX + b"x") == b"again"


async def test_a_purge_keeps_its_place_among_the_writes():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    seen.append(journal, "1", put("x", b"1"))
    seen.purge(journal, "2", PREFIX + b"x")
    seen.append(journal, "3", put("x", b"3"))
    async with running(journal):
        await seen.until("1", "2", "3")
    assert store.value(PREFIX + b"x") == b"3"


async def test_a_purge_of_a_deposed_leader_deletes_nothing():
    store, seen = FakeStore(), Outcomes()
    store.put(PREFIX + b"x")
    journal = await claimed(store)
    store.delete(LEADER_A)
    async with running(journal) as task:
        seen.purge(journal, "purge", PREFIX + b"x")
        assert isinstance(await ended(task), Deposed)
    assert store.value(PREFIX + b"x") == b""
    assert seen.failures == ["purge"]


async def test_out_of_space_a_purge_that_may_not_go_ahead_waits_with_the_puts():
    store, seen = FakeStore(), Outcomes()
    for name in (b"first", b"body", b"old"):
        store.put(PREFIX + name)
    journal = await claimed(store)
    store.full = True
    async with running(journal):
        # As if what is under "first" needed "body".
        seen.append(journal, "moved", put("k"), Delete(PREFIX + b"first"))
        seen.purge(journal, "purge body", PREFIX + b"body", ahead=False)
        seen.purge(journal, "purge old", PREFIX + b"old")
        await seen.until("purge old")
        assert store.value(PREFIX + b"first") is not None
        assert store.value(PREFIX + b"body") is not None
        store.full = False
        await seen.until("purge old", "moved", "purge body")
    assert store.value(PREFIX + b"body") is None
