"""The contract of `quorate.etcd.api.Etcd`: leases, watches, compaction, both stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from quorate.etcd.api import (
    Change,
    Compacted,
    Delete,
    EtcdUnavailable,
    LeaseNotFound,
    Put,
    Range,
    WatchEvent,
    changes_of,
    size_of,
)
from quorate.etcd.server.launcher import EtcdProcess
from tests.support.etcd import keys_of, read_prefix
from tests.support.etcd_contract import Store, opened, take


@pytest.fixture(params=["memory", "etcd"])
def endpoint(request: pytest.FixtureRequest) -> str:
    """Where real etcd is; empty for the twin."""
    if request.param == "memory":
        return ""
    server: EtcdProcess = request.getfixturevalue("etcd_server")
    return server.endpoint


@pytest_asyncio.fixture
async def store(endpoint: str, key_prefix: bytes) -> AsyncIterator[Store]:
    async with opened(endpoint, key_prefix) as store:
        yield store


# Leases


async def test_a_put_under_a_missing_lease_writes_nothing(store: Store) -> None:
    lease = (await store.etcd.lease_grant(60)).id
    await store.etcd.lease_revoke(lease)
    with pytest.raises(LeaseNotFound):
        await store.etcd.put(store.key("a"), b"", lease=lease)
    with pytest.raises(LeaseNotFound):
        await store.etcd.txn([], [Put(store.key("b"), b""), Put(store.key("a"), b"", lease)])
    assert not await read_prefix(store.etcd, store.prefix)


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
