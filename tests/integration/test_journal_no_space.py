"""The journal on an etcd that is out of space: it waits, purges, and goes on."""

from __future__ import annotations

import asyncio

import pytest

from quorate.etcd.api import Delete, Put, Range
from quorate.etcd.client import EtcdClient
from quorate.etcd.journal.journal import Deposed, Journal, JournalStalled
from quorate.runtime.timing.clock import SystemClock
from tests.support.etcd import etcdctl
from tests.support.term import PREFIX, Outcomes, ended, running

OLD = PREFIX + b"old/"


async def stand(client: EtcdClient, name: bytes, stall_after: float) -> Journal:
    key = PREFIX + b"election/scheduler/" + name
    epoch = await client.put(key, b"")
    return Journal(
        client,
        prefix=PREFIX,
        leader_key=key,
        elected=epoch,
        clock=SystemClock(),
        stall_after=stall_after,
    )


async def fill(leader: Journal, client: EtcdClient, seen: Outcomes) -> int:
    """Put half a megabyte at a time until one is refused for want of space; how many got in."""
    count = 0
    while not leader.no_space:
        assert count < 100
        seen.append(leader, f"{count}", Put(OLD + b"%03d" % count, bytes(500_000)))
        count += 1
        while not (leader.idle or leader.no_space):
            await client.status()
    assert leader.pending_events == 1
    assert len(seen.names) == count - 1 > 0
    return count - 1


async def test_out_of_space_purges_get_through_and_the_puts_go_on_once_there_is_space(own_etcd):
    server = await own_etcd(quota_bytes=4 << 20)
    async with EtcdClient([server.endpoint]) as client:
        # Puts are refused for longer than this: the leader must stay all the same.
        leader = await stand(client, b"a", stall_after=1.0)
        candidate = await stand(client, b"b", stall_after=1.0)
        await leader.claim()
        seen = Outcomes()
        async with running(leader) as task:
            stored = await fill(leader, client, seen)

            # Nobody else could lead: the claim is a put.
            with pytest.raises(JournalStalled):
                await candidate.claim()
            assert not task.done()
            assert leader.pending_events == 1

            # Everything but the record that waits; a range would cover that one, and wait too.
            expired = [Delete(OLD + b"%03d" % number) for number in range(stored)]
            seen.purge(leader, "purge", *expired)
            async with asyncio.timeout(60):
                while seen.names[-1] != "purge":
                    seen.changed.clear()
                    await seen.changed.wait()
            assert seen.names == [*(f"{n}" for n in range(stored)), "purge"]
            left = await client.range(Range(OLD, PREFIX + b"old0", keys_only=True))
            assert left.count == 0

            # What the leader's upkeep and an operator do then.
            await etcdctl(server, "compact", str(left.revision))
            await etcdctl(server, "defrag")
            await etcdctl(server, "alarm", "disarm")
            await leader.flush()
            assert seen.names[stored + 1 :] == [f"{stored}"]
            assert not leader.no_space
            assert seen.failures == []


async def test_out_of_space_a_leader_whose_key_is_gone_notices(own_etcd):
    """etcd refuses its put before it looks at the compares."""
    server = await own_etcd(quota_bytes=4 << 20)
    async with EtcdClient([server.endpoint]) as client:
        leader = await stand(client, b"a", stall_after=1.0)
        await leader.claim()
        seen = Outcomes()
        async with running(leader) as task:
            await fill(leader, client, seen)
            await client.delete(PREFIX + b"election/scheduler/a")
            assert isinstance(await ended(task), Deposed)
        assert len(seen.failures) == 1
