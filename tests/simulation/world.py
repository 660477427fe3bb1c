"""A whole cluster on a virtual clock: leaders that die, agents that die, a network that misbehaves.

Real are the driver with its machine, the journal, the replica and the fold, and the in-memory
etcd. Simulated are who is elected, the agents, the callers and the wires between them. Everything
is drawn from one seed, and time is the event loop's, which jumps. `World.live` makes work and
faults; `World.settle` ends the faults and checks the promises; `World.forget` lets everything
expire.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

from quorate.etcd.journal.journal import Journal
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.ids import InstanceId, NodeName, TaskIds
from scheduler.core.model.limits.bounds import Limits
from scheduler.engine.broker.driver import BrokerDriver
from scheduler.engine.driver import Driver
from scheduler.leadership.schedules import ScheduleRuns
from scheduler.storage.replica.fold import Fold
from tests.simulation.agents import Agent
from tests.simulation.callers import Callers
from tests.simulation.history import History
from tests.simulation.network import PREFIX, Way
from tests.simulation.schedulers import CheckedFold, CheckedMachine, LeaderClock, Scheduler, Term
from tests.simulation.settled import (
    compare,
    left_of_services,
    nothing_piles_up,
    remembered,
    unsettled,
)
from tests.support.core_specs import START
from tests.support.jumping_loop import JumpingLoop

# Seconds by which leaders' clocks are ahead: most agree, one is 25 hours ahead.
CLOCKS_AHEAD = (0.0, 0.0, 0.0, 0.3, -2.0, 3_600.0, 90_000.0)
# The same where tasks ask to run again later: what one leader ahead of time put off comes in time,
# and what two of them had part in, one ahead by more than the other, does not.
FAR_CLOCKS = (0.0, 0.0, 0.0, 0.3, -2.0, 90_000.0)
# The same in histories whose schedules are looked at more closely.
CLOSE_CLOCKS = (0.0, 0.0, 0.0, 0.0, 0.3, -2.0, 4.0)
# The same where rates are looked at: what starts is counted by leaders' clocks.
ONE_CLOCK = (0.0,)
# Seconds until everything is done once the faults are over.
WELL_AFTER = 120.0
ACTIONS_A_SECOND = 20.0


class World:
    """The cluster of one seed."""

    driver_type: type[Driver] = Driver
    machine_type: type[CheckedMachine] = CheckedMachine
    fold_type: type[Fold] = CheckedFold
    journal_type: type[Journal] = Journal
    way_type: type[Way] = Way
    # How often a message is lost, late or repeated.
    mischief: float = 0.05
    # How often a task has labels, and rules for its node; how often a unique key, and whether with
    # windows and other conflicts.
    ruled: float = 0.0
    unique: float = 0.1
    # How often a task of a graph has a unique key.
    graph_keys: float = 0.0
    windows: bool = False
    # How often an attempt adds tasks to its job; whether what runs is suspended; how attempts end.
    adds: float = 0.0
    suspends: bool = False
    outcomes: ClassVar[dict[str, float]] = {"": 80, "ValueError": 12, "Fatal": 3, "RETURN": 5}
    # How often a new agent is of a version that knows less, until the faults are over.
    old: float = 0.0
    # Seconds after which the room of a node is kept for a task.
    reserve_after: float = 0.0
    # What happens, and how often.
    weights: ClassVar[dict[str, float]] = {
        "submit": 12,
        "cancel_some": 5,
        "change_service": 8,
        "submit_job": 3,
        "append_items": 1,
        "control_job": 2,
        "create_schedules": 2,
        "change_schedule": 1.5,
        "change_limits": 1.5,
        "pause_queue": 0.5,
        "resume_queue": 1.5,
        "pause_task": 1,
        "resume_task": 1,
        "retry_some": 2,
        "update_some": 1,
        "delete_some": 0.5,
        "control": 1,
        "mark": 1,
        "break_session": 3,
        "kill_agent": 1,
        "cut_off_agent": 1,
        "kill_leader": 0.7,
        "depose_leader": 0.7,
        "lose_etcd": 0.4,
        "compact": 1,
        "nothing": 40,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        self.rng = random.Random(seed)
        self.loop = loop
        self.etcd = MemoryEtcd(loop)
        self.etcd_away = False
        self.history = History(self.etcd)
        self.clocks_ahead = self.rng.choice([CLOCKS_AHEAD, CLOSE_CLOCKS, ONE_CLOCK, ONE_CLOCK])
        self.limits = Limits(
            part_tasks=4,
            request_age=40.0,
            live_tasks=5_000,
            audit_entries=20,
            audit_age=60.0,
            reserve_after=self.reserve_after,
        )
        self.txn_ops = self.rng.choice([16, 40, 128])
        self.steps = self.marks = self.terms = 0
        # Passes of placement while the room of a node was kept for a task.
        self.reserved = 0
        self.agents: dict[NodeName, Agent] = {}
        self.schedulers: list[Scheduler] = []
        self._processes: dict[InstanceId, Agent] = {}
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._count = 0
        # The election key of who leads, as etcd says.
        self._leader: tuple[Scheduler, bytes] | None = None
        loop.set_exception_handler(self._unhandled)
        self.callers = Callers(self)

    async def start(self) -> None:
        self.history.one_clock = self.clocks_ahead == ONE_CLOCK
        for number in range(3):
            self.schedulers.append(Scheduler(self, f"s{number}"))
            self.start_agent(NodeName(f"n{number}"))
        self.spawn(self._hold_elections())
        self.spawn(self._expire_leases())
        await self.callers.limits.create()

    # -- time, chance, tasks

    def wall(self) -> float:
        """By the clocks that are right."""
        return START + self.loop.time()

    def delay(self) -> float:
        return self.rng.expovariate(50.0)

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        self.loop.call_later(seconds, do)

    def at(self, when: float, do: Callable[[], object]) -> None:
        self.loop.call_at(when, do)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task whose failure ends the simulation."""
        task = self.loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self._fail(task.exception())

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._fail(context.get("exception") or AssertionError(context["message"]))

    def _fail(self, error: BaseException | None) -> None:
        self._failure = self._failure or error
        self._failed.set()

    async def sleep(self, seconds: float) -> None:
        """Let time pass; raises what failed meanwhile."""
        await asyncio.sleep(seconds)
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """End everything, oldest first."""
        for scheduler in self.schedulers:
            await scheduler.die()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*list(self._tasks), return_exceptions=True)

    # -- leaders

    def more_duties(
        self, driver: Driver, ids: TaskIds, clock: LeaderClock
    ) -> list[Awaitable[object]]:
        """What a leader of this world does besides."""
        return [ScheduleRuns(driver, ids, clock, lambda: None).run()]

    def lead_messages(self, scheduler: Scheduler, driver: Driver) -> BrokerDriver | None:
        """The broker of a leader, in worlds with messages."""
        return None

    def some_leader(self) -> Term | None:
        """One that leads, or believes so."""
        terms = [one.term for one in self.schedulers if one.term is not None]
        return self.rng.choice(terms) if terms else None

    @property
    def driver(self) -> Driver | None:
        """Of who leads, as etcd says, once it does."""
        term = self._leader[0].term if self._leader is not None else None
        return term.driver if term is not None else None

    async def _hold_elections(self) -> None:
        while True:
            await asyncio.sleep(self.rng.uniform(0.01, 0.3))
            if self.etcd_away:
                continue
            if self._leader is not None:
                one, key = self._leader
                if one.leading is None or one not in self.schedulers:
                    await self.etcd.delete(key)
                    self._leader = None
            free = [one for one in self.schedulers if one.leading is None]
            if self._leader is None and free:
                self.terms += 1
                key = PREFIX + b"election/scheduler/%d" % self.terms
                one = self.rng.choice(free)
                epoch = await self.etcd.put(key, b"")
                if one in self.schedulers:
                    one.elected(key, epoch)
                    self._leader = (one, key)

    async def kill_leader(self) -> None:
        """The process is gone; another one starts, and stands by."""
        if self._leader is not None:
            one, _ = self._leader
            await self.kill(one)

    async def kill(self, one: Scheduler) -> None:
        if one in self.schedulers:
            self.schedulers.remove(one)
            await one.die()
            self._count += 1
            self.schedulers.append(Scheduler(self, f"s{2 + self._count}"))

    async def depose_leader(self) -> None:
        """Its key is gone, and it does not know."""
        if self._leader is not None:
            _, key = self._leader
            self._leader = None
            await self.etcd.delete(key)

    async def lose_etcd(self) -> None:
        """etcd does not answer for a while, in which leases may end."""
        if not self.etcd_away:
            self.etcd_away = True
            self.later(self.rng.choice([0.3, 2.0, 6.0]), self._etcd_is_back)

    def _etcd_is_back(self) -> None:
        self.etcd_away = False

    async def compact(self) -> None:
        self.history.look()
        revision = (await self.etcd.status()).revision
        self.history.look()
        await self.etcd.compact(revision - self.rng.choice([0, 5, 50]))

    async def _expire_leases(self) -> None:
        while True:
            await asyncio.sleep(0.2)
            self.etcd.tick()

    # -- agents

    def process(self, instance: InstanceId) -> Agent:
        return self._processes[instance]

    def start_agent(self, name: NodeName) -> None:
        """A new process under `name`."""
        self._count += 1
        instance = InstanceId(f"{name}-{self._count}")
        old = bool(self.old) and self.rng.random() < self.old
        agent = Agent(self, name, instance, self.rng.randint(4, 8), old=old)
        self.agents[name] = self._processes[instance] = agent

    async def kill_agent(self) -> None:
        """A process dies; another comes under its name, within its lease's time or after it."""
        agent = self.agents[self.rng.choice(sorted(self.agents))]
        if agent.alive:
            agent.die()
            self.later(self.rng.uniform(0.2, 6.0), lambda: self.start_agent(agent.name))

    async def cut_off_agent(self) -> None:
        """A process hears nobody for a while, and may be given up although it goes on."""
        agent = self.agents[self.rng.choice(sorted(self.agents))]
        if agent.alive and not agent.way.cut:
            agent.cut_off()
            self.later(self.rng.uniform(1.0, 12.0), agent.reachable_again)

    def upgrade(self) -> None:
        """Each agent of an older version is replaced by one of this."""
        self.old = 0.0
        for agent in list(self.agents.values()):
            if agent.old and agent.alive:
                agent.die()
                self.start_agent(agent.name)

    async def break_session(self) -> None:
        self.agents[self.rng.choice(sorted(self.agents))].hang_up()

    # -- the whole

    async def live(self, seconds: float) -> None:
        """Work and faults for a while."""
        end = self.loop.time() + seconds
        names, weights = list(self.weights), list(self.weights.values())
        while self.loop.time() < end:
            what = self.rng.choices(names, weights)[0]
            if what != "nothing":
                act = getattr(self, what, None) or self.callers.action(what)
                done = act()
                if isinstance(done, Awaitable):
                    await done
            await self.sleep(self.rng.expovariate(ACTIONS_A_SECOND))
            self.history.look()

    async def settle(self) -> None:
        """Faults end; everything that was promised comes to be, once."""
        self.mischief, self.etcd_away = 0.0, False
        self.upgrade()
        end = self.loop.time() + WELL_AFTER
        callers = self.callers
        await callers.answered()
        await callers.schedules.end()
        callers.uncordon_all()
        callers.limits.end()
        while (why := unsettled(self)) and self.loop.time() < end:
            if self.driver is not None and not callers.under_way:
                # Also what is retried, or was made by a schedule, meanwhile.
                callers.many.end()
                callers.placing.end()
                callers.jobs.end(self.driver.state)
            await self.sleep(0.5)
        assert not why, why
        assert self.driver is not None
        callers.jobs.check(self.driver.state)
        self.history.all_kept()
        if self.clocks_ahead == ONE_CLOCK:
            self.history.rates.check()
        await compare(self)
        self.callers.delete_services()
        while (why := unsettled(self) or left_of_services(self)) and self.loop.time() < end:
            await self.sleep(0.5)
        assert not why, why

    async def forget(self) -> None:
        """Long after, retention has taken everything: nothing piles up."""
        self.loop.now += 3 * 86_400.0
        end = self.loop.time() + WELL_AFTER
        while (why := remembered(self)) and self.loop.time() < end:
            await self.sleep(1.0)
        assert not why, why
        nothing_piles_up(self)


def play(world_type: type[World], seed: int, seconds: float) -> World:
    """One history, from the beginning to the end."""
    loop = JumpingLoop()
    asyncio.set_event_loop(loop)

    async def whole() -> World:
        world = world_type(seed, loop)
        try:
            await world.start()
            await world.live(seconds)
            await world.settle()
            await world.forget()
        except Exception as error:
            error.add_note(f"seed {seed}, after {loop.time():.2f} s")
            raise
        finally:
            await world.close()
        return world

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()
        asyncio.set_event_loop(None)
