"""The journal when nothing goes wrong: batches, order, coalescing, barriers, bounds."""

import asyncio

import pytest

from quorate.etcd.api import Delete, Put, Range
from quorate.etcd.journal.journal import Deposed, Journal, JournalEnded
from quorate.internal.v1.records_pb2 import HeadRecord
from tests.support.fake_store import ErrorKind, FakeStore
from tests.support.term import HEAD, PREFIX, Outcomes, ended, running, stand


def put(name: str, value: bytes = b"v") -> Put:
    return Put(PREFIX + name.encode(), value)


def written(ops) -> list[bytes]:
    """The keys of a Txn's writes without prefix and head."""
    return [op.key.removeprefix(PREFIX) for op in ops if op.key != HEAD]


async def claimed(store: FakeStore, **options) -> Journal:
    journal = stand(store, "a", **options)
    await journal.claim()
    store.sent.clear()
    store.applied.clear()
    return journal


async def test_the_claim_puts_the_head_of_the_new_epoch():
    store = FakeStore()
    journal = stand(store, "a")
    revision = await journal.claim()
    head, mod, at = await Journal.read_head(store, PREFIX)  # type: ignore[arg-type]
    assert head == HeadRecord(epoch=2, sequence=0)
    assert mod == revision == journal.head_revision == at
    assert journal.sequence == 0


async def test_the_head_of_an_empty_store_is_none():
    store = FakeStore()
    head = await Journal.read_head(store, PREFIX)  # type: ignore[arg-type]
    assert head == (None, 0, 1)


async def test_a_claim_is_refused_when_the_head_moved_since_the_fold():
    store = FakeStore()
    store.put(HEAD, b"")
    journal = stand(store, "a")
    with pytest.raises(Deposed, match="moved"):
        await journal.claim(expected_head_mod=1)
    assert store.sent == []


async def test_a_claim_is_refused_when_the_leader_key_is_gone():
    store = FakeStore()
    journal = stand(store, "a")
    store.delete(PREFIX + b"election/scheduler/a")
    with pytest.raises(Deposed):
        await journal.claim()
    assert HEAD not in store.kvs


async def test_what_arrives_during_a_txn_goes_into_the_next_one():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(ErrorKind.HELD)
    async with running(journal):
        seen.append(journal, "1", put("k1"))
        await store.held.wait()
        for name in ("2", "3", "4"):
            seen.append(journal, name, put("k" + name))
        assert not journal.idle
        store.release()
        await seen.until("1", "2", "3", "4")
    assert [written(ops) for ops in store.sent] == [[b"k1"], [b"k2", b"k3", b"k4"]]
    assert journal.counters.last_batch == 3
    assert journal.counters.txns == 2


async def test_everything_that_is_ready_joins_the_first_batch_of_an_idle_journal():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)

    async def caller(name: str) -> None:
        seen.append(journal, name, put(name))

    async with running(journal):
        await journal.flush()
        # The journal's task wakes for the first event before the other callers have run.
        seen.append(journal, "0", put("0"))
        await asyncio.gather(*(caller(str(n)) for n in range(1, 5)))
        await seen.until("0", "1", "2", "3", "4")
    assert len(store.sent) == 1


async def test_every_txn_moves_the_head_and_compares_the_one_before():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    async with running(journal):
        for n in (1, 2, 3):
            seen.append(journal, str(n), put("k", b"%d" % n))
            await journal.flush()
            assert journal.sequence == n
            assert store.value(HEAD) == HeadRecord(epoch=2, sequence=n).SerializeToString()
    assert [revision for _, revision in seen.committed] == [4, 5, 6]
    assert journal.head_revision == 6


async def test_a_batch_is_sealed_at_the_limit_of_operations_and_events_stay_whole():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store, max_txn_ops=5)
    for name in "abc":
        seen.append(journal, name, put(name + "1"), put(name + "2"))
    async with running(journal):
        await journal.flush()
    # Four writes and the head; the third event does not fit any more.
    assert [len(ops) for ops in store.sent] == [5, 3]
    assert [written(ops) for ops in store.sent] == [[b"a1", b"a2", b"b1", b"b2"], [b"c1", b"c2"]]


