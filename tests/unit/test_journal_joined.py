"""Joined writes: values that are made, when a batch is sealed, of what all its events added."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from quorate.etcd.api import Delete, Op, Put
from quorate.etcd.journal.journal import Deposed, Journal, JournalEnded
from tests.support.fake_store import ErrorKind, FakeStore
from tests.support.joins import Page, Sealed, Word
from tests.support.term import HEAD, LEADER_A, PREFIX, Outcomes, claimed, ended, put, running

CHUNK = b"c"
ACKS = b"acks"


def written(ops: Sequence[Op]) -> dict[bytes, bytes]:
    """What a Txn puts, without prefix and head."""
    return {
        op.key.removeprefix(PREFIX): op.value
        for op in ops
        if isinstance(op, Put) and op.key != HEAD
    }


def publish(sealed: Sealed, word: str, *, most: int = 1_000) -> Word:
    """As a message of a chunk: the key is that of its first one."""
    return Word(CHUNK, word.encode(), sealed, most, numbered=True)


def acknowledge(sealed: Sealed, word: str) -> Word:
    return Word(ACKS, word.encode(), sealed)


async def test_two_publishes_and_two_acks_of_one_batch_are_two_writes_that_lose_nothing():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store)
    seen.join(journal, "publish 1", [publish(sealed, "1")])
    seen.join(journal, "ack a", [acknowledge(sealed, "a")])
    seen.join(journal, "publish 2", [publish(sealed, "2")], put("task"))
    seen.join(journal, "ack b", [acknowledge(sealed, "b")])
    async with running(journal):
        await seen.until("publish 1", "ack a", "publish 2", "ack b")
    (ops,) = store.sent
    assert written(ops) == {b"c/1": b"1 2", b"acks": b"a b", b"task": b"v"}
    assert journal.counters.puts == 3
    assert (journal.pending_events, journal.pending_bytes) == (0, 0)


async def test_an_event_adds_to_several_places_and_several_times_to_one():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store)
    seen.join(journal, "0", [publish(sealed, "1")])
    seen.join(journal, "1", [publish(sealed, "2"), acknowledge(sealed, "a"), publish(sealed, "3")])
    async with running(journal):
        await seen.until("0", "1")
    (ops,) = store.sent
    assert written(ops) == {b"c/1": b"1 2 3", b"acks": b"a"}


async def test_a_batch_is_sealed_when_a_joined_write_is_full():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store)
    for number in range(1, 6):
        seen.join(journal, str(number), [publish(sealed, str(number), most=2)], put(f"t{number}"))
    async with running(journal):
        await seen.until("1", "2", "3", "4", "5")
    assert [written(ops) for ops in store.sent] == [
        {b"c/1": b"1 2", b"t1": b"v", b"t2": b"v"},
        {b"c/3": b"3 4", b"t3": b"v", b"t4": b"v"},
        {b"c/5": b"5", b"t5": b"v"},
    ]


async def test_an_event_stays_whole_when_it_alone_is_more_than_one_joined_write_holds():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store)
    seen.join(journal, "1", [publish(sealed, "1", most=2)])
    seen.join(journal, "2", [publish(sealed, str(n), most=2) for n in (2, 3, 4)])
    seen.join(journal, "3", [publish(sealed, "5", most=2)])
    async with running(journal):
        await seen.until("1", "2", "3")
    assert [written(ops) for ops in store.sent] == [
        {b"c/1": b"1"},
        {b"c/2": b"2 3", b"c/4": b"4 5"},
    ]


async def test_a_batch_is_sealed_at_its_bytes_with_those_of_joined_writes():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store, max_txn_bytes=1000)
    for name in "abc":
        seen.join(journal, name, [acknowledge(sealed, name * 400)])
    async with running(journal):
        await journal.flush()
    assert [len(written(ops)[b"acks"]) for ops in store.sent] == [801, 400]


async def test_a_batch_is_sealed_at_its_operations_with_those_of_joined_writes():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store, max_txn_ops=3)
    seen.join(journal, "1", [publish(sealed, "1"), acknowledge(sealed, "a")])
    seen.join(journal, "2", [publish(sealed, "2"), acknowledge(sealed, "b")])
    seen.append(journal, "3", put("k"))
    async with running(journal):
        await seen.until("1", "2", "3")
    assert [len(ops) for ops in store.sent] == [3, 2]


async def test_joined_writes_count_among_the_pending_bytes():
    sealed = Sealed()
    journal = await claimed(FakeStore(), max_pending_bytes=1000)
    journal.append_joined((), [acknowledge(sealed, "x" * 500)])
    assert journal.room
    journal.append_joined((), [acknowledge(sealed, "x" * 500)])
    assert not journal.room
    assert journal.pending_events == 2


@pytest.mark.parametrize(
    "write",
    [
        put("acks", b"whole"),
        Delete(PREFIX + b"acks"),
        Delete(PREFIX + b"ac", PREFIX + b"ad"),
    ],
)
@pytest.mark.parametrize("first", ["write", "join"])
async def test_a_write_of_a_joined_key_is_in_a_txn_of_its_own(write, first):
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    store.put(PREFIX + b"acks")
    journal = await claimed(store)
    for kind in (first, "join" if first == "write" else "write"):
        if kind == "join":
            seen.join(journal, kind, [acknowledge(sealed, "a")], put("k"))
        else:
            seen.append(journal, kind, write)
    async with running(journal):
        await journal.flush()
    assert len(store.sent) == 2
    last = b"a" if first == "write" else write.value if isinstance(write, Put) else None
    assert store.value(PREFIX + b"acks") == last


async def test_a_deleted_range_below_a_chunk_shares_its_txn():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store)
    seen.join(journal, "1", [publish(sealed, "5")])
    seen.append(journal, "2", Delete(PREFIX + b"c/1", PREFIX + b"c/5"))
    seen.join(journal, "3", [publish(sealed, "6")])
    async with running(journal):
        await seen.until("1", "2", "3")
    assert len(store.sent) == 1


async def test_an_event_that_no_txn_can_hold_with_its_additions_leaves_no_trace():
    sealed = Sealed()
    journal = await claimed(FakeStore(), max_txn_ops=4)
    with pytest.raises(ValueError, match="4 writes; a Txn holds 3"):
        journal.append_joined([put("k"), put("l"), put("m")], [acknowledge(sealed, "a")])
    with pytest.raises(ValueError, match="bytes"):
        journal.append_joined((), [acknowledge(sealed, "x" * 1_500_001)])
    for touching in (put("acks"), Delete(PREFIX + b"acks"), Delete(PREFIX, PREFIX + b"z")):
        with pytest.raises(ValueError, match="a key of a joined write"):
            journal.append_joined([touching], [acknowledge(sealed, "a")])
    assert journal.idle
    assert (journal.pending_events, journal.pending_bytes) == (0, 0)


@pytest.mark.parametrize(
    "fault",
    [
        ErrorKind.LOST_REQUEST,
        ErrorKind.LOST_REPLY,
        ErrorKind.TWICE,
        ErrorKind.NO_SPACE,
        ErrorKind.NO_SPACE_BUT_APPLIED,
    ],
)
async def test_what_is_sent_again_is_byte_for_byte_the_same(fault):
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store)
    store.script.append(fault)
    # What is appended while the Txn is on its way goes into the next one.
    meanwhile = [publish(sealed, "2")]

    def on_its_way() -> None:
        if meanwhile:
            seen.join(journal, "2", [meanwhile.pop()])

    store.on_call = on_its_way
    seen.join(journal, "1", [publish(sealed, "1")])
    async with running(journal):
        await seen.until("1", "2")
    sent = [ops for ops in store.sent if written(ops)]
    assert sent[:-1] == [sent[0]] * (len(sent) - 1)
    assert written(sent[0]) == {b"c/1": b"1"}
    assert written(sent[-1]) == {b"c/2": b"2"}
    assert len(sealed.writes) == 2
    assert store.value(PREFIX + b"c/1") == b"1"


async def test_a_joined_write_hears_of_its_commit_before_the_after_effects_of_its_events():
    store, sealed = FakeStore(), Sealed()
    journal = await claimed(store)
    before: list[int] = []
    journal.append_joined(
        (), [publish(sealed, "1")], lambda _revision: before.append(len(sealed.committed))
    )
    async with running(journal):
        await journal.flush()
    assert before == [1]
    assert sealed.committed == [(b"c/1", store.revision)]


async def test_the_end_of_the_journal_reaches_every_event_that_waits():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store)
    store.script.append(ErrorKind.HELD)
    async with running(journal):
        seen.join(journal, "in flight", [publish(sealed, "1")])
        await store.held.wait()
        seen.join(journal, "waiting", [publish(sealed, "2")])
    assert seen.failures == ["in flight", "waiting"]
    assert all(isinstance(error, JournalEnded) for _, error in seen.failed)
    seen.join(journal, "too late", [publish(sealed, "3")])
    assert seen.failures == ["in flight", "waiting", "too late"]
    assert (journal.pending_events, journal.pending_bytes) == (0, 0)
    assert (len(sealed.writes), sealed.committed) == (1, [])


async def test_a_deposed_leader_adds_nothing():
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    journal = await claimed(store)
    store.delete(LEADER_A)
    async with running(journal) as task:
        seen.join(journal, "1", [publish(sealed, "1")])
        assert isinstance(await ended(task), Deposed)
    assert seen.failures == ["1"]
    assert store.value(PREFIX + b"c/1") is None


async def test_a_joined_write_that_breaks_its_rules_ends_the_journal_and_fails_its_events():
    class Liar(Page):
        def seal(self) -> list[Put | Delete]:
            return [put("elsewhere")]

    class Lie(Word):
        def begin(self, additions: Sequence[Word]) -> Liar:
            return Liar(additions)

    store, seen = FakeStore(), Outcomes()
    journal = await claimed(store)
    seen.join(journal, "1", [Lie(ACKS, b"a", Sealed())])
    seen.append(journal, "2", put("k"))
    async with running(journal) as task:
        assert isinstance(await ended(task), AssertionError)
    assert seen.failures == ["1", "2"]
    assert store.sent == []


async def full_with_a_waiting_chunk() -> tuple[FakeStore, Journal, Outcomes]:
    """A store without space, a put in flight, and an open batch that will write `c/1`."""
    store, seen, sealed = FakeStore(), Outcomes(), Sealed()
    for name in (b"c/0", b"c/1"):
        store.put(PREFIX + name)
    journal = await claimed(store)
    store.full = True
    seen.join(journal, "in flight", [acknowledge(sealed, "a")])
    seen.append(journal, "range", Delete(PREFIX + b"ac", PREFIX + b"ad"))
    seen.join(journal, "publish", [publish(sealed, "1")])
    return store, journal, seen


async def test_out_of_space_deletions_go_ahead_of_joined_writes():
    store, journal, seen = await full_with_a_waiting_chunk()
    async with running(journal):
        seen.purge(journal, "purge", PREFIX + b"c/0")
        await seen.until("purge")
        assert store.value(PREFIX + b"c/0") is None
        store.full = False
        await seen.until("purge", "in flight", "range", "publish")
    assert store.value(PREFIX + b"c/1") == b"1"
    in_flight = [ops for ops in store.sent if b"acks" in written(ops)]
    assert in_flight == [in_flight[0]] * len(in_flight)


@pytest.mark.parametrize(
    "purged", [Delete(PREFIX + b"c/1"), Delete(PREFIX + b"c/", PREFIX + b"c0"), Delete(b"acks")]
)
async def test_out_of_space_a_deletion_stays_behind_a_joined_write_of_its_key(purged):
    purged = Delete(PREFIX + b"acks") if purged.key == b"acks" else purged
    store, journal, seen = await full_with_a_waiting_chunk()
    async with running(journal):
        seen.purge(journal, "purge", purged)
        seen.purge(journal, "other", PREFIX + b"old")
        await seen.until("other")
        store.full = False
        await seen.until("other", "in flight", "range", "publish", "purge")
    assert not [key for key in store.kvs if key == purged.key]
