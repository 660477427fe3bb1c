"""Watches on real etcd: resumed over its death, whole revisions whatever their size."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from quorate.etcd import wire
from quorate.etcd.api import Compacted, EtcdUnavailable, Put, prefix_end
from quorate.etcd.client import EtcdClient


async def test_a_watch_outlives_etcd_without_gaps_or_repeats(own_etcd) -> None:
    server = await own_etcd()
    acknowledged: list[int] = []
    stopping = asyncio.Event()

    async def write(client: EtcdClient) -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            try:
                revision = await client.put(b"/w/%08d" % number, b"", timeout=60)
            except EtcdUnavailable:
                continue
            acknowledged.append(revision)

    async with EtcdClient([server.endpoint]) as client, EtcdClient([server.endpoint]) as watcher:
        seen: list[int] = []
        async with watcher.watch(b"/w/", prefix_end(b"/w/")) as batches:

            async def see(more: int) -> None:
                goal = len(seen) + more
                while len(seen) < goal:
                    batch = await asyncio.wait_for(anext(batches), 20)
                    seen.extend(event.kv.mod_revision for event in batch.events)

            writing = asyncio.create_task(write(client))
            for _ in range(2):
                await see(50)
                await server.kill()
                await server.start()
            await see(50)
            stopping.set()
            await writing
            while seen[-1] < acknowledged[-1]:
                await see(1)
    assert seen == list(range(seen[0], seen[-1] + 1)), "every revision once, in order"
    assert set(acknowledged) <= set(seen)


async def test_a_watch_resumed_behind_a_compaction_is_told(own_etcd) -> None:
    server = await own_etcd()
    async with (
        EtcdClient([server.endpoint]) as client,
        EtcdClient([server.endpoint]) as other,
        client.watch(b"k") as batches,
    ):
        first = await other.put(b"k", b"1")
        assert (await asyncio.wait_for(anext(batches), 10)).revision == first
        # Nobody reads; the stream's end is noticed only after the compaction.
        await server.kill()
        await server.start()
        last = 0
        for _ in range(5):
            last = await other.put(b"k", b"2", timeout=60)
        await other.compact(last)
        with pytest.raises(Compacted) as gone:
            await asyncio.wait_for(anext(batches), 20)
        assert gone.value.revision == last + 1


async def test_revisions_larger_than_a_response_arrive_whole(
    etcd_client: EtcdClient, key_prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragments: list[bool] = []
    convert = wire.watch_events

    def spy(response):
        fragments.append(response.message.fragment)
        return convert(response)

    monkeypatch.setattr(wire, "watch_events", spy)
    # 12 MiB to catch up on, in revisions of 1.2 MiB: etcd sends them as fragments of about 2 MiB
    # each, which end inside a revision.
    value, keys, revisions = b"x" * 300_000, 4, 10
    written = [
        (
            await etcd_client.txn(
                [], [Put(key_prefix + b"%d/%d" % (n, k), value) for k in range(keys)]
            )
        ).revision
        for n in range(revisions)
    ]
    seen: list[int] = []
    order: list[bytes] = []
    async with etcd_client.watch(
        key_prefix, prefix_end(key_prefix), start_revision=written[0]
    ) as batches:
        while not seen or seen[-1] < written[-1]:
            batch = await asyncio.wait_for(anext(batches), 20)
            events = Counter(event.kv.mod_revision for event in batch.events)
            assert set(events.values()) == {keys}, "no batch holds a part of a revision"
            assert batch.revision == max(events)
            seen += events
            order += [event.kv.key for event in batch.events]
    assert seen == written
    assert order == [key_prefix + b"%d/%d" % (n, k) for n in range(revisions) for k in range(keys)]
    assert any(fragments), "the responses were to be fragmented"


async def test_a_watch_far_behind_is_given_revisions_before_the_last_fragment(own_etcd) -> None:
    """All of it comes as one response, in fragments of 1.5 MB."""
    server = await own_etcd()
    async with EtcdClient([server.endpoint]) as client:
        first = 0
        for number in range(30):
            puts = [Put(b"/w/%d/%d" % (number, place), bytes(2_000)) for place in range(100)]
            done = await client.txn((), puts, timeout=60)
            first = first or done.revision
        sizes, revisions = list[int](), list[int]()
        async with client.watch(b"/w/", prefix_end(b"/w/"), start_revision=first) as batches:
            while len(revisions) < 30:
                batch = await asyncio.wait_for(anext(batches), 20)
                sizes.append(len(batch.events))
                revisions += sorted({event.kv.mod_revision for event in batch.events})
                assert batch.revision == revisions[-1]
    assert revisions == list(range(first, first + 30)), "every revision once and whole"
    assert sum(sizes) == 3_000
    # A fragment, and what was begun in the one before.
    assert max(sizes) <= 1_000
