"""The contract of `quorate.etcd.api.Etcd`: one suite for the real store and its in-memory twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from quorate.etcd.api import (
    Change,
    Compacted,
    Compare,
    Delete,
    Etcd,
    EtcdRefused,
    EtcdUnavailable,
    LeaseNotFound,
    Put,
    Range,
    RangeResult,
    WatchBatch,
    WatchEvent,
    changes_of,
    prefix_end,
    size_of,
)
from quorate.etcd.client import EtcdClient
from quorate.etcd.memory import MemoryEtcd
from quorate.etcd.server.launcher import EtcdProcess
from quorate.runtime.timing.clock import SimulatedClock
from tests.support.etcd import keys_of, read_prefix

MAX_TXN_OPS = 1024  # as EtcdProcess starts it


@dataclass
class Store:
    """A store under test, a key prefix of the test's own, and a way to let time pass.

    `hurry(seconds)` moves the twin's clock; real etcd takes its time.
    """

    etcd: Etcd
    prefix: bytes
    hurry: Callable[[float], None]

    def key(self, name: str) -> bytes:
        return self.prefix + name.encode()

    @property
    def end(self) -> bytes:
        return prefix_end(self.prefix)

    async def all(self, **arguments: object) -> RangeResult:
        read = Range(self.prefix, self.end)._replace(**arguments)  # type: ignore[arg-type]
        return await self.etcd.range(read)


@pytest.fixture(params=["memory", "etcd"])
def endpoint(request: pytest.FixtureRequest) -> str:
    """Where real etcd is; empty for the twin."""
    if request.param == "memory":
        return ""
    server: EtcdProcess = request.getfixturevalue("etcd_server")
    return server.endpoint


@pytest_asyncio.fixture
async def store(endpoint: str, key_prefix: bytes) -> AsyncIterator[Store]:
    if endpoint:
        async with EtcdClient([endpoint]) as client:
            yield Store(client, key_prefix, lambda seconds: None)
        return
    clock = SimulatedClock()
    twin = MemoryEtcd(clock, max_txn_ops=MAX_TXN_OPS)

    def hurry(seconds: float) -> None:
        clock.advance(seconds)
        twin.tick()

    yield Store(twin, key_prefix, hurry)
    await twin.close()


async def take(batches: AsyncIterator[WatchBatch]) -> WatchBatch:
    return await asyncio.wait_for(anext(batches), 10)


# Keys and revisions


async def test_a_key_carries_its_revisions_and_version(store: Store) -> None:
    a = store.key("a")
    first = await store.etcd.put(a, b"1")
    second = await store.etcd.put(a, b"2")
    assert second == first + 1
    (kv,) = (await store.etcd.range(Range(a))).kvs
    assert kv == (a, b"2", first, second, 2, 0)


async def test_a_key_made_again_starts_afresh(store: Store) -> None:
    a = store.key("a")
    await store.etcd.put(a, b"1")
    assert await store.etcd.delete(a) == 1
    again = await store.etcd.put(a, b"2")
    (kv,) = (await store.etcd.range(Range(a))).kvs
    assert (kv.create_revision, kv.mod_revision, kv.version) == (again, again, 1)


async def test_an_absent_key_reads_as_nothing(store: Store) -> None:
    result = await store.etcd.range(Range(store.key("absent")))
    assert (list(result.kvs), result.more, result.count) == ([], False, 0)
    assert result.revision >= 1


async def test_deleting_nothing_makes_no_revision(store: Store) -> None:
    before = await store.etcd.put(store.key("a"), b"1")
    assert await store.etcd.delete(store.key("absent")) == 0
    assert (await store.all()).revision == before


async def test_a_range_is_half_open_and_in_key_order(store: Store) -> None:
    for name in ("b", "d", "a", "c"):
        await store.etcd.put(store.key(name), b"")
    result = await store.etcd.range(Range(store.key("a"), store.key("c")))
    assert [kv.key for kv in result.kvs] == [store.key("a"), store.key("b")]
    assert await store.etcd.delete(store.key("b"), store.key("d")) == 2
    assert list(await read_prefix(store.etcd, store.prefix)) == [store.key("a"), store.key("d")]


async def test_a_range_can_be_limited_counted_and_stripped(store: Store) -> None:
    for name in "abc":
        await store.etcd.put(store.key(name), b"value")
    page = await store.all(limit=2)
    assert ([kv.key[-1:] for kv in page.kvs], page.more, page.count) == ([b"a", b"b"], True, 3)
    exact = await store.all(limit=3)
    assert (len(exact.kvs), exact.more) == (3, False)
    counted = await store.all(count_only=True)
    assert (list(counted.kvs), counted.more, counted.count) == ([], False, 3)
    stripped = await store.all(keys_only=True)
    assert [kv.value for kv in stripped.kvs] == [b"", b"", b""]
    assert all(kv.mod_revision for kv in stripped.kvs)
    assert len((await store.all(serializable=True)).kvs) == 3


async def test_old_revisions_can_be_read(store: Store) -> None:
    a = store.key("a")
    first = await store.etcd.put(a, b"1")
    await store.etcd.put(a, b"2")
    gone = await store.etcd.put(store.key("b"), b"") + 1
    await store.etcd.delete(a)
    old = await store.all(revision=first)
    assert [(kv.key, kv.value) for kv in old.kvs] == [(a, b"1")]
    assert [kv.key for kv in (await store.all(revision=gone)).kvs] == [store.key("b")]
    with pytest.raises(EtcdRefused):
        await store.all(revision=gone + 1000)


# Txn


async def test_a_txn_is_one_revision(store: Store) -> None:
    before = await store.etcd.put(store.key("x"), b"")
    result = await store.etcd.txn(
        [], [Put(store.key("a"), b"1"), Delete(store.key("x")), Put(store.key("b"), b"2")]
    )
    assert (result.succeeded, result.revision) == (True, before + 1)
    found = await read_prefix(store.etcd, store.prefix)
    assert {kv.mod_revision for kv in found.values()} == {before + 1}
    assert list(found) == [store.key("a"), store.key("b")]


@pytest.mark.parametrize(
    ("target", "op", "value", "holds"),
    [
        ("version", "=", 2, True),
        ("version", "!=", 2, False),
        ("version", ">", 1, True),
        ("version", "<", 2, False),
        ("version", "<", 3, True),
        ("create", "=", 0, False),
        ("create", ">", 0, True),
        ("mod", "!=", 0, True),
        ("mod", "=", 0, False),
    ],
)
async def test_compares_decide_the_branch(store: Store, target, op, value, holds) -> None:
    a = store.key("a")
    await store.etcd.put(a, b"1")
    await store.etcd.put(a, b"2")
    result = await store.etcd.txn(
        [Compare(a, target, op, value)],
        [Put(store.key("then"), b"")],
        [Put(store.key("else"), b"")],
    )
    assert result.succeeded is holds
    assert store.key("then" if holds else "else") in await read_prefix(store.etcd, store.prefix)
    assert store.key("else" if holds else "then") not in await read_prefix(store.etcd, store.prefix)


async def test_create_and_mod_revision_compare_exactly(store: Store) -> None:
    a = store.key("a")
    created = await store.etcd.put(a, b"1")
    modified = await store.etcd.put(a, b"2")

    async def holds(*compares: Compare) -> bool:
        return (await store.etcd.txn(compares, [])).succeeded

    assert await holds(Compare(a, "create", "=", created), Compare(a, "mod", "=", modified))
    assert not await holds(Compare(a, "create", "=", created), Compare(a, "mod", "=", created))
    absent = store.key("absent")
    for target in ("create", "mod", "version"):
        assert await holds(Compare(absent, target, "=", 0))


async def test_reads_in_a_txn_see_the_writes_before_them(store: Store) -> None:
    a = store.key("a")
    await store.etcd.put(a, b"old")
    result = await store.etcd.txn(
        [], [Range(a), Put(a, b"new"), Range(a), Range(store.prefix, store.end, count_only=True)]
    )
    assert [[kv.value for kv in r.kvs] for r in result.ranges] == [[b"old"], [b"new"], []]
    assert result.ranges[2].count == 1
    assert [r.revision for r in result.ranges] == [
        result.revision - 1,
        result.revision,
        result.revision,
    ]


async def test_a_txn_that_changes_nothing_makes_no_revision(store: Store) -> None:
    before = await store.etcd.put(store.key("a"), b"")
    read = await store.etcd.txn([Compare(store.key("a"), "version", "=", 1)], [Range(b"/x")])
    assert (read.succeeded, read.revision) == (True, before)
    deleted = await store.etcd.txn([], [Delete(store.key("absent"))])
    assert (deleted.succeeded, deleted.revision) == (True, before)
    failed = await store.etcd.txn([Compare(store.key("a"), "version", "=", 9)], [Delete(b"/x")])
    assert (failed.succeeded, failed.revision) == (False, before)


def refused_txns(store: Store) -> dict[str, tuple[list, list]]:
    a, b, c = store.key("a"), store.key("b"), store.key("c")
    return {
        "a key put twice": ([Put(a, b"1"), Put(a, b"2")], []),
        "a key put twice in the branch not taken": ([], [Put(a, b"1"), Put(a, b"2")]),
        "a put of a deleted key": ([Delete(a), Put(a, b"1")], []),
        "a put inside a range deleted after it": ([Put(b, b"1"), Delete(a, c)], []),
        "an empty key": ([Put(b"", b"1")], []),
        "an empty key read": ([Range(b"")], []),
        "too many operations": ([Put(store.key(str(i)), b"") for i in range(MAX_TXN_OPS + 1)], []),
        "a request too large": ([Put(a, b"x" * 1_000_000), Put(b, b"x" * 700_000)], []),
    }


@pytest.mark.parametrize(
    "case",
    [
        "a key put twice",
        "a key put twice in the branch not taken",
        "a put of a deleted key",
        "a put inside a range deleted after it",
        "an empty key",
        "an empty key read",
        "too many operations",
        "a request too large",
    ],
)
async def test_a_refused_txn_writes_nothing(store: Store, case: str) -> None:
    success, failure = refused_txns(store)[case]
    before = (await store.all()).revision
    with pytest.raises(EtcdRefused):
        await store.etcd.txn([], success, failure)
    after = await store.all()
    assert (after.revision, after.count) == (before, 0)


async def test_what_only_looks_like_a_refused_txn_is_accepted(store: Store) -> None:
    a, b, c = store.key("a"), store.key("b"), store.key("c")
    same_key_in_both_branches = await store.etcd.txn([], [Put(a, b"1")], [Put(a, b"2")])
    assert same_key_in_both_branches.succeeded
    beside_a_deleted_range = await store.etcd.txn([], [Delete(a, b), Put(b, b"1"), Put(c, b"1")])
    assert beside_a_deleted_range.succeeded
    overlapping_deletions = await store.etcd.txn([], [Delete(b), Delete(a, c), Delete(b)])
    assert overlapping_deletions.succeeded
    within_an_endless_deleted_range = await store.etcd.txn([], [Delete(b, b"\0"), Put(c, b"2")])
    assert within_an_endless_deleted_range.succeeded
    many = [Put(store.key(f"m{i}"), b"") for i in range(MAX_TXN_OPS)]
    assert (await store.etcd.txn([], many)).succeeded
    large = [Put(store.key(f"l{i}"), b"x" * 100_000) for i in range(15)]
    assert (await store.etcd.txn([], large)).succeeded
    assert list(await read_prefix(store.etcd, store.key("c"))) == [c]


async def test_a_put_under_a_missing_lease_writes_nothing(store: Store) -> None:
    lease = (await store.etcd.lease_grant(60)).id
    await store.etcd.lease_revoke(lease)
    with pytest.raises(LeaseNotFound):
        await store.etcd.put(store.key("a"), b"", lease=lease)
    with pytest.raises(LeaseNotFound):
        await store.etcd.txn([], [Put(store.key("b"), b""), Put(store.key("a"), b"", lease)])
    assert not await read_prefix(store.etcd, store.prefix)


# Leases


async def test_revoking_a_lease_deletes_its_keys_in_one_revision(store: Store) -> None:
    lease = (await store.etcd.lease_grant(60)).id
    for name in ("b", "a", "kept"):
        await store.etcd.put(store.key(name), b"", lease=lease)
    before = await store.etcd.put(store.key("kept"), b"now without the lease")
    async with store.etcd.watch(store.prefix, store.end) as batches:
        await store.etcd.lease_revoke(lease)
        batch = await take(batches)
    assert batch.revision == before + 1
    assert keys_of(batch) == [(True, store.key("a")), (True, store.key("b"))]
    assert list(await read_prefix(store.etcd, store.prefix)) == [store.key("kept")]


async def test_revoking_twice_is_no_error(store: Store) -> None:
    lease = (await store.etcd.lease_grant(60)).id
    await store.etcd.lease_revoke(lease)
    await store.etcd.lease_revoke(lease)
    with pytest.raises(LeaseNotFound):
        await store.etcd.lease_keepalive(lease)


async def test_a_lease_without_keepalive_expires_with_its_keys(store: Store) -> None:
    grant = await store.etcd.lease_grant(1)
    assert grant.ttl >= 2, "etcd's least"
    await store.etcd.put(store.key("a"), b"", lease=grant.id)
    async with store.etcd.watch(store.prefix, store.end) as batches:
        store.hurry(grant.ttl + 1)
        assert keys_of(await take(batches)) == [(True, store.key("a"))]
    with pytest.raises(LeaseNotFound):
        await store.etcd.lease_keepalive(grant.id)


async def test_keepalive_returns_the_ttl(store: Store) -> None:
    grant = await store.etcd.lease_grant(30)
    store.hurry(29)
    assert await store.etcd.lease_keepalive(grant.id) == 30
    store.hurry(29)
    assert await store.etcd.lease_keepalive(grant.id) == 30
    await store.etcd.lease_revoke(grant.id)


# Watch


async def test_a_watch_yields_whole_revisions_in_the_order_of_the_txn(store: Store) -> None:
    await store.etcd.put(store.key("c"), b"")
    async with store.etcd.watch(store.prefix, store.end) as batches:
        result = await store.etcd.txn(
            [], [Put(store.key("z"), b"1"), Delete(store.key("c")), Put(store.key("a"), b"2")]
        )
        batch = await take(batches)
    assert batch.revision == result.revision
    assert keys_of(batch) == [
        (False, store.key("z")),
        (True, store.key("c")),
        (False, store.key("a")),
    ]
    assert [event.kv.mod_revision for event in batch.events] == [result.revision] * 3
    assert batch.events[0].kv == (
        store.key("z"), b"1", result.revision, result.revision, 1, 0,
    )  # fmt: skip


async def test_events_say_the_same_as_objects_and_as_what_a_follower_reads(store: Store) -> None:
    grant = await store.etcd.lease_grant(30)
    async with store.etcd.watch(store.prefix, store.end) as batches:
        await store.etcd.txn(
            [], [Put(store.key("a"), b"x" * 1000, grant.id), Put(store.key("b"), b"")]
        )
        await store.etcd.txn([], [Delete(store.key("a"))])
        events: list[WatchEvent] = []
        changes: list[Change] = []
        while len(events) < 3:
            batch = await take(batches)
            events += batch.events
            changes += changes_of(batch.events)
            assert batch.events[-1] == list(batch.events)[-1] == batch.events[:][-1]
            least = sum(len(event.kv.key) + len(event.kv.value) for event in batch.events)
            assert size_of(batch.events) >= least
    fields = [(e.deleted, e.kv.key, e.kv.value, e.kv.mod_revision, e.kv.lease) for e in events]
    assert changes == fields
    assert [gone for gone, *_ in changes] == [False, False, True]
    assert changes[0][4] == grant.id
    await store.etcd.lease_revoke(grant.id)


async def test_a_watch_from_now_sees_nothing_earlier(store: Store) -> None:
    await store.etcd.put(store.key("before"), b"")
    async with store.etcd.watch(store.prefix, store.end) as batches:
        await store.etcd.put(store.key("after"), b"")
        assert keys_of(await take(batches)) == [(False, store.key("after"))]


async def test_a_watch_from_the_past_misses_and_repeats_nothing(store: Store) -> None:
    revisions = [await store.etcd.put(store.key(str(i)), b"") for i in range(5)]
    seen: list[tuple[bool, bytes]] = []
    async with store.etcd.watch(store.prefix, store.end, start_revision=revisions[2]) as batches:
        await store.etcd.put(store.key("5"), b"")
        while len(seen) < 4:
            seen += keys_of(await take(batches))
    assert seen == [(False, store.key(str(i))) for i in (2, 3, 4, 5)]


async def test_a_watch_sees_only_its_range(store: Store) -> None:
    async with (
        store.etcd.watch(store.key("b")) as one,
        store.etcd.watch(store.key("b"), store.key("d")) as some,
        store.etcd.watch(store.key("b"), b"\0") as rest,
    ):
        await store.etcd.txn([], [Put(store.key(name), b"") for name in ("a", "b", "c", "d")])
        assert keys_of(await take(one)) == [(False, store.key("b"))]
        assert keys_of(await take(some)) == [(False, store.key(n)) for n in ("b", "c")]
        assert keys_of(await take(rest)) == [(False, store.key(n)) for n in ("b", "c", "d")]


async def test_a_cancelled_wait_loses_no_batch(store: Store) -> None:
    async with store.etcd.watch(store.prefix, store.end) as batches:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(batches), 0.01)
        await store.etcd.put(store.key("a"), b"")
        await store.etcd.put(store.key("b"), b"")
        seen: list[tuple[bool, bytes]] = []
        while len(seen) < 2:
            seen += keys_of(await take(batches))
    assert seen == [(False, store.key("a")), (False, store.key("b"))]


async def test_a_watch_may_begin_in_the_future(store: Store) -> None:
    now = await store.etcd.put(store.key("a"), b"")
    async with store.etcd.watch(store.prefix, store.end, start_revision=now + 2) as batches:
        await store.etcd.put(store.key("b"), b"")
        await store.etcd.put(store.key("c"), b"")
        assert keys_of(await take(batches)) == [(False, store.key("c"))]


# Compaction


async def test_compacted_revisions_are_gone_and_the_first_readable_one_is_named(
    store: Store,
) -> None:
    a = store.key("a")
    first = await store.etcd.put(a, b"1")
    second = await store.etcd.put(a, b"2")
    third = await store.etcd.put(a, b"3")
    await store.etcd.compact(second)
    with pytest.raises(Compacted) as gone:
        await store.etcd.range(Range(a, revision=first))
    assert gone.value.revision == second
    assert (await store.etcd.range(Range(a, revision=second))).kvs[0].value == b"2"
    assert (await store.etcd.range(Range(a, revision=third))).kvs[0].value == b"3"


async def test_compacting_again_or_into_the_future_is_no_error(store: Store) -> None:
    now = await store.etcd.put(store.key("a"), b"1")
    await store.etcd.compact(now)
    await store.etcd.compact(now)
    await store.etcd.compact(now - 1)
    await store.etcd.compact(now + 1000)
    await store.etcd.put(store.key("a"), b"2")
    assert (await store.etcd.range(Range(store.key("a"), revision=now))).kvs[0].value == b"1"


async def test_a_watch_from_a_compacted_revision_is_told_where_to_resume(store: Store) -> None:
    a = store.key("a")
    await store.etcd.put(a, b"1")
    second = await store.etcd.put(a, b"2")
    third = await store.etcd.put(a, b"3")
    await store.etcd.compact(second)
    async with store.etcd.watch(a, start_revision=second - 1) as batches:
        with pytest.raises(Compacted) as gone:
            await take(batches)
    assert gone.value.revision == third
    async with store.etcd.watch(a, start_revision=third) as batches:
        assert (await take(batches)).revision == third


async def test_a_deletion_in_the_compacted_revision_is_not_missed_silently(store: Store) -> None:
    a = store.key("a")
    deletion = await store.etcd.put(a, b"1") + 1
    await store.etcd.delete(a)
    await store.etcd.compact(deletion)
    async with store.etcd.watch(a, start_revision=deletion) as batches:
        with pytest.raises(Compacted) as gone:
            await take(batches)
    assert gone.value.revision == deletion + 1


# The store itself


async def test_status_describes_the_store(store: Store) -> None:
    revision = await store.etcd.put(store.key("a"), b"1")
    status = await store.etcd.status()
    assert status.version.startswith("3.")
    assert status.revision == revision
    assert status.members == 1
    assert status.leader != 0
    assert status.db_size >= status.db_size_in_use > 0


async def test_after_close_every_call_is_unavailable(store: Store) -> None:
    async with store.etcd.watch(store.prefix, store.end) as batches:
        waiting = asyncio.create_task(take(batches))
        await store.etcd.range(Range(store.prefix))
        await store.etcd.close()
        with pytest.raises(EtcdUnavailable):
            await waiting
    with pytest.raises(EtcdUnavailable):
        await store.etcd.range(Range(store.prefix))
    with pytest.raises(EtcdUnavailable):
        await store.etcd.txn([], [])