async def test_a_batch_is_sealed_at_the_limit_of_bytes():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store, max_txn_bytes=1000)
    for name in "abc":
        seen.append(journal, name, put(name, b"x" * 400))
    async with running(journal):
        await journal.flush()
    assert [written(ops) for ops in store.sent] == [[b"a", b"b"], [b"c"]]


async def test_an_event_heavier_than_a_batch_travels_alone():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store, max_txn_bytes=1000)
    seen.append(journal, "light", put("light"))
    seen.append(journal, "heavy", put("heavy", b"x" * 5000))
    seen.append(journal, "next", put("next"))
    async with running(journal):
        await journal.flush()
    assert [written(ops) for ops in store.sent] == [[b"light"], [b"heavy"], [b"next"]]


async def test_an_event_that_no_txn_can_hold_is_the_callers_error_and_leaves_no_trace():
    store = FakeStore()
    journal = await claimed(store, max_txn_ops=4)
    with pytest.raises(ValueError, match="4 writes; a Txn holds 3"):
        journal.append([put(str(n)) for n in range(4)])
    with pytest.raises(ValueError, match="bytes"):
        journal.append([put("k", b"x" * 1_500_001)])
    with pytest.raises(ValueError, match="inside a range"):
        journal.append([put("k"), Delete(PREFIX + b"a", PREFIX + b"z")])
    with pytest.raises(ValueError, match="do not fit"):
        journal.append_purge([Delete(b"%d" % n) for n in range(4)])
    assert journal.idle
    assert (journal.pending_events, journal.pending_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("writes", "left"),
    [
        ([put("k", b"1"), put("k", b"2")], put("k", b"2")),
        ([put("k", b"1"), Delete(PREFIX + b"k")], Delete(PREFIX + b"k")),
        ([Delete(PREFIX + b"k"), put("k", b"2")], put("k", b"2")),
    ],
)
async def test_in_the_open_batch_the_last_write_of_a_key_wins(writes, left):
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    for number, write in enumerate(writes):
        seen.append(journal, str(number), write, put(f"other{number}"))
    async with running(journal):
        await journal.flush()
        assert journal.pending_bytes == 0
    (ops,) = store.sent
    assert [op for op in ops if op.key == PREFIX + b"k"] == [left]
    assert seen.names == ["0", "1"]


async def test_a_sealed_batch_is_not_changed_any_more():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(ErrorKind.HELD)
    async with running(journal):
        seen.append(journal, "1", put("k", b"1"))
        await store.held.wait()
        seen.append(journal, "2", put("k", b"2"))
        store.release()
        await seen.until("1", "2")
    assert [ops[0] for ops in store.applied] == [put("k", b"1"), put("k", b"2")]


async def test_a_deleted_range_and_a_put_inside_it_never_share_a_txn():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    seen.append(journal, "1", put("b1"))
    seen.append(journal, "2", Delete(PREFIX + b"b", PREFIX + b"c"))
    seen.append(journal, "3", put("d"))
    seen.append(journal, "4", put("b2"))
    async with running(journal):
        await seen.until("1", "2", "3", "4")
    assert [written(ops) for ops in store.sent] == [[b"b1"], [b"d", b"b"], [b"b2"]]
    assert store.value(PREFIX + b"b1") is None
    assert store.value(PREFIX + b"b2") == b"v"


async def test_after_effects_run_in_order_with_the_revision_of_the_commit():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    for name in "abc":
        seen.append(journal, name, put(name))
    async with running(journal):
        await seen.until("a", "b", "c")
    assert {revision for _, revision in seen.committed} == {store.revision}


async def test_a_reply_without_writes_waits_for_the_uncommitted_first():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.extend([ErrorKind.HELD, ErrorKind.HELD])
    async with running(journal):
        seen.append(journal, "write", put("k"))
        await store.held.wait()
        seen.append(journal, "read")
        assert seen.names == []
        store.release()
        await seen.until("write")
        # The Txn that was under way began before the read arrived: it proves nothing to it.
        await store.held.wait()
        assert seen.names == ["write"]
        store.release()
        await seen.until("write", "read")


async def test_reads_of_an_idle_journal_share_one_barrier_that_puts_nothing():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    async with running(journal):
        for name in "abc":
            seen.append(journal, name)
        await seen.until("a", "b", "c")
    assert store.sent == [[Range(HEAD)]]
    assert journal.sequence == 0
    assert journal.counters.barriers == 1


