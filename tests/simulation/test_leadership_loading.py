"""Elections among replicas that load for seconds, die, fail, fall back and cannot reach etcd.

Seeded histories on a clock that jumps. After every 20 ms of it is checked: at most one replica is
trusted to lead; none that loads is first in line; and nobody waits for one that loads while another
is loaded and stands. When the faults end, one leads and all others stand by, loaded.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from quorate.etcd.api import EtcdUnavailable
from quorate.etcd.election import Election
from quorate.etcd.journal.fence import Deposed
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1.records_pb2 import CandidateRecord
from scheduler.leadership.elector import ElectionState, Leadership
from scheduler.leadership.trust import Trust
from scheduler.storage.replica.loaded import Loaded
from tests.support.jumping_loop import JumpingLoop

PREFIX = b"/quorate/simulated/election/scheduler"
TICK = 0.02
TTL = 2
# Seconds of simulated time with faults, and the most that is allowed until all is well again.
FAULTS_FOR, WELL_AFTER = 60.0, 40.0
LONGEST_LOAD = 6.0
# Seconds without a leader while somebody could lead; the pause of one that fails is part of it.
MOST_IDLE = 0.3


class Way:
    """A process's way to etcd, which may be cut."""

    def __init__(self, etcd: MemoryEtcd) -> None:
        self._etcd = etcd
        self.cut = False

    def __getattr__(self, name: str) -> Any:
        if self.cut:
            raise EtcdUnavailable("the way is cut")
        return getattr(self._etcd, name)


