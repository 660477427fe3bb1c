"""The contract of `quorate.etcd.api.Etcd`: one suite for the real store and its in-memory twin."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from quorate.etcd.api import (
    Compare,
    Delete,
    EtcdRefused,
    Put,
    Range,
)
from quorate.etcd.server.launcher import EtcdProcess
from tests.support.etcd import read_prefix
from tests.support.etcd_contract import MAX_TXN_OPS, Store, opened


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