async def test_a_read_joins_the_writes_that_wait_and_costs_no_barrier():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    seen.append(journal, "read")
    seen.append(journal, "write", put("k"))
    async with running(journal):
        await seen.until("read", "write")
    assert len(store.sent) == 1


async def test_a_barrier_fails_when_deposed():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.delete(PREFIX + b"election/scheduler/a")
    async with running(journal) as task:
        seen.append(journal, "read")
        assert isinstance(await ended(task), Deposed)
    assert seen.names == []
    assert seen.failures == ["read"]


async def test_room_is_bounded_by_events_and_waiters_come_in_as_it_frees():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store, max_pending_events=2)
    store.script.append(ErrorKind.HELD)
    entered = []

    async def caller(name: str) -> None:
        await journal.wait_room()
        entered.append(name)
        assert journal.pending_events < 2
        seen.append(journal, name, put(name))

    async with running(journal):
        await caller("1")
        await store.held.wait()
        await caller("2")
        assert not journal.room
        async with asyncio.TaskGroup() as callers:
            for name in ("3", "4", "5"):
                callers.create_task(caller(name))
            await asyncio.sleep(0)
            assert entered == ["1", "2"]
            store.release()
        await seen.until("1", "2", "3", "4", "5")
    assert journal.room


async def test_room_is_bounded_by_bytes():
    journal = await claimed(FakeStore(), max_pending_bytes=1000)
    journal.append([put("a", b"x" * 900)])
    assert journal.room
    journal.append([put("b", b"x" * 100)])
    assert not journal.room


async def test_a_key_written_again_and_again_does_not_fill_the_bound_of_bytes():
    journal = await claimed(FakeStore(), max_pending_bytes=1000)
    for _ in range(10):
        journal.append([put("hot", b"x" * 500)])
    assert journal.room
    assert journal.pending_events == 10


async def test_a_flush_of_an_idle_journal_costs_nothing():
    store = FakeStore()
    journal = await claimed(store)
    await journal.flush()
    assert store.sent == []


async def test_stopping_tells_every_event_that_waits():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(ErrorKind.HELD)
    async with running(journal):
        seen.append(journal, "in flight", put("k"))
        await store.held.wait()
        seen.append(journal, "waiting", put("l"))
        seen.purge(journal, "purge", b"m")
    assert seen.failures == ["in flight", "waiting", "purge"]
    assert all(isinstance(error, JournalEnded) for _, error in seen.failed)
    with pytest.raises(JournalEnded):
        await journal.wait_room()
    with pytest.raises(JournalEnded):
        await journal.flush()


async def test_an_abandoned_journal_commits_nothing_more_and_runs_no_after_effect():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    store.script.append(ErrorKind.HELD)
    reason = RuntimeError("the driver's reason")
    async with running(journal) as task:
        seen.append(journal, "in flight", put("k"))
        await store.held.wait()
        seen.append(journal, "waiting", put("l"))
        journal.abandon(reason)
        journal.abandon(RuntimeError("a second one changes nothing"))
        store.release()
        assert await ended(task) is reason
    assert (journal.pending_events, journal.pending_bytes) == (0, 0)
    seen.append(journal, "too late", put("m"))
    seen.purge(journal, "purge too late", b"m")
    assert seen.names == []
    assert seen.failed == [
        (name, reason) for name in ("in flight", "waiting", "too late", "purge too late")
    ]
    assert [written(ops) for ops in store.sent] == [[b"k"]]


async def test_abandoning_an_idle_journal_ends_its_task():
    journal = await claimed(FakeStore())
    reason = RuntimeError("the driver's reason")
    async with running(journal) as task:
        await journal.flush()
        await asyncio.sleep(0)  # The task waits for work now.
        journal.abandon(reason)
        assert await ended(task) is reason


async def test_an_after_effect_that_raises_ends_the_journal():
    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    bug = KeyError("bug")

    def buggy(_revision: int) -> None:
        raise bug

    seen.append(journal, "before", put("a"))
    journal.append([put("b")], buggy)
    seen.append(journal, "behind", put("c"))
    async with running(journal) as task:
        assert await ended(task) is bug
    assert seen.names == ["before"]
    assert seen.failures == ["behind"]
