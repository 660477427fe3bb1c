"""Careers in the in-memory store: who leads, for how long, and what is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from quorate.etcd.api import EtcdUnavailable
from quorate.etcd.election import Election
from quorate.etcd.journal.fence import Deposed
from quorate.etcd.lease import LeaseSession
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.timing.clock import SystemClock
from scheduler.api.forwarding.role import Leader
from scheduler.leadership.elector import ElectionState, Leadership
from scheduler.leadership.leader_view import follow_election
from scheduler.leadership.trust import Trust

PREFIX = b"/quorate/unit/election/scheduler"


class Replica:
    """A candidate whose terms are scripted by the test."""

    def __init__(self, etcd: Any, name: str, **options: Any) -> None:
        self.etcd = etcd
        self.name = name
        self.epochs: list[int] = []
        self.keys: list[bytes] = []
        self.trusts: list[Trust] = []
        self.began: asyncio.Queue[int] = asyncio.Queue()
        self.cancelled = 0
        self.orders: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.farewell: Callable[[], Coroutine[Any, Any, None]] | None = None
        self.leadership = Leadership(
            etcd,
            Election(etcd, PREFIX),
            CandidateRecord(name=name, instance=name, address="127.0.0.1:1"),
            self._lead,
            clock=SystemClock(),
            **options,
        )
        self._task: asyncio.Task[None] | None = None

    async def _lead(self, epoch: int, key: bytes, trust: Trust) -> None:
        self.epochs.append(epoch)
        self.keys.append(key)
        self.trusts.append(trust)
        self.began.put_nowait(epoch)
        try:
            order = await self.orders.get()
        except asyncio.CancelledError:
            self.cancelled += 1
            if self.farewell is not None:
                await self.farewell()
            raise
        if order is not None:
            raise order

    def start(self) -> None:
        self._task = asyncio.create_task(self.leadership.run())

    async def leads(self) -> int:
        return await asyncio.wait_for(self.began.get(), 60)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


class Stage:
    """One store and the replicas on it."""

    def __init__(self, stack: AsyncExitStack, etcd: Any = None) -> None:
        self.etcd: Any = etcd or MemoryEtcd()
        self.election = Election(self.etcd, PREFIX)
        self._stack = stack

    def replica(self, name: str, **options: Any) -> Replica:
        replica = Replica(self.etcd, name, **options)
        replica.start()
        self._stack.push_async_callback(replica.stop)
        return replica

    async def candidates(self, number: int) -> None:
        """Wait until so many stand."""
        async with asyncio.timeout(60):
            while len(await self.election.candidates()) != number:
                await asyncio.sleep(0.001)


async def test_the_first_candidate_leads_under_its_keys_revision(stack: AsyncExitStack) -> None:
    stage = Stage(stack)
    first = stage.replica("first")
    epoch = await first.leads()
    leader = await stage.election.leader()
    assert leader is not None
    assert (leader.create_revision, leader.key) == (epoch, first.keys[0])
    assert CandidateRecord.FromString(leader.value).name == "first"
    assert first.trusts[0].ok(SystemClock().monotonic())
    assert first.leadership.election_state is ElectionState.LEADING


async def test_the_second_leads_when_the_first_leaves(stack: AsyncExitStack) -> None:
    stage = Stage(stack)
    first = stage.replica("first")
    await first.leads()
    second = stage.replica("second")
    await stage.candidates(2)
    assert second.began.empty()
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await first.stop()
    await second.leads()
    assert loop.time() - begin < 0.2
    assert first.cancelled == 1
    assert second.epochs[0] > first.epochs[0]
    await stage.candidates(1)


@pytest.mark.parametrize("order", [None, Deposed("a compare failed"), ValueError("a bug")])
async def test_however_a_term_ends_the_replica_stands_again_with_a_fresh_lease(
    stack: AsyncExitStack, order: Exception | None
) -> None:
    stage = Stage(stack)
    first = stage.replica("first")
    await first.leads()
    second = stage.replica("second")
    await stage.candidates(2)
    first.orders.put_nowait(order)
    await second.leads()
    assert not first.trusts[0].ok(SystemClock().monotonic())
    await stage.candidates(2)
    await second.stop()
    await first.leads()
    assert first.epochs[1] > second.epochs[0] > first.epochs[0]
    assert first.keys[0] != first.keys[1]


async def test_leaders_that_fail_at_once_pause_longer_and_longer(stack: AsyncExitStack) -> None:
    first = Stage(stack).replica("first", jitter=lambda: 1.0)
    loop = asyncio.get_running_loop()
    gaps = []
    await first.leads()
    for _ in range(3):
        begin = loop.time()
        first.orders.put_nowait(ValueError("a bug"))
        await first.leads()
        gaps.append(loop.time() - begin)
    assert gaps[0] >= 0.1
    assert gaps[1] >= 0.2
    assert gaps[2] >= 0.4


async def test_a_leader_whose_lease_is_gone_is_cancelled(stack: AsyncExitStack) -> None:
    stage = Stage(stack)
    first = stage.replica("first")
    await first.leads()
    second = stage.replica("second")
    await stage.candidates(2)
    leader = await stage.election.leader()
    assert leader is not None
    await stage.etcd.lease_revoke(leader.lease)
    await second.leads()
    # It learns of it from its next keepalive, and stands again.
    await stage.candidates(2)
    assert first.cancelled == 1
    assert not first.trusts[0].ok(SystemClock().monotonic())


class Mute:
    """A store that stops answering on demand."""

    def __init__(self) -> None:
        self._etcd = MemoryEtcd()
        self.mute = False

    def __getattr__(self, name: str) -> Any:
        if self.mute:
            raise EtcdUnavailable("no endpoint answered")
        return getattr(self._etcd, name)


async def test_a_leader_without_etcd_falls_silent_then_ends_then_makes_good(
    stack: AsyncExitStack,
) -> None:
    """The lease lives on in etcd: what the replica could not revoke it revokes later."""
    etcd = Mute()
    stage = Stage(stack, etcd)
    first = stage.replica("first", ttl=2, patience=0.0)
    await first.leads()
    clock = SystemClock()
    etcd.mute = True
    silent_at = clock.monotonic()
    async with asyncio.timeout(60):
        while first.leadership.election_state is ElectionState.LEADING:
            if first.trusts[0].ok(clock.monotonic()):
                silent_at = clock.monotonic()
            await asyncio.sleep(0.005)
    ended_at = clock.monotonic()
    # The margin: it fell silent before the term was over.
    assert 0.2 < ended_at - silent_at < 0.8
    assert first.cancelled == 1
    etcd.mute = False
    await first.leads()
    assert len(await stage.election.candidates()) == 1


async def test_a_leader_whose_lease_is_renewed_late_goes_on_where_it_was(
    stack: AsyncExitStack,
) -> None:
    """Its lease lived in etcd all that time, so nobody else can have been elected."""
    etcd = Mute()
    stage = Stage(stack, etcd)
    first = stage.replica("first", ttl=2)
    epoch = await first.leads()
    clock = SystemClock()
    etcd.mute = True
    lease = first.leadership.lease
    assert lease is not None
    async with asyncio.timeout(60):
        while clock.monotonic() < lease.trusted_until + 0.3:
            await asyncio.sleep(0.01)
    assert not first.trusts[0].ok(clock.monotonic())
    etcd.mute = False
    async with asyncio.timeout(60):
        while not first.trusts[0].ok(clock.monotonic()):
            await asyncio.sleep(0.01)
    assert first.leadership.election_state is ElectionState.LEADING
    assert first.cancelled == 0
    leader = await stage.election.leader()
    assert leader is not None
    assert leader.create_revision == epoch


async def test_a_slow_farewell_does_not_hold_up_the_successor(stack: AsyncExitStack) -> None:
    stage = Stage(stack)
    first = stage.replica("first", hand_over=0.05)
    goodbye = asyncio.Event()

    async def farewell() -> None:
        await goodbye.wait()

    first.farewell = farewell
    await first.leads()
    second = stage.replica("second")
    await stage.candidates(2)
    stopping = asyncio.create_task(first.stop())
    await second.leads()
    assert not stopping.done()
    assert not first.trusts[0].ok(SystemClock().monotonic())
    goodbye.set()
    await stopping


async def test_what_a_leader_flushes_in_time_happens_before_it_resigns(
    stack: AsyncExitStack,
) -> None:
    stage = Stage(stack)
    first = stage.replica("first", hand_over=1.0)
    held: list[Any] = []

    async def farewell() -> None:
        await asyncio.sleep(0)
        held.append(await stage.election.leader())
        held.append(first.trusts[0].ok(SystemClock().monotonic()))

    first.farewell = farewell
    epoch = await first.leads()
    await first.stop()
    assert held[0].create_revision == epoch
    assert held[1]
    assert await stage.election.candidates() == []


async def test_a_standby_leaves_nothing_behind(stack: AsyncExitStack) -> None:
    stage = Stage(stack)
    first = stage.replica("first")
    await first.leads()
    second = stage.replica("second")
    await stage.candidates(2)
    await second.stop()
    await stage.candidates(1)
    assert first.cancelled == 0


async def test_a_standby_whose_lease_is_gone_stands_again(stack: AsyncExitStack) -> None:
    stage = Stage(stack)
    first = stage.replica("first")
    await first.leads()
    second = stage.replica("second")
    await stage.candidates(2)
    _, standby = await stage.election.candidates()
    await stage.etcd.lease_revoke(standby.lease)
    await stage.candidates(2)
    await first.stop()
    assert await second.leads() > standby.create_revision


class Deaf:
    """A store whose watches tell nothing."""

    def __init__(self) -> None:
        self._etcd = MemoryEtcd()
        self.watches = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._etcd, name)

    @asynccontextmanager
    async def watch(self, *_: Any, **__: Any) -> AsyncIterator[AsyncIterator[Any]]:
        async def silence() -> AsyncIterator[Any]:
            self.watches += 1
            await asyncio.Event().wait()
            yield

        yield silence()


async def test_a_standby_told_to_look_again_does_not_wait_for_its_watch(
    stack: AsyncExitStack,
) -> None:
    etcd = Deaf()
    stage = Stage(stack, etcd)
    first = stage.replica("first")
    await first.leads()
    second = stage.replica("second")
    async with asyncio.timeout(60):
        while not etcd.watches:
            await asyncio.sleep(0.001)
        # Too early: it looks, and stands on.
        second.leadership.look_again()
        while etcd.watches < 2:
            await asyncio.sleep(0.001)
    await first.stop()
    assert second.began.empty()
    second.leadership.look_again()
    await second.leads()


async def test_trust_counts_from_the_start_of_the_last_keepalive() -> None:
    class Lease:
        trusted_until = 10.0

    lease = Lease()
    trust = Trust(lease, margin=0.4)
    assert trust.ok(9.5)
    assert not trust.ok(9.7)
    lease.trusted_until = 11.0
    assert trust.ok(9.7)
    trust.end()
    assert not trust.ok(0.0)


async def test_followers_hear_of_each_leader(stack: AsyncExitStack) -> None:
    stage = Stage(stack)
    heard: asyncio.Queue[Leader | None] = asyncio.Queue()
    following = asyncio.create_task(follow_election(stage.election, heard.put_nowait))
    try:
        async with asyncio.timeout(60):
            assert await heard.get() is None
            first = stage.replica("first")
            epoch = await first.leads()
            leader = await heard.get()
            assert leader is not None
            assert (leader.name, leader.elected, leader.address) == ("first", epoch, "127.0.0.1:1")
            await first.stop()
            assert await heard.get() is None
    finally:
        following.cancel()


async def test_a_stranger_in_the_election_has_no_address(stack: AsyncExitStack) -> None:
    stage = Stage(stack)
    heard: asyncio.Queue[Leader | None] = asyncio.Queue()
    async with await LeaseSession.open(stage.etcd, 5) as lease:
        await stage.election.campaign(lease.id, b"put there by etcdctl")
        following = asyncio.create_task(follow_election(stage.election, heard.put_nowait))
        leader = await asyncio.wait_for(heard.get(), 60)
        following.cancel()
    assert leader is not None
    assert leader.address == ""
