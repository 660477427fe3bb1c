"""Simulated scheduler processes: the real replica, fold, journal, machine and driver.

Only who is elected is for the `World` to say; `Scheduler.lead` then takes over as
`scheduler.leadership.term` does: caught up, claimed, caught up with the claim, held.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, NamedTuple

from quorate.etcd.api import EtcdError
from quorate.etcd.journal.journal import Journal, JournalEnded
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId, TaskIds
from quorate.runtime.timing.clock import TermClock
from scheduler.core.machine import Machine
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.invariants import check
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.rows import Reservation
from scheduler.core.model.state import State
from scheduler.engine.background import note_starts
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver
from scheduler.leadership.registrations import follow_registrations
from scheduler.storage import records
from scheduler.storage.instances import follow_instances
from scheduler.storage.read_back import ReadBack
from scheduler.storage.reads import FencedReads
from scheduler.storage.replica.fold import Fold
from scheduler.storage.replica.replica import Replica
from scheduler.storage.result_merger import ResultMerger
from scheduler.storage.result_pages import ResultPages
from tests.simulation.network import PREFIX, Way
from tests.simulation.sessions import Sessions

if TYPE_CHECKING:
    from tests.simulation.world import World

# Of one history, ten times as many as in most.
_MOST_STEPS = 20_000
# A standby's state is checked after each so many revisions.
_CHECKED_EVERY = 20


class LeaderClock:
    """A process's clock, which may be ahead of the others'."""

    def __init__(self, world: World, ahead: float) -> None:
        self._world, self._ahead = world, ahead

    def wall(self) -> float:
        return self._world.wall() + self._ahead

    def monotonic(self) -> float:
        return self._world.loop.time()


class SeededIds(TaskIds):
    """Ids whose random part comes from the world's seed."""

    def __init__(self, world: World, floor: TaskId | None) -> None:
        super().__init__(floor)
        self._world = world

    def next(self, now: float) -> TaskId:
        number = int(super().next(now), 16) >> 61 << 61
        return TaskId(f"{number + self._world.rng.getrandbits(60):032x}")


class Term(NamedTuple):
    """What a leader has."""

    driver: Driver
    ids: TaskIds
    # In worlds with messages.
    broker: BrokerDriver | None = None


class CheckedMachine(Machine):
    """Checks the invariants after every step."""

    def __init__(self, world: World, state: State, limits: Limits) -> None:
        super().__init__(state, limits)
        self._world = world

    def step(self, event: e.Event, now: float) -> fx.Effects:
        if isinstance(event, e.AttemptLost):
            assert not self._world.process(event.instance).reachable, f"{event} although it lives"
        out = super().step(event, now)
        self._world.steps += 1
        assert self._world.steps < _MOST_STEPS, f"it never comes to rest: {event}"
        check(self.state)
        return out

    def place(self, now: float, limit: int, first_chunk: TaskId | None = None) -> fx.Effects:
        out = super().place(now, limit, first_chunk)
        if out.writes:
            check(self.state)
            if self.state.reservation is not None:
                self._world.reserved += 1
                check_reserved(self.state.reservation, self.state, out)
        return out


def check_reserved(held: Reservation, state: State, out: fx.Effects) -> None:
    """What started in a pass leaves the room on a node that is kept for a task."""
    node, large = state.nodes[held.node], held.row
    started = [
        put.row
        for put in out.writes
        if isinstance(put, fx.PutRun | fx.PutChunk) and put.row.instance == held.instance
    ]
    for row in started:
        if (row.queue, row.tenant) == (large.queue, large.tenant) and row.priority > large.priority:
            # It goes before that task.
            return
    taken = node.allocation
    for row in started:
        if row.needs.cpu and large.needs.cpu:
            left = node.cpu - taken.cpu
            assert left >= large.needs.cpu - 1e-6, f"{row.id} takes the room of {large.id}: {left}"
        wanted = dict(large.needs.counters)
        for name, _ in row.needs.counters:
            left = node.counters.get(name, 0) - taken.counters.get(name, 0)
            assert left >= wanted.get(name, 0), f"{row.id} takes {name} of {large.id}: {left}"


class CheckedFold(Fold):
    """Checks the invariants of a standby's state, now and then."""

    def at(self, revision: int) -> None:
        super().at(revision)
        # A mark stays until the leader has seen what became of its process.
        if revision % _CHECKED_EVERY == 0 and not self.state.scaling_down:
            check(self.state)


