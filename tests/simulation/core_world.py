"""A whole cluster on a virtual clock: leaders that die, agents that die, a network that misbehaves.

The machine is the real one. Around it: a journal that commits late and loses what was not
committed when the leader dies; standbys that lead from what they folded; agents that run attempts,
break sessions, die and come back; callers that repeat with the same request id until answered.
Everything is drawn from one seed. `World` owns it all; `World.settle` ends the faults and checks
the promises.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import NamedTuple

from quorate.etcd.api import Delete, Put
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, TaskId, offset_id
from scheduler.core.handlers import audit
from scheduler.core.handlers.upkeep import retain
from scheduler.core.machine import Machine
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import BatchCreated, Rejection, TaskCreated, TaskKnown
from scheduler.core.model.invariants import check
from scheduler.core.model.limits import Limits
from scheduler.core.model.state import DEFAULT_QUEUE, State
from scheduler.core.values import FINISHED, Origin, TaskSpec, TaskState
from scheduler.engine.clocks import Clocks
from scheduler.storage import audit_records
from scheduler.storage.records import Codec
from tests.support.core_log import Log
from tests.support.core_specs import START, node_row, spec

NODE_TTL = 3.0
# Until a leader gives up a suspect whose process it cannot reach.
UNREACHABLE_AFTER = 5.0
# Seconds by which leaders' clocks are ahead: most agree, one is 25 hours ahead.
_SKEWS = (0.0, 0.0, 0.0, 0.3, -2.0, 3_600.0, 90_000.0)
_CALLER = Origin("alice", "operator", "token", "", "quorate.v1.Scheduler/CancelTask")
_OUTCOMES = (e.AttemptSucceeded, e.AttemptFailed, e.AttemptReturned)


@dataclass
class Attempt:
    number: int
    begun: float = 0.0


@dataclass(eq=False)
class Agent:
    """One agent process."""

    world: World
    name: NodeName
    instance: InstanceId
    slots: int
    alive: bool = True
    # Grows with every session; messages of an earlier one are not heard.
    session: int = 0
    connected: bool = False
    has: dict[TaskId, Attempt] = field(default_factory=dict)
    # Outcomes that are not acknowledged.
    outbox: dict[tuple[TaskId, int], e.Event] = field(default_factory=dict)

    def told(self, session: int, effect: fx.After) -> None:
        """A message of the leader arrives."""
        if not self.alive or session != self.session:
            return
        match effect:
            case fx.StartAttempt(row, number, _):
                self._assigned(row.id, number)
            case fx.EndAttempt(_, task, number):
                attempt = self.has.get(task)
                if attempt is not None and attempt.number == number:
                    self._ended(task, number, "CANCELLED")
            case fx.Acknowledge(_, task, number):
                self.outbox.pop((task, number), None)

    def _assigned(self, task: TaskId, number: int) -> None:
        known = self.has.get(task)
        if known is not None and known.number >= number:
            return
        if (task, number) in self.outbox:
            self.say(self.outbox[task, number])
            return
        world = self.world
        self.has[task] = Attempt(number)
        world.ran.append((task, number, self.instance))
        world.later(world.rng.expovariate(5.0), lambda: self._begins(task, number))

    def _begins(self, task: TaskId, number: int) -> None:
        if not self._runs(task, number):
            return
        world = self.world
        self.has[task].begun = world.now
        self.say(e.AttemptStarted(self.instance, task, number, world.now))
        outcome = world.rng.choices(["", "ValueError", "Fatal", "RETURN"], [80, 12, 3, 5])[0]
        world.later(world.rng.expovariate(2.0), lambda: self._ended(task, number, outcome))

    def _runs(self, task: TaskId, number: int) -> bool:
        attempt = self.has.get(task)
        return self.alive and attempt is not None and attempt.number == number

    def _ended(self, task: TaskId, number: int, outcome: str) -> None:
        if not self._runs(task, number):
            return
        begun = self.has.pop(task).begun or self.world.now
        now, who = self.world.now, self.instance
        event: e.Event
        if outcome == "RETURN":
            self.say(e.AttemptReturned(who, task, number))
            return
        if outcome:
            event = e.AttemptFailed(who, task, number, begun, now, outcome, "", None)
        else:
            event = e.AttemptSucceeded(who, task, number, begun, now, None)
        self.outbox[task, number] = event
        self.say(event)

    def say(self, event: e.Event) -> None:
        """Send to the leader; now and then it arrives twice, or not before much later."""
        if not self.connected:
            return
        world, epoch = self.world, self.world.epoch
        world.later(world.delay(), lambda: world.heard(epoch, event))
        if world.rng.random() < world.mischief:
            world.later(world.rng.uniform(0, 8), lambda: world.heard(epoch, event))

    def open(self) -> None:
        """A session with the leader begins: the inventory, then what waits in the outbox."""
        if not self.alive or self.connected or not self.world.leading:
            return
        self.session += 1
        self.connected = True
        if self.world.rng.random() < 0.5:
            self.world.clocks.report(self.instance, self.world.now)
        listed = [(task, a.number, a.begun) for task, a in self.has.items()]
        self.world.step(e.SessionOpened(self.name, self.instance, listed, list(self.outbox)))
        self.world.step(e.CreditGiven(self.name, self.instance, self.slots))
        for event in list(self.outbox.values()):
            self.say(event)

    def break_session(self) -> None:
        """Everything under way to the agent is lost."""
        if self.connected:
            self.connected = False
            self.session += 1
            if self.world.leading:
                self.world.step(e.SessionClosed(self.name, self.instance))
            self.world.later(self.world.rng.uniform(0.05, 1.0), self.open)


@dataclass
class LeadersClock:
    """The clock of the leader of the day."""

    world: World

    def now(self) -> float:
        return self.world.leaders_now()


class Written(NamedTuple):
    """One step's writes on their way to the store."""

    ops: list[Put | Delete]
    after: list[fx.After]
    purge: bool = False
    # The attempt whose outcome it accepts.
    accepts: tuple[TaskId, int] | None = None


