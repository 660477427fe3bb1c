"""Simulated agent processes: they register, run attempts and replicas, report, and die."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorate.etcd.api import Compare, Delete, EtcdError, LeaseNotFound, Put, Range
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.attempts.outcomes import SNOOZED
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.v1 import task_pb2
from scheduler.core.model import events as e
from scheduler.core.values import InstanceState, ServiceName
from scheduler.storage import keys
from tests.simulation.chunks import Chunks
from tests.simulation.network import PREFIX, Way
from tests.simulation.promises.starts import GPU
from tests.support.core_rules import LABELS

if TYPE_CHECKING:
    from tests.simulation.sessions import Session
    from tests.simulation.world import World

NODE_TTL = 3
_KEEPALIVE = 1.0
# As an agent: after this long nothing is late any more.
_LATEST_ARRIVAL = 30.0


@dataclass
class Attempt:
    """One that the process has."""

    number: int
    service: ServiceName | None = None
    begun: float = 0.0
    ending: bool = False
    # Its processes are stopped; and how it ends once they go on.
    suspended: bool = False
    owed: str | None = None


class Agent:
    """One agent process."""

    def __init__(
        self, world: World, name: NodeName, instance: InstanceId, slots: int, *, old: bool = False
    ) -> None:
        self.world, self.name, self.instance, self.slots = world, name, instance, slots
        # Of a version that knows less.
        self.old = old
        self.way = Way(world)
        self.alive = True
        # The highest epoch that it has heard of: messages of lower ones are refused.
        self.epoch = 0
        self.session: Session | None = None
        # Whether a scale-down may end it, as it was told last.
        self.leaving = False
        self.has: dict[TaskId, Attempt] = {}
        # Outcomes that are not acknowledged.
        self.outbox: dict[tuple[TaskId, int], e.Event] = {}
        self.chunks = Chunks(self)
        self._lease = 0
        # The states of its replicas' instances, as they are to be in etcd and as they are: None
        # while that is unknown.
        self._instances: dict[TaskId, tuple[ServiceName, int, InstanceState]] = {}
        self._written: dict[TaskId, tuple[ServiceName, int, InstanceState | None]] = {}
        # Instances whose key was deleted once.
        self._deleted: set[TaskId] = set()
        # At which revision each instance's key was seen last.
        self._revisions: dict[TaskId, int] = {}
        self._work = [world.spawn(self._keep_registered()), world.spawn(self._keep_instances())]

    def die(self) -> None:
        """As by SIGKILL: its lease ends by itself."""
        self.alive = False
        self.way.cut = True
        for task in self._work:
            task.cancel()
        self.hang_up()

    def cut_off(self) -> None:
        """Nobody hears it, and it hears nobody; it goes on with what it has."""
        self.way.cut = True
        self.hang_up()

    def reachable_again(self) -> None:
        self.way.cut = not self.alive

    @property
    def reachable(self) -> bool:
        return self.alive and not self.way.cut

    def hang_up(self) -> None:
        """Its session breaks."""
        session, self.session = self.session, None
        if session is not None:
            session.broken()

    # -- in etcd

    async def _keep_registered(self) -> None:
        while True:
            try:
                if not self._lease:
                    await self._register()
                else:
                    await self.way.lease_keepalive(self._lease)
            except LeaseNotFound:
                self._lease = 0
                continue
            except EtcdError:
                pass
            await asyncio.sleep(_KEEPALIVE if self._lease else 0.2)

    async def _register(self) -> None:
        lease = (await self.way.lease_grant(NODE_TTL)).id
        record = r.NodeRecord(
            name=self.name,
            instance=self.instance,
            address="h:1",
            slots=self.slots,
            takes_chunks=not self.old,
            takes_signals=not self.old,
            takes_reduces=not self.old,
            takes_hooks=not self.old,
            takes_messages=not self.old,
            ends_subtasks=not self.old,
            labels=LABELS.get(self.name, {}),
        )
        record.capacity.cpu = 4.0
        record.capacity.memory = 8 << 30
        record.capacity.counters[GPU] = 2
        key = PREFIX + keys.node_key(self.name)
        await self.way.put(key, record.SerializeToString(), lease=lease)
        self._lease = lease
        self._written.clear()

    async def _keep_instances(self) -> None:
        """Bring etcd to what is so, one key at a time."""
        while True:
            await asyncio.sleep(self.world.rng.uniform(0.05, 0.2))
            try:
                for task in sorted({**self._written, **self._instances}):
                    await self._write_instance(task)
            except EtcdError:
                pass

    async def _write_instance(self, task: TaskId) -> None:
        what, known, lease = self._instances.get(task), self._written.get(task), self._lease
        last = what or known
        if what == known or last is None or not lease:
            return
        service, attempt, _ = last
        key = PREFIX + keys.instance_key(service, task)
        op: Put | Delete = Delete(key)
        if what is not None:
            record = r.InstanceRecord(agent=self.instance, attempt=attempt)
            record.instance.state = int(what[2])  # type: ignore[assignment]
            op = Put(key, record.SerializeToString(), lease)
        seen = Compare(key, "mod", "=", self._revisions.get(task, 0))
        if known is None:
            # Without an answer it may be there all the same, and is to be deleted one day.
            self._written[task] = (service, attempt, None)
        answer = await self.way.txn((seen,), (op,), (Range(key),))
        if lease != self._lease:
            return
        if answer.succeeded:
            self._revisions[task] = answer.revision if what is not None else 0
            self._written.pop(task, None)
            if what is not None:
                self._written[task] = what
                self._deleted.discard(task)
            elif task not in self._deleted:
                # Its creation may arrive only now: once more, when nothing is late any longer.
                self._deleted.add(task)
                again = (service, attempt, None)
                self.world.later(_LATEST_ARRIVAL, lambda: self._written.setdefault(task, again))
            return
        there = answer.ranges[0].kvs
        if there and r.InstanceRecord.FromString(there[0].value).attempt > attempt:
            # The task was given away meanwhile.
            self._written.pop(task, None)
            self._instances.pop(task, None)
        else:
            self._revisions[task] = there[0].mod_revision if there else 0

    # -- what the leader says

    def accept(self, session: Session) -> bool:
        """A leader opens a session; one of a lower epoch is refused."""
        if not self.reachable or session.epoch < self.epoch:
            return False
        self.hang_up()
        self.epoch, self.session = session.epoch, session
        self.leaving = session.scaling_down
        return True

    def assigned(self, task: TaskId, number: int, service: ServiceName | None) -> None:
        known = self.has.get(task)
        if known is not None and known.number >= number:
            return
        if (task, number) in self.outbox:
            self.say(self.outbox[task, number])
            return
        self.has[task] = Attempt(number, service)
        if service is not None:
            self.say(self.credit())
        self.world.later(self.world.rng.expovariate(5.0), lambda: self._begins(task, number))

    def begin_chunk(self, chunk: TaskId) -> None:
        """A chunk was taken: it begins after a while, and is worked on until nothing is left."""
        self.has[chunk] = Attempt(1)
        self.world.later(self.world.rng.expovariate(5.0), lambda: self._chunk_begins(chunk))

    def _chunk_begins(self, chunk: TaskId) -> None:
        attempt = self._attempt(chunk, 1)
        if attempt is not None and self.world.rng.random() < self.world.mischief:
            self._ended(chunk, 1, "RETURN")
        elif attempt is not None:
            attempt.begun = self.world.wall()
            self.world.history.rates.began(chunk, 1)
            self.say(e.AttemptStarted(self.instance, chunk, 1, attempt.begun))
            self._chunk_works(chunk)

    def _chunk_works(self, chunk: TaskId) -> None:
        if self._attempt(chunk, 1) is None:
            return
        if self.world.rng.random() < self.world.mischief:
            # Drained, or another reason to give the rest back.
            self._ended(chunk, 1, "RETURN")
        elif self.chunks.work(chunk):
            self.world.later(self.world.rng.expovariate(20.0), lambda: self._chunk_works(chunk))
        else:
            self._ended(chunk, 1, "")

    def cancelled(self, task: TaskId, number: int) -> None:
        attempt = self._attempt(task, number)
        if attempt is None or attempt.ending:
            return
        if attempt.service is None or not attempt.begun:
            self._ended(task, number, "CANCELLED")
            return
        # It finishes its requests first.
        attempt.ending = True
        self._instances[task] = (attempt.service, number, InstanceState.DRAINING)
        how = self.world.rng.choice(["", "CANCELLED"])
        self.world.later(
            self.world.rng.expovariate(2.0), lambda: self._ended(task, number, how, asked=True)
        )

    def suspend(self, task: TaskId, number: int, *, suspended: bool) -> None:
        """Stop the processes of an attempt, or let them go on."""
        attempt = self._attempt(task, number)
        if attempt is not None:
            attempt.suspended = suspended
            if not suspended and attempt.owed is not None:
                self._ended(task, number, attempt.owed)

    @property
    def suspended(self) -> list[tuple[TaskId, int]]:
        """The attempts whose processes are stopped."""
        return [(task, one.number) for task, one in self.has.items() if one.suspended]

    def acknowledged(self, task: TaskId, number: int) -> None:
        self.outbox.pop((task, number), None)

    # -- what it does

    def _attempt(self, task: TaskId, number: int) -> Attempt | None:
        attempt = self.has.get(task)
        alive = self.alive and attempt is not None and attempt.number == number
        return attempt if alive else None

    def _begins(self, task: TaskId, number: int) -> None:
        attempt = self._attempt(task, number)
        if attempt is None:
            return
        world = self.world
        if world.rng.random() < world.mischief:
            # Drained, or its slots are taken: it never began.
            self._ended(task, number, "RETURN")
            return
        attempt.begun = world.wall()
        world.history.rates.began(task, number)
        self.say(e.AttemptStarted(self.instance, task, number, attempt.begun))
        if attempt.service is not None:
            self._instances[task] = (attempt.service, number, InstanceState.STARTING)
            world.later(world.rng.expovariate(3.0), lambda: self._healthy(task, number))
            if world.rng.random() < 5 * world.mischief:
                lived = world.rng.uniform(0.1, 10.0)
                world.later(lived, lambda: self._ended(task, number, world.rng.choice(["", "7"])))
            return
        if world.adds and world.rng.random() < world.adds:
            world.callers.members.add(self, task, number)
        outcome = world.rng.choices(list(world.outcomes), list(world.outcomes.values()))[0]
        world.later(world.rng.expovariate(2.0), lambda: self._works(task, number, outcome))

    def _works(self, task: TaskId, number: int, outcome: str) -> None:
        """An attempt is done, unless its processes are stopped."""
        attempt = self._attempt(task, number)
        if attempt is not None and attempt.suspended:
            attempt.owed = outcome
        else:
            self._ended(task, number, outcome)

    def _healthy(self, task: TaskId, number: int) -> None:
        attempt = self._attempt(task, number)
        if attempt is not None and attempt.service is not None and not attempt.ending:
            self._instances[task] = (attempt.service, number, InstanceState.HEALTHY)

    def _ended(self, task: TaskId, number: int, outcome: str, *, asked: bool = False) -> None:
        attempt = self._attempt(task, number)
        if attempt is None or (attempt.ending and not asked):
            return
        begun = self.has.pop(task).begun or self.world.wall()
        if attempt.service is not None:
            self._instances.pop(task, None)
            self.say(self.credit())
        now, who = self.world.wall(), self.instance
        if outcome == "RETURN":
            self.say(e.AttemptReturned(who, task, number))
            return
        self.world.history.ended[task, number] = outcome
        event: e.Event
        if outcome == SNOOZED:
            later = self.world.rng.choice([0.3, 2.0])
            event = e.AttemptFailed(who, task, number, begun, now, outcome, "", None, (), later)
        elif outcome:
            error = task_pb2.TaskError(type=outcome, message="it failed")
            event = e.AttemptFailed(who, task, number, begun, now, outcome, "it failed", error)
        else:
            event = e.AttemptSucceeded(who, task, number, begun, now, None)
        self.outbox[task, number] = event
        self.say(event)

    def credit(self) -> e.CreditReported:
        """How many attempts it will hold: replicas take no slots."""
        replicas = sum(1 for attempt in self.has.values() if attempt.service is not None)
        said, credit = self.world.history.starting.credits, self.slots + replicas
        said[self.instance] = max(credit, said.get(self.instance, 0))
        return e.CreditReported(self.name, self.instance, credit)

    def say(self, event: e.Event) -> None:
        """Report, while there is a session."""
        if self.session is not None:
            self.session.hear(event)