class Process:
    """One replica: loads, stands, leads; what it does while it leads is scripted."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.way = Way(world.etcd)
        self.loaded = Loaded()
        self.trust: Trust | None = None
        """While it serves."""
        self.orders: asyncio.Queue[Exception] = asyncio.Queue()
        self.leadership = Leadership(
            self.way,
            Election(self.way, PREFIX),
            CandidateRecord(name=name),
            self._lead,
            clock=world.loop,
            ttl=TTL,
            jitter=world.random.random,
            loaded=self.loaded,
        )
        self._loading: asyncio.Task[None] | None = None
        self.load()
        self._running = asyncio.create_task(self.leadership.run())

    def load(self) -> None:
        """From the beginning, as after a compaction or a term."""
        self.loaded.set(False)
        if self._loading is not None:
            self._loading.cancel()
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        await asyncio.sleep(self.world.random.uniform(0.05, LONGEST_LOAD))
        while self.way.cut:
            await asyncio.sleep(TICK)
        self.loaded.set(True)

    async def _lead(self, epoch: int, key: bytes, trust: Trust) -> None:
        # As `LeadershipTerm`: it takes over what is folded, and waits until it is.
        await self.loaded.wait()
        self.trust = trust
        try:
            raise await self.orders.get()
        finally:
            self.trust = None
            self.load()

    @property
    def serves(self) -> bool:
        """Whether it may speak as the leader now."""
        return self.trust is not None and self.trust.ok(self.world.loop.time())

    async def die(self) -> None:
        """As by SIGKILL: nothing is revoked."""
        self.way.cut = True
        tasks = [task for task in (self._loading, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self.trust = None

    async def leave(self) -> None:
        """As by SIGTERM."""
        tasks = [task for task in (self._loading, self._running) if task is not None]
        self._running.cancel()
        await asyncio.wait({self._running})
        if self._loading is not None:
            self._loading.cancel()
        await asyncio.wait(tasks)


class World:
    """Three replicas and what happens to them, by one seed."""

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        self.random = random.Random(seed)
        self.loop = loop
        self.etcd = MemoryEtcd(loop)
        self.election = Election(self.etcd, PREFIX)
        self.living: dict[str, Process] = {}
        self.happened: list[str] = []
        self.changes = 0
        self._started = 0
        self._last = ""
        self._idle = self._wrong = 0.0
        # Some fault between a process and etcd: who leads is then for the TTL to say.
        self._cut_until = 0.0

    def start(self) -> None:
        """One more process, under a name of its own: the key of one that died has another."""
        self._started += 1
        name = f"s{self._started}"
        self.living[name] = Process(self, name)

    async def tick(self) -> None:
        await asyncio.sleep(TICK)
        self.etcd.tick()
        standing = await self.election.candidates()
        self._check([CandidateRecord.FromString(kv.value).name for kv in standing])

    def _check(self, line: list[str]) -> None:
        serving = [one.name for one in self.living.values() if one.serves]
        assert len(serving) <= 1, serving
        if serving and serving[0] != self._last:
            self._last = serving[0]
            self.changes += 1
        reachable = self.loop.time() >= self._cut_until
        first = self.living.get(line[0]) if line else None
        wrong = first is not None and not first.loaded.is_set() and reachable
        self._wrong = self._wrong + TICK if wrong else 0.0
        assert self._wrong < 3 * TICK, f"{line[0]} loads, and is first in line"
        ready = [
            one
            for one in self.living.values()
            if one.loaded.is_set() and one.leadership.election_state is ElectionState.STANDBY
        ]
        # A dead leader's key is for its TTL, or a watcher, to end.
        idle = not serving and ready and reachable and all(name in self.living for name in line)
        self._idle = self._idle + TICK if idle else 0.0
        assert self._idle <= MOST_IDLE, f"nobody leads, although {ready[0].name} could"

    async def befall(self) -> None:
        """One thing, drawn."""
        one = self.random.choice(list(self.living.values()))
        kind = self.random.choice(("kill", "stop", "depose", "fall back", "fall back", "cut"))
        self.happened.append(f"{self.loop.time():.2f} {kind} {one.name}")
        if kind in ("kill", "stop"):
            del self.living[one.name]
            await (one.die() if kind == "kill" else one.leave())
            if kind == "kill" and self.random.random() < 0.7:
                await self._revoke(one.name)
            self.start()
        elif kind == "depose":
            if one.trust is not None:
                one.orders.put_nowait(Deposed("a compare failed"))
        elif kind == "fall back":
            if one.trust is None and one.leadership.election_state is not ElectionState.LEADING:
                one.load()
        else:
            seconds = self.random.uniform(0.1, 1.5 * TTL)
            one.way.cut = True
            self._cut_until = max(self._cut_until, self.loop.time() + seconds + 2 * TTL)
            self.loop.call_later(seconds, setattr, one.way, "cut", False)

    async def _revoke(self, name: str) -> None:
        """A watcher saw the process die (`scheduler.leadership.failure_detector`)."""
        for kv in await self.election.candidates():
            if CandidateRecord.FromString(kv.value).name == name:
                await self.etcd.lease_revoke(kv.lease)


async def play(seed: int, loop: JumpingLoop) -> int:
    """One history; how often the leader changed."""
    world = World(seed, loop)
    for _ in range(3):
        world.start()
    try:
        while loop.time() < FAULTS_FOR:
            for _ in range(world.random.randint(1, 200)):
                await world.tick()
            await world.befall()
        end = loop.time() + WELL_AFTER
        while loop.time() < end:
            await world.tick()
        election_states = sorted(
            one.leadership.election_state.value for one in world.living.values()
        )
        assert election_states == ["leading", "standby", "standby"]
        assert all(one.loaded.is_set() for one in world.living.values())
    except AssertionError as error:
        error.add_note(f"seed {seed}: {'; '.join(world.happened)}")
        raise
    finally:
        for one in world.living.values():
            await one.die()
    return world.changes


@pytest.mark.parametrize("block", range(4))
def test_whoever_is_loaded_leads_first(block: int) -> None:
    changes = 0
    for seed in range(12 * block, 12 * block + 12):
        loop = JumpingLoop()
        try:
            changes += loop.run_until_complete(play(seed, loop))
        finally:
            loop.close()
    # Histories in which nothing happens would show nothing.
    assert changes > 40
