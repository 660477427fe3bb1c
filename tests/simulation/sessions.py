"""The leader's sessions with simulated agents: the driver's `Agents`, on a wire that can break.

Messages of one session arrive in order. Now and then a report arrives once more, much later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from quorate.etcd.api import EtcdError, LeaseNotFound
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.v1 import node_agent_pb2
from scheduler.agents.result_orders import ResultOrders
from scheduler.core.model import events as e
from scheduler.core.model.rows import NodeRow, TaskRow, reduced_by
from scheduler.engine.driver import Driver
from scheduler.storage.result_pages import ResultPages
from tests.simulation.agents import Agent
from tests.simulation.chunks import Reduces

if TYPE_CHECKING:
    from tests.simulation.world import World

# Seconds until a leader gives up a suspect whose process it cannot reach.
UNREACHABLE_AFTER = 5.0


class Session:
    """One session with one agent process."""

    def __init__(self, sessions: Sessions, agent: Agent, *, scaling_down: bool) -> None:
        self._sessions, self.agent = sessions, agent
        self.epoch, self.scaling_down = sessions.epoch, scaling_down
        self.open = True
        self._sent = self._heard = 0.0
        # What reduces on this process wait for.
        self.results = ResultOrders(agent.instance, self._send_results)
        self._reading: asyncio.Task[None] | None = None

    def send(self, do: Callable[[], None]) -> None:
        """A message is on its way to the agent."""
        self._sent = self._in_order(self._sent)
        self._sessions.world.at(self._sent, lambda: do() if self.open else None)

    def hear(self, event: e.Event) -> None:
        """A report is on its way to the leader."""
        world = self._sessions.world
        self._heard = self._in_order(self._heard)
        world.at(self._heard, lambda: self._sessions.step(event) if self.open else None)
        # Credit is a level, not something that happened: no stream delivers an older one.
        once = isinstance(event, e.CreditReported)
        if world.rng.random() < world.mischief and not once:
            # Not before it came: what was said ahead of it in the stream is known by then.
            world.at(self._heard + world.rng.uniform(0, 8), lambda: self._sessions.step(event))

    def want(self, request: node_agent_pb2.ReadResults) -> None:
        """A reduce waits for results."""
        world = self._sessions.world
        self._heard = self._in_order(self._heard)
        world.at(self._heard, lambda: self._wanted(request))

    def _wanted(self, request: node_agent_pb2.ReadResults) -> None:
        driver = self._sessions.driver
        if self.open and driver is not None:
            if self._reading is None:
                work = self.results.run(driver.state, self._sessions.pages)
                self._reading = self._sessions.world.spawn(work)
            self.results.want(driver.state, [request])

    def _send_results(self) -> None:
        message = node_agent_pb2.SessionRequest()
        self.results.fill(message)
        for page in message.results:
            self.send(lambda page=page: self.agent.chunks.results(page))  # type: ignore[misc]

    def end(self) -> None:
        """It is over, on either side."""
        self.open = False
        if self._reading is not None:
            self._reading.cancel()

    def _in_order(self, last: float) -> float:
        world = self._sessions.world
        return max(last + 1e-6, world.loop.time() + world.delay())

    def hang_up(self) -> None:
        """The leader ends it."""
        if self.agent.session is self:
            self.agent.session = None
        self.broken()

    def broken(self) -> None:
        """Everything under way is lost."""
        if self.open:
            self.end()
            self._sessions.closed(self)


class Sessions:
    """All sessions of one epoch."""

    def __init__(
        self, world: World, epoch: int, marked: frozenset[InstanceId], pages: ResultPages
    ) -> None:
        self.world, self.epoch, self.pages = world, epoch, pages
        self.driver: Driver | None = None
        self._over = False
        self._sessions: dict[InstanceId, Session] = {}
        # Who is to know that it may be ended, of what is committed.
        self._marked = set(marked)
        self._unreachable: dict[InstanceId, float] = {}

    def step(self, *events: e.Event) -> None:
        """Hand events to the driver, as the term lasts."""
        if not self._over:
            assert self.driver is not None
            self.driver.handle(events)

    def close(self) -> None:
        """The term is over: every connection ends."""
        self._over = True
        for session in list(self._sessions.values()):
            session.end()
            if session.agent.session is session:
                session.agent.session = None
        self._sessions.clear()

    def closed(self, session: Session) -> None:
        agent = session.agent
        self._sessions.pop(agent.instance, None)
        if self.driver is not None:
            self.driver.clocks.forget(agent.instance)
        self.step(e.SessionClosed(agent.name, agent.instance))

    def sync(self) -> None:
        """End the sessions with processes that are not registered."""
        if self.driver is None:
            return
        wanted = {node.instance: None for node in self.driver.state.nodes.values()}
        for instance in [known for known in self._sessions if known not in wanted]:
            self.world.later(0.0, self._sessions[instance].hang_up)

    # -- dialling

    async def run(self) -> None:
        """Open a session to whoever has none; give up who is gone."""
        assert self.driver is not None
        while True:
            for node in list(self.driver.state.nodes.values()):
                if node.instance not in self._sessions:
                    self._dial(node)
            wanted = {node.instance for node in self.driver.state.nodes.values()}
            self._marked &= wanted
            await asyncio.sleep(self.world.rng.uniform(0.02, 0.3))

    def _dial(self, node: NodeRow) -> None:
        agent, world = self.world.process(node.instance), self.world
        if not agent.reachable:
            since = self._unreachable.setdefault(node.instance, world.loop.time())
            # Where its machine is there, a connection to a process that is gone is refused.
            refused = not agent.alive and world.rng.random() < 0.05
            gone = refused or world.loop.time() - since > UNREACHABLE_AFTER
            if gone:
                self.step(e.NodeLost(node.name, node.instance, "its process is gone"))
            return
        if not node.address or world.rng.random() < 5 * world.mischief:
            return
        session = Session(self, agent, scaling_down=node.instance in self._marked)
        if not agent.accept(session):
            return
        self._sessions[node.instance] = session
        self._unreachable.pop(node.instance, None)
        assert self.driver is not None
        self.driver.clocks.report(agent.instance, world.wall())
        listed = [(task, a.number, a.begun) for task, a in agent.has.items()]
        self.step(
            e.SessionOpened(
                agent.name, agent.instance, listed, list(agent.outbox), agent.suspended
            ),
            agent.credit(),
        )
        for event in (*agent.chunks.reports.values(), *agent.outbox.values()):
            session.hear(event)

    def _send(self, instance: InstanceId, do: Callable[[Agent], None]) -> None:
        session = self._sessions.get(instance)
        if session is not None:
            session.send(lambda: do(session.agent))

    # -- Agents

    def start(self, instance: InstanceId, row: TaskRow, attempt: int) -> None:
        if row.chunk is not None:
            self._start_chunk(instance, row)
            return
        self.world.history.starts(instance, row.id, attempt)
        if (row.attempt, row.instance) != (attempt, instance):
            # What is sent is what it was: the row has moved on.
            return
        task, service = row.id, row.replica.service if row.replica else None
        self._send(instance, lambda agent: agent.assigned(task, attempt, service))

    def _start_chunk(self, instance: InstanceId, row: TaskRow) -> None:
        job, chunk = row.job, row.chunk
        assert job is not None
        assert chunk is not None
        if row.instance != instance:
            return
        positions = [p for first, last in chunk.ranges for p in range(first, last + 1)]
        self.world.history.chunk_starts(job.id, row.id, positions)
        reduces = None
        if job.level:
            below = reduced_by(job)
            assert job.parent is not None
            assert job.parent.spec.reduce is not None
            reduces = Reduces(below.array.count, job.parent.spec.reduce.fan_in)
        self._send(
            instance, lambda agent: agent.chunks.assigned(job.id, row.id, positions, reduces)
        )

    def acknowledge_report(
        self, instance: InstanceId, chunk: TaskId, attempt: int, number: int
    ) -> None:
        self._send(instance, lambda agent: agent.chunks.acknowledged(chunk, number))

    def recall(self, instance: InstanceId, chunk: TaskId, attempt: int) -> None:
        self._send(instance, lambda agent: agent.chunks.recalled(chunk))

    def end_subtasks(
        self, instance: InstanceId, chunk: TaskId, attempt: int, ranges: Sequence[tuple[int, int]]
    ) -> None:
        self._send(instance, lambda agent: agent.chunks.ended(chunk, ranges))

    def forget_job(self, job: TaskId) -> None:
        """Simulated agents keep no templates."""

    def end_attempt(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        self.world.history.ends(instance, task, attempt)
        self._send(instance, lambda agent: agent.cancelled(task, attempt))

    def signal(self, instance: InstanceId, task: TaskId, attempt: int, signal: int) -> None:
        """Nobody sends signals in these histories."""

    def suspend(self, instance: InstanceId, task: TaskId, attempt: int, suspended: bool) -> None:
        self._send(instance, lambda agent: agent.suspend(task, attempt, suspended=suspended))

    def acknowledge(self, instance: InstanceId, task: TaskId, attempt: int) -> None:
        self.world.history.acknowledged(instance, task, attempt)
        self._send(instance, lambda agent: agent.acknowledged(task, attempt))

    def drain(self, instance: InstanceId, draining: bool, grace: float) -> None:
        pass

    def leave(self, instance: InstanceId, scaling_down: bool) -> None:
        (self._marked.add if scaling_down else self._marked.discard)(instance)
        self._send(instance, lambda agent: setattr(agent, "leaving", scaling_down))

    def revoke(self, node: NodeName, instance: InstanceId, lease: int) -> None:
        if lease:
            self.world.spawn(self._revoke(lease))

    async def _revoke(self, lease: int) -> None:
        while True:
            try:
                await self.world.etcd.lease_revoke(lease)
            except LeaseNotFound:
                return
            except EtcdError:
                await asyncio.sleep(0.2)
            else:
                return
