"""Random histories, run against real etcd and its in-memory twin: the same answers to everything.

Revisions are compared as distances from the store's revision when the history began.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any, Literal

import pytest

from quorate.etcd.api import (
    Compacted,
    Compare,
    Delete,
    Etcd,
    EtcdRefused,
    KeyValue,
    LeaseNotFound,
    Op,
    Put,
    Range,
    RangeResult,
    WatchBatch,
    WatchEvent,
    prefix_end,
)
from quorate.etcd.client import EtcdClient
from quorate.etcd.memory.store import MemoryEtcd

STEPS = 60
NAMES = "abcdef"
END = b"z"
TARGETS: tuple[Literal["create", "mod", "version"], ...] = ("create", "mod", "version")
COMPARISONS: tuple[Literal["=", "!=", "<", ">"], ...] = ("=", "!=", "<", ">")


class History:
    """One store, driven step by step; the choices come from outside, so that two can be alike."""

    def __init__(self, etcd: Etcd, prefix: bytes, base: int) -> None:
        self.etcd = etcd
        self.prefix = prefix
        self.base = base
        self.leases: list[int] = []

    async def step(self, choice: Random) -> Any:
        """One call and what came of it, in terms that do not depend on the store."""
        kind = choice.choice(("put", "delete", "range", *["txn"] * 5, "grant", "revoke", "compact"))
        try:
            return kind, await getattr(self, f"_{kind}")(choice)
        except Compacted as error:
            return kind, "compacted", error.revision - self.base
        except (EtcdRefused, LeaseNotFound) as error:
            return kind, type(error).__name__

    def _key(self, choice: Random) -> bytes:
        return self.prefix + choice.choice(NAMES).encode()

    def _span(self, choice: Random) -> tuple[bytes, bytes]:
        """A key, a range (empty or backwards at times), or everything."""
        start, end = self._key(choice), self._key(choice)
        return choice.choice(((start, b""), (start, end), (self.prefix, prefix_end(self.prefix))))

    def _lease(self, choice: Random) -> int:
        number = choice.randrange(8)
        return self.leases[number] if number < len(self.leases) else 0

    def _op(self, choice: Random) -> Op:
        kind = choice.choice(("put", "put", "delete", "range"))
        if kind == "put":
            return Put(self._key(choice), choice.randbytes(2), self._lease(choice))
        if kind == "delete":
            return Delete(*self._span(choice))
        return Range(*self._span(choice), limit=choice.randrange(3))

    async def _put(self, choice: Random) -> int:
        key, value, lease = self._key(choice), choice.randbytes(2), self._lease(choice)
        return await self.etcd.put(key, value, lease=lease) - self.base

    async def _delete(self, choice: Random) -> int:
        return await self.etcd.delete(*self._span(choice))

    async def _range(self, choice: Random) -> Any:
        back = choice.randrange(12)
        revision = 0
        if back:
            revision = max(self.base, (await self.etcd.status()).revision - back + 2)
        read = Range(
            *self._span(choice),
            limit=choice.randrange(4),
            revision=revision,
            keys_only=choice.random() < 0.2,
            count_only=choice.random() < 0.2,
        )
        return self._plain_range(await self.etcd.range(read))

    async def _txn(self, choice: Random) -> Any:
        compares = []
        for _ in range(choice.randrange(3)):
            target = choice.choice(TARGETS)
            # For revisions either 0 or one about as old as the history.
            value = choice.randrange(4) * (1 if target == "version" else self.base // 2)
            compares.append(Compare(self._key(choice), target, choice.choice(COMPARISONS), value))
        branches = [[self._op(choice) for _ in range(choice.randrange(4))] for _ in range(2)]
        result = await self.etcd.txn(compares, *branches)
        ranges = [self._plain_range(r) for r in result.ranges]
        return result.succeeded, result.revision - self.base, ranges

    async def _grant(self, choice: Random) -> int:
        grant = await self.etcd.lease_grant(600)
        self.leases.append(grant.id)
        return grant.ttl

    async def _revoke(self, choice: Random) -> None:
        if self.leases:
            await self.etcd.lease_revoke(choice.choice(self.leases))

    async def _compact(self, choice: Random) -> None:
        now = (await self.etcd.status()).revision
        await self.etcd.compact(max(now - choice.randrange(6), self.base))

    def plain(self, kv: KeyValue) -> Any:
        return (
            kv.key[len(self.prefix) :],
            kv.value,
            kv.create_revision and kv.create_revision - self.base,
            kv.mod_revision - self.base,
            kv.version,
            self.leases.index(kv.lease) if kv.lease else None,
        )

    def _plain_range(self, result: RangeResult) -> Any:
        kvs = [self.plain(kv) for kv in result.kvs]
        return kvs, result.more, result.count, result.revision - self.base

    def plain_event(self, event: WatchEvent) -> Any:
        # Of a deletion only the key and the revision mean anything.
        if event.deleted:
            return "deleted", event.kv.key[len(self.prefix) :], event.kv.mod_revision - self.base
        return "put", self.plain(event.kv)


@pytest.mark.parametrize("seed", range(12))
async def test_the_twin_answers_as_etcd_does(
    seed: int, etcd_client: EtcdClient, key_prefix: bytes
) -> None:
    base = await etcd_client.put(b"/base", b"")
    # The twin's revisions begin where etcd's are, so that the same numbers can be asked for.
    twin = MemoryEtcd(revision=base)
    real, imagined = (History(etcd, key_prefix, base) for etcd in (etcd_client, twin))
    span = (key_prefix, prefix_end(key_prefix))
    async with etcd_client.watch(*span) as real_batches, twin.watch(*span) as imagined_batches:
        # Read all along: real etcd sends at once, while the twin's watch reads the log when asked,
        # which a compaction shortens.
        seen = [
            asyncio.create_task(read_to_end(history, batches))
            for history, batches in ((real, real_batches), (imagined, imagined_batches))
        ]
        try:
            for step in range(STEPS):
                answers = [await h.step(Random(f"{seed}/{step}")) for h in (real, imagined)]
                assert answers[0] == answers[1], f"seed {seed}, step {step}"
            for history in (real, imagined):
                await history.etcd.put(key_prefix + END, b"")
            events = await asyncio.wait_for(asyncio.gather(*seen), 10)
        finally:
            for task in seen:
                task.cancel()
        assert events[0] == events[1], f"seed {seed}"


async def read_to_end(history: History, batches: AsyncIterator[WatchBatch]) -> list[Any]:
    events: list[Any] = []
    async for batch in batches:
        events += [history.plain_event(event) for event in batch.events]
        if batch.events and batch.events[-1].kv.key.endswith(END):
            return events
    raise AssertionError("a watch does not end by itself")
