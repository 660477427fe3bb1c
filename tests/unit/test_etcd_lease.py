"""The lease session: how long it may be trusted, and silence told apart from loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from quorate.etcd.api import EtcdUnavailable, LeaseNotFound, Range
from quorate.etcd.lease import LeaseSession
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.timing.clock import SimulatedClock


class Slow(MemoryEtcd):
    """An etcd whose answers take `delay` seconds, or fail while `away`."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__(clock)
        self.clock = clock
        self.delay = 0.0
        self.late = 0.0
        self.away = False
        self.renewals = 0

    async def lease_grant(self, ttl, *, timeout=5.0):
        grant = await super().lease_grant(ttl)
        self.clock.advance(self.delay)
        return grant

    async def lease_keepalive(self, lease, *, timeout=2.0):
        self.renewals += 1
        if self.away:
            raise EtcdUnavailable("away")
        ttl = await super().lease_keepalive(lease)
        if self.late:
            # Renewed at once, and said so later.
            self.clock.advance(min(self.late, timeout))
            if self.late > timeout:
                raise EtcdUnavailable("no answer in time")
        self.clock.advance(self.delay)
        return ttl


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock(start=1000.0)


@pytest_asyncio.fixture
async def etcd(clock: SimulatedClock) -> AsyncIterator[Slow]:
    store = Slow(clock)
    yield store
    await store.close()


async def test_trust_counts_from_the_start_of_the_renewal(
    etcd: Slow, clock: SimulatedClock
) -> None:
    etcd.delay = 4.0
    async with await LeaseSession.open(etcd, 10, clock=clock) as session:
        assert session.trusted_until == 1010
        clock.advance(2)
        await session.renew()
        assert session.trusted_until == 1016
        assert clock.monotonic() == 1010
        assert session.trusted(margin=5)
        assert not session.trusted(margin=6)
        clock.advance(6)
        assert not session.trusted()


async def test_silence_ends_trust_but_is_not_loss(etcd: Slow, clock: SimulatedClock) -> None:
    async with await LeaseSession.open(etcd, 10, clock=clock) as session:
        etcd.away = True
        clock.advance(9)
        with pytest.raises(EtcdUnavailable):
            await session.renew()
        assert not session.silent
        clock.advance(1)
        assert session.silent
        assert not session.lost.is_set()
        # etcd restarted meanwhile and gave its leases a fresh start: ours is still there.
        etcd.away = False
        await session.renew()
        assert not session.silent
        assert session.trusted_until == 1020


async def test_a_lease_that_etcd_does_not_know_is_lost_for_good(
    etcd: Slow, clock: SimulatedClock
) -> None:
    async with await LeaseSession.open(etcd, 10, clock=clock) as session:
        clock.advance(11)
        etcd.tick()
        with pytest.raises(LeaseNotFound):
            await session.renew()
        assert session.lost.is_set()
        assert not session.trusted()
        assert not session.silent


@pytest.mark.parametrize("late", [0.5, 0.9, 1.5])
async def test_a_lease_that_etcd_renews_and_says_so_late_is_trusted_again(
    etcd: Slow, clock: SimulatedClock, late: float
) -> None:
    """As under load: else a leader whose lease lives would resign, and so would the next one."""
    async with await LeaseSession.open(etcd, 2, clock=clock) as session:
        etcd.late = late
        trusted = 0
        for _ in range(8):
            with suppress(EtcdUnavailable):
                await session.renew()
            trusted += session.trusted()
        assert trusted >= 6
        # An endpoint that hangs is given up as soon as before, once answers come early.
        etcd.late = 0.01
        await session.renew()
        etcd.late, began = 10.0, clock.monotonic()
        with pytest.raises(EtcdUnavailable):
            await session.renew()
        assert clock.monotonic() - began == pytest.approx(2 / 3)


async def test_it_renews_by_itself_and_soon_again_after_a_failure(
    etcd: Slow, clock: SimulatedClock
) -> None:
    async with await LeaseSession.open(etcd, 2, clock=clock) as session:
        etcd.away = True
        async with asyncio.timeout(60):
            while etcd.renewals < 3:
                await asyncio.sleep(0.01)
        clock.advance(1)
        etcd.away = False
        async with asyncio.timeout(60):
            while session.trusted_until != 1003:
                await asyncio.sleep(0.01)
            clock.advance(3)
            etcd.tick()
            await session.lost.wait()


async def test_closing_deletes_the_keys_unless_told_not_to(
    etcd: Slow, clock: SimulatedClock
) -> None:
    leaving = await LeaseSession.open(etcd, 10, clock=clock)
    staying = await LeaseSession.open(etcd, 10, clock=clock)
    await etcd.put(b"leaving", b"", lease=leaving.id)
    await etcd.put(b"staying", b"", lease=staying.id)
    await leaving.close()
    await staying.close(revoke=False)
    assert [kv.key for kv in (await etcd.range(Range(b"a", b"z"))).kvs] == [b"staying"]


async def test_closing_while_etcd_is_away_raises_nothing(etcd: Slow, clock: SimulatedClock) -> None:
    session = await LeaseSession.open(etcd, 10, clock=clock)
    await etcd.close()
    await session.close()