class World:
    """The cluster of one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = START
        self.log = Log(join=self.rng.choice([1, 5, 40]))
        self.limits = Limits(
            part_tasks=4, request_age=120.0, live_tasks=5_000, audit_entries=20, audit_age=86_400.0
        )
        self.mischief = 0.05
        self.epoch = 0
        # By how much the leader's clock is ahead.
        self.skew = 0.0
        self.leading = False
        self.steps = 0
        self.agents: dict[NodeName, Agent] = {}
        # Steps whose Txn has not committed.
        self.journal: deque[Written] = deque()
        self.parts: deque[e.BatchContinued | e.TasksCancelContinued] = deque()
        self.ran: list[tuple[TaskId, int, InstanceId]] = []
        # What callers were told, by request.
        self.answered: dict[str, list[TaskId]] = {}
        self.calls: dict[str, Callable[[], None]] = {}
        # What was committed: final records by task, and accepted outcomes.
        self.finals: dict[TaskId, list[tuple[int, int]]] = {}
        self.accepted: dict[tuple[TaskId, int], None] = {}
        self.created: dict[TaskId, None] = {}
        # The first task of each request that is remembered.
        self.promised: dict[bytes, str] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._ids = 0
        self._elect(State())
        for number in range(3):
            self.agent(NodeName(f"n{number}"))

    # -- time

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._events, (self.now + seconds, self._count, do))

    def delay(self) -> float:
        return self.rng.expovariate(50.0)

    def leaders_now(self) -> float:
        """By the clock of the leader of the day."""
        return self.now + self.skew

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, do = heappop(self._events)
            do()
        self.now = end

    # -- the leader

    def step(self, event: e.Event) -> None:
        """Step as the driver does: what follows at once, then placement."""
        if not self.leading:
            return
        now = self.leaders_now()
        self._absorb(self.machine.step(event, now), event)
        self._absorb(self.machine.place(now, 64))
        due = self.machine.state.next_due()
        if due is not None and due <= now:
            self._absorb(self.machine.step(e.TimersDue(), now))
        self.steps += 1
        if self.steps % 100 == 0:
            check(self.machine.state)

    def _absorb(self, out: fx.Effects, event: e.Event | None = None) -> None:
        ops: list[Put | Delete] = []
        self.codec.encode(out.writes, ops)
        accepts = None
        if isinstance(event, _OUTCOMES) and ops:
            accepts = (event.task, event.attempt)
        if ops or out.after:
            self.journal.append(Written(ops, out.after, accepts=accepts))
        if out.purges or out.purged_requests or out.purged_audit:
            self.journal.append(Written(list(self.codec.encode_purges(out)), [], purge=True))
        for follow in out.then:
            if isinstance(follow, e.BatchContinued | e.TasksCancelContinued):
                self.parts.append(follow)
                self.later(self.delay(), self._next_part)
            else:
                if isinstance(follow, e.AttemptLost):
                    lost = [a for a in self.agents.values() if a.instance == follow.instance]
                    assert not any(agent.alive for agent in lost), f"{follow} although it lives"
                self._absorb(self.machine.step(follow, self.leaders_now()))

    def _next_part(self) -> None:
        if self.parts:
            self.step(self.parts.popleft())

    def commit(self, most: int) -> None:
        """Up to `most` steps are durable; then what waited for them is done."""
        done: list[fx.After] = []
        for _ in range(min(most, len(self.journal))):
            done += self._store().after
        self.log.flush()
        for effect in done:
            self._perform(effect)

    def _store(self) -> Written:
        """The oldest step becomes durable."""
        written = self.journal.popleft()
        self._note(written.ops)
        if written.accepts is not None:
            assert written.accepts not in self.accepted, f"{written.accepts} was accepted twice"
            self.accepted[written.accepts] = None
        if written.purge:
            self.log.flush()
            self.log.apply(written.ops)
        else:
            self.log.append(written.ops)
        return written

    def _note(self, ops: Sequence[Put | Delete]) -> None:
        """Remember what the log says became of tasks."""
        for op in ops:
            if not isinstance(op, Put):
                continue
            kind, _, rest = op.key.partition(b"/")
            task = TaskId(rest.rpartition(b"/")[2].decode())
            if kind == b"tasks":
                assert task not in self.created, f"{task} was created twice"
                self.created[task] = None
            elif kind == b"runs":
                record = r.RunRecord.FromString(op.value)
                if TaskState(record.state) in FINISHED:
                    self.finals.setdefault(task, []).append((record.state, record.attempt))
                    # A task that was never started, or never given to a node, has no such instant.
                    times = (record.assign_time, record.start_time, record.finish_time)
                    given = [instant for instant in times if instant]
                    assert given == sorted(given), record
            elif kind == b"dedup":
                first = r.DedupRecord.FromString(op.value).first_id
                known = self.promised.setdefault(op.key, first)
                assert known == first, f"{op.key!r} made {known}, and then {first}"

    def _perform(self, effect: fx.After) -> None:
        match effect:
            case fx.Reply(token, answer):
                self._reply(str(token), answer)
            case fx.NotifyFinished():
                retain(effect)
            case fx.IndexAudit():
                audit.index(self.machine.state, effect)
            case fx.StartAttempt() | fx.EndAttempt() | fx.Acknowledge():
                for agent in self.agents.values():
                    if agent.instance == effect.instance and agent.connected:
                        self._tell(agent, effect)
            case fx.RevokeNode(name, instance, _):
                self.log.lease_ended(name, instance)

    def _tell(self, agent: Agent, effect: fx.After) -> None:
        session = agent.session
        if isinstance(effect, fx.StartAttempt):
            # What is sent is what it was: the row moves on.
            row = effect.row
            if (row.attempt, row.instance) != (effect.attempt, effect.instance):
                return
        self.later(self.delay(), lambda: agent.told(session, effect))
        if self.rng.random() < self.mischief:
            self.later(self.delay() * 5, lambda: agent.told(session, effect))

    def _elect(self, state: State, latest: float = 0.0) -> None:
        self.epoch += 1
        self.skew = self.rng.choice(_SKEWS)
        self.clocks = Clocks(LeadersClock(self), latest)  # type: ignore[arg-type]
        self.leading = True
        self.journal.clear()
        self.parts.clear()
        self.machine = Machine(state, self.limits)
        self.codec = Codec(b"", state)
        self._absorb(self.machine.step(e.Elected(), self.leaders_now()))
        for agent in self.agents.values():
            self.later(self.delay(), agent.open)
        self.later(UNREACHABLE_AFTER, self._give_up_suspects)

    def kill_leader(self) -> None:
        """What was not committed is lost; some of it may be durable without anybody knowing."""
        if not self.leading:
            return
        for _ in range(self.rng.randint(0, 3)):
            if self.journal:
                self._store()
        self.log.flush()
        self.leading = False
        for agent in self.agents.values():
            agent.break_session()
        self.later(self.rng.uniform(0.01, 2.0), self._take_over)

    def _take_over(self) -> None:
        fold = self.log.fold
        if self.rng.random() < 0.5:
            self.log.followed()
        else:
            fold = self.log.loaded()
        self._elect(fold.state, fold.latest)

    def heard(self, epoch: int, event: e.Event) -> None:
        """A report arrives; the session layer drops those of other epochs."""
        if epoch == self.epoch:
            self.step(event)

    # -- agents

    def agent(self, name: NodeName) -> None:
        """A new process under `name`."""
        self._count += 1
        agent = Agent(self, name, InstanceId(f"{name}-{self._count}"), self.rng.randint(2, 6))
        self.agents[name] = agent
        row = node_row(name, agent.instance, slots=agent.slots)
        self.log.registered(row)
        self.step(e.NodeRegistered(row))
        self.later(self.delay(), agent.open)

    def kill_agent(self) -> None:
        """A process dies; another comes under its name, within its lease's time or after it."""
        agent = self.agents[self.rng.choice(sorted(self.agents))]
        if not agent.alive:
            return
        agent.alive = agent.connected = False
        if self.leading:
            self.step(e.SessionClosed(agent.name, agent.instance))
        self.later(NODE_TTL, lambda: self._lease_ended(agent))
        self.later(self.rng.uniform(0.2, 2 * NODE_TTL), lambda: self.agent(agent.name))

    def _lease_ended(self, agent: Agent) -> None:
        self.log.lease_ended(agent.name, agent.instance)
        self.step(e.NodeLeaseEnded(agent.name, agent.instance))
        self.later(UNREACHABLE_AFTER, self._give_up_suspects)

    def _give_up_suspects(self) -> None:
        """The links find out which processes are gone."""
        if not self.leading:
            return
        for node in list(self.machine.state.nodes.values()):
            agent = self.agents[node.name]
            if node.suspect_since and not (agent.alive and agent.instance == node.instance):
                self.step(e.NodeLost(node.name, node.instance, "its process is gone"))

    def freeze_etcd(self) -> None:
        """etcd sleeps for longer than any lease lives: nothing commits, then all leases end."""
        for agent in self.agents.values():
            self.log.lease_ended(agent.name, agent.instance)
            if self.leading:
                self.step(e.NodeLeaseEnded(agent.name, agent.instance))
            if agent.alive:
                self.later(self.rng.uniform(0.05, 3.0), partial(self._again, agent))
        if self.rng.random() < 0.7:
            self.kill_leader()

    def _again(self, agent: Agent) -> None:
        """The same process registers again."""
        if agent.alive and self.agents[agent.name] is agent:
            row = node_row(agent.name, agent.instance, slots=agent.slots)
            self.log.registered(row)
            self.step(e.NodeRegistered(row))
            self.step(e.CreditGiven(agent.name, agent.instance, agent.slots))
            self.later(self.delay(), agent.open)

    # -- callers

    def submit(self) -> None:
        """A caller that repeats until it is answered."""
        what = spec(
            attempts=self.rng.choice([1, 3, 5]),
            backoff=self.rng.choice([0.1, 1.0]),
            jitter=0.2,
            fatal=("Fatal",),
            crash_limit=20,
            cpu=self.rng.choice([0.0, 0.5, 1.5]),
            priority=self.rng.choice([0, 0, 1]),
        )
        count = self.rng.choice([1, 1, 1, 2, 9, 30])
        self._count += 1
        name = f"r{self._count}"
        self._call(name, [what] * count)
        if self.rng.random() < 0.2:
            # Long after, but while it is promised to be known: its answer was lost on the way.
            late = self.rng.uniform(5.0, 0.5 * self.limits.request_age)
            self.later(late, lambda: self._call(name, [what] * count, late=True))

    def _call(self, name: str, specs: list[TaskSpec], *, late: bool = False) -> None:
        if name in self.answered and not late:
            return
        self._ids += 1
        first = TaskId(f"{(self._ids << 64) + 1:032x}")
        request = e.Request(name, b"digest")
        if len(specs) == 1:
            self.step(e.TaskSubmitted(DEFAULT_QUEUE, first, specs[0], request, name))
        else:
            self.step(e.BatchSubmitted(DEFAULT_QUEUE, first, specs, request, name))
        # Patience differs: some repeat while the first call is still under way.
        if not late:
            self.later(self.rng.choice([0.05, 1.0, 3.0]), lambda: self._call(name, specs))

    def cancel_some(self) -> None:
        """Cancel a task that was promised to somebody."""
        if self.answered:
            promised = self.answered[self.rng.choice(list(self.answered)[-20:])]
            request = e.Request(origin=_CALLER)
            self.step(e.TaskCancelAsked(self.rng.choice(promised), request, "cancel"))

    def _reply(self, token: str, answer: object) -> None:
        if token == "cancel":
            return
        assert not isinstance(answer, Rejection), answer
        match answer:
            case TaskCreated(task=task) | TaskKnown(task=task):
                made = [task]
            case BatchCreated(first, count):
                made = [offset_id(first, place) for place in range(count)]
            case _:
                raise AssertionError(answer)
        assert self.answered.setdefault(token, made) == made, f"{token} got two answers"

    # -- the whole

    def live(self, seconds: float) -> None:
        """Work and faults for a while."""
        end = self.now + seconds
        while self.now < end:
            self._one()
            self.run(self.rng.expovariate(20.0))

    def _one(self) -> None:
        what = self.rng.random()
        if what < 0.25:
            self.submit()
        elif what < 0.75:
            self.commit(self.rng.randint(1, 60))
        elif what < 0.80:
            self.cancel_some()
        elif what < 0.83:
            self.agents[self.rng.choice(sorted(self.agents))].break_session()
        elif what < 0.84:
            self.kill_agent()
        elif what < 0.846:
            self.kill_leader()
        elif what < 0.85:
            self.freeze_etcd()
        elif what < 0.87:
            self.step(e.RetentionDue(self.rng.choice([5, 1_000]), self.clocks.expiry()))
        elif what < 0.9:
            self.step(e.StartsDue())

    def settle(self) -> None:
        """Faults end; everything that was promised finishes, once."""
        self.mischief = 0.0
        for _ in range(4_000):
            self.commit(1_000)
            self.run(0.1)
            if self.leading and not self.machine.state.tasks and not self.journal:
                break
            self.skew = 0.0
            self.step(e.TimersDue())
        self.commit(10_000)
        state = self.machine.state
        assert not state.tasks, [(t, row.state, row.node) for t, row in state.tasks.items()]
        check(state)
        for request, made in self.answered.items():
            for task in made:
                assert task in self.created, f"{task} of {request} was acknowledged and lost"
                assert task in self.finals, f"{task} of {request} never ended"
        for task, finals in self.finals.items():
            assert len(finals) == 1, f"{task} ended {finals}"
        audited = [audit_records.id_of(key) for key in self.log.kept if key.startswith(b"audit/")]
        assert sorted(audited) == state.audit.below(1 << 62, 0, 1_000_000)
        given: dict[tuple[TaskId, int], InstanceId] = {}
        for task, number, instance in self.ran:
            assert given.setdefault((task, number), instance) == instance

    def forget(self) -> None:
        """Long after, retention has taken everything: nothing piles up."""
        self.now += 3 * 86_400.0
        for _ in range(5_000):
            self.step(e.RetentionDue(500))
            self.commit(1_000)
            state = self.machine.state
            if not state.finished and not state.dedup and not len(state.audit):
                break
        queue = state.queues[DEFAULT_QUEUE]
        assert not state.finished
        assert not state.dedup
        assert not state.dedup_line
        assert len(queue.retained) == 0
        assert sum(1 for _ in queue.index.oldest_first(TaskId(""))) < 300
        assert len(state.timers) < 300
        assert len(state.allocations) <= 2 * len(self.agents)
        kept = [key for key in self.log.kept if not key.startswith((b"nodes/", b"queues/"))]
        assert kept == []