class Scheduler:
    """One scheduler process."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.way = world.way_type(world)
        self.term: Term | None = None
        """While it leads, or believes so."""
        self.leading: asyncio.Task[None] | None = None
        self._stand_by()

    def _stand_by(self) -> None:
        self.fold: Fold = self.world.fold_type()
        self.replica = Replica(Way(self.world, breaks=0.2), PREFIX, self.fold)
        self._folding = self.world.spawn(self.replica.run())

    def elected(self, key: bytes, epoch: int) -> None:
        """Begin to lead."""
        self.leading = self.world.spawn(self._lead(key, epoch))

    async def die(self) -> None:
        """As by SIGKILL: what is on its way to etcd may arrive."""
        self.way.cut = True
        for task in (self._folding, self.leading):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def _lead(self, key: bytes, epoch: int) -> None:
        try:
            await self._serve(key, epoch)
        except (JournalEnded, EtcdError, TimeoutError):
            pass
        finally:
            self._folding.cancel()
            self.term = None
        self._stand_by()
        self.leading = None

    async def _serve(self, key: bytes, epoch: int) -> None:
        world = self.world
        _, head, _ = await Journal.read_head(self.way, PREFIX)
        await self.replica.caught_up(max(head, epoch), timeout=30.0)
        clock = LeaderClock(world, world.rng.choice(world.clocks_ahead))
        journal = world.journal_type(
            self.way,
            prefix=PREFIX,
            leader_key=key,
            elected=epoch,
            clock=clock,
            stall_after=4.0,
            max_txn_ops=world.txn_ops,
        )
        claimed = await journal.claim(expected_head_mod=head)
        await self.replica.caught_up(claimed, timeout=30.0)
        async with self.replica.held() as revision:
            self._folding.cancel()
        if revision < claimed:
            raise JournalEnded("the replica fell back")
        state, marks = self.fold.state, self.fold.state.scaling_down.values()
        pages = ResultPages(self.way, PREFIX)
        sessions = Sessions(world, epoch, frozenset(mark.instance for mark in marks), pages)
        ids = SeededIds(world, state.last_id or None)
        stored = FencedReads(self.way, PREFIX, key, epoch, world.txn_ops)
        driver = world.driver_type(
            world.machine_type(world, state, world.limits),
            records.Codec(PREFIX, state),
            journal,
            TermClock(clock),
            lambda: True,
            world.txn_ops,
            ids,
            latest=self.fold.latest,
            agents=sessions,
            read_back=ReadBack(state, stored, world.limits),
        )
        sessions.driver = driver
        driver.handle((e.Elected(),))
        broker = world.lead_messages(self, driver)
        self.term = Term(driver, ids, broker)
        more = world.more_duties(driver, ids, clock)
        if broker is not None:
            more.append(_serve_messages(broker))
        more.append(ResultMerger(driver, stored, PREFIX).run())
        await self._work(driver, sessions, revision, more)

    async def _work(
        self, driver: Driver, sessions: Sessions, revision: int, more: list[Awaitable[object]]
    ) -> None:
        """A leader's duties, until one of them fails."""
        duties: list[Awaitable[object]] = [
            *more,
            driver.journal.run(),
            driver.bulk.run(),
            driver.look_after_services(),
            note_starts(driver),
            sessions.run(),
            follow_registrations(self.way, PREFIX, driver, sessions, revision),
            follow_instances(driver, self.way, PREFIX, revision),
            self._keep_house(driver),
            self._prove_leadership(driver),
        ]
        tasks = [asyncio.ensure_future(duty) for duty in duties]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sessions.close()
            driver.close()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [error for error in ended if isinstance(error, Exception)]
        # What broke a promise is worth more than what it ended.
        errors.sort(key=lambda error: isinstance(error, JournalEnded | EtcdError))
        if errors:
            raise errors[0]

    async def _keep_house(self, driver: Driver) -> None:
        rng = self.world.rng
        while True:
            await asyncio.sleep(rng.uniform(0.2, 3.0))
            # Two leaders in a row that are ahead of time, and to whom no node tells its time, let
            # answers expire early: see `scheduler.engine.clocks`. Here, that may not be so.
            if driver.clocks.offset is not None:
                driver.purge(rng.choice([5, 1_000]))

    async def _prove_leadership(self, driver: Driver) -> None:
        """Instead of a lease: a leader that was deposed learns of it within a second or so."""
        while True:
            await asyncio.sleep(1.0)
            try:
                await driver.barrier()
            except QuorateError:
                pass


async def _serve_messages(broker: BrokerDriver) -> None:
    try:
        await broker.run()
    finally:
        broker.close()
