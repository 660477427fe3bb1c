"""A cluster around the pure core, without a loop, a store or a clock.

    c = Cluster()
    n = c.node("n1", credit=2)
    task = c.submit()
    n.succeed(task)
    assert c.state_of(task) is TaskState.SUCCEEDED

Every step is checked: the invariants, the table of transitions, and that no Txn would write a key
after its deletion. Effects are "committed" at once unless `commit_late` is set; then `commit()`
does it. Owned by one test; nothing here outlives it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from quorate.etcd.api import Delete, Put
from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId, offset_id
from scheduler.core.handlers import attempts, audit
from scheduler.core.handlers.jobs.upkeep import retain as retain_job
from scheduler.core.handlers.tasks import expiry
from scheduler.core.handlers.upkeep import retain
from scheduler.core.machine import Machine
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.model.invariants import check
from scheduler.core.model.jobs.moves import next_due
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.limits.permits import RateName
from scheduler.core.model.rows import Control, TaskRow
from scheduler.core.model.state import DEFAULT_QUEUE, State
from scheduler.core.model.transitions import TRANSITIONS
from scheduler.core.values import (
    FINISHED,
    ServiceName,
    TaskSpec,
    TaskState,
)
from scheduler.storage import records
from tests.support.core_limits import DAY as DAY
from tests.support.core_limits import LimitCalls
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_recorded import Recorded
from tests.support.core_services import ServiceCalls
from tests.support.core_specs import START, spec
from tests.support.core_starts import check_starts
from tests.support.tokens import Token


class Cluster(LimitCalls, ServiceCalls):
    """A machine, its state, and agents that were told what the machine wanted."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        state: State | None = None,
        now: float = START,
        log: Log | None = None,
        checked: bool = True,
    ) -> None:
        self.now = now
        self.log = log
        self.checked = checked
        self.limits = limits or Limits()
        self.nodes: dict[InstanceId, FakeNode] = {}
        self.replies: dict[object, list[object]] = {}
        self.finished: list[TaskId] = []
        # Services of which something changed, in order.
        self.touched: list[ServiceName] = []
        self.revoked: list[tuple[NodeName, InstanceId]] = []
        # Parts of batches that are not written yet, when `hold_parts`.
        self.parts: deque[e.BatchContinued | e.BulkContinued | e.JobContinued] = deque()
        self.hold_parts = False
        self.commit_late = False
        self.placing = True
        self._uncommitted: deque[fx.After] = deque()
        self._states: dict[TaskId, TaskState] = {}
        # The last attempt that was given away of each task: the fence of the others.
        self._numbers: dict[TaskId, tuple[int, InstanceId]] = {}
        self._count = 0
        self.recorded = Recorded()
        self.lead(state or State())

    def lead(self, state: State) -> None:
        """A new term over `state`."""
        self.state = state
        self.machine = Machine(state, self.limits)
        self.codec = records.Codec(b"", state)
        self._uncommitted.clear()
        self.parts.clear()
        self._states = self._all_states()
        self.step(e.Elected())

    # -- steps

    def step(self, event: e.Event) -> fx.Effects:
        """Step an event and what follows at once; then place, as the driver does."""
        out = self._step(event)
        if self.placing:
            self.place()
        return out

    def place(self, limit: int = 1_000) -> fx.Effects:
        chunk = self.new_id() if self.state.job_entries else None
        out = self.machine.place(self.now, limit, chunk)
        check_starts(self.state, out)
        for recalled in out.recalls:
            self._perform(recalled)
        self._absorb(out)
        self._look_after(out)
        return out

    def _step(self, event: e.Event) -> fx.Effects:
        # As the driver does, when the part's turn has come.
        if isinstance(event, e.BulkContinued) and event.asked.act.reads:
            event = self.recorded.read_back(event, self.limits)
        elif isinstance(event, e.JobContinued) and event.tasks:
            event = self.recorded.of_job(event)
        out = self.machine.step(event, self.now)
        self._absorb(out)
        for follow in out.then:
            if self.hold_parts and isinstance(
                follow, e.BatchContinued | e.BulkContinued | e.JobContinued
            ):
                self.parts.append(follow)
            else:
                self._step(follow)
        self._look_after(out)
        return out

    def _look_after(self, out: fx.Effects) -> None:
        """Look at the services that were touched, at once."""
        for service in out.due:
            self.touched.append(service)
            self._step(e.ServiceDue(service, self.new_id()))

    def _absorb(self, out: fx.Effects) -> None:
        self.recorded.note(out.writes)
        if self.checked:
            check(self.state)
            self._check_transitions()
        if self.log is not None:
            for name in out.rates or ():
                # Before the assignments, maybe in a Txn of their own.
                self.log.append(self._encoded([fx.PutRate(name, self.arrival(name))]))
            if out.writes:
                self.log.append(self._encoded(out.writes))
            purged = out.purges or out.purged_requests or out.purged_audit or out.purged_rates
            if purged or out.purged_jobs or out.purged_windows:
                # A Txn of its own, in its place among the others.
                self.log.flush()
                self.log.apply(self.codec.encode_purges(out))
        self._uncommitted.extend(out.after)
        if not self.commit_late:
            self.commit()

    def _encoded(self, writes: Sequence[fx.Write]) -> list[Put | Delete]:
        ops: list[Put | Delete] = []
        self.codec.encode(writes, ops)
        return ops

    def arrival(self, name: RateName) -> float:
        """What the state knows of a rate limit."""
        return self.state.permits.arrivals[name]

    def commit(self) -> None:
        """Everything written so far is durable: do what waited for it."""
        while self._uncommitted:
            self._perform(self._uncommitted.popleft())

    def _perform(self, effect: fx.After) -> None:
        match effect:
            case fx.Reply(token, answer):
                self.replies.setdefault(token, []).append(answer)
            case (
                fx.StartAttempt()
                | fx.EndAttempt()
                | fx.SignalAttempt()
                | fx.SuspendAttempt()
                | fx.Acknowledge()
                | fx.OrderDrain()
                | fx.OrderScaleDown()
                | fx.AcknowledgeReport()
                | fx.RecallChunk()
                | fx.EndSubtasks()
            ):
                node = self.nodes.get(effect.instance)
                if node is not None:
                    node.receive(effect)
            case fx.NotifyFinished(done):
                self.finished.append(done.id)
                retain(effect)
            case fx.NotifyJob():
                retain_job(effect)
            case fx.IndexAudit():
                audit.index(self.state, effect)
            case fx.RevokeNode(name, instance, _):
                self.revoked.append((name, instance))

    def _all_states(self) -> dict[TaskId, TaskState]:
        states = {task: row.state for task, row in self.state.tasks.items()}
        states.update((task, done.state) for task, done in self.state.finished.items())
        return states

    def _check_transitions(self) -> None:
        now = self._all_states()
        before = self._states
        for task, state in now.items():
            was = before.get(task)
            if was is not state:
                # Of a batch that is longer than its queue, the first ones go at once; so do those
                # of a graph that wait for what was cancelled meanwhile.
                dropped = was is None and (state is TaskState.FAILED or self._is_skipped(task))
                # Reopened with its job, and without its unique key it ends in the same step.
                keyless = state is TaskState.CANCELLED and self._has_member_key(task)
                ok = dropped or (was, TaskState.BLOCKED if keyless else state) in TRANSITIONS
                assert ok or (was, state) in TRANSITIONS, f"{task}: {was} -> {state}"
        for task, was in before.items():
            if task not in now:
                assert was in FINISHED, f"{task} vanished as {was}"
        self._states = now

    def _has_member_key(self, task: TaskId) -> bool:
        done = self.state.finished.get(task)
        return done is not None and done.member is not None and bool(done.member.unique)

    def _is_skipped(self, task: TaskId) -> bool:
        done = self.state.finished.get(task)
        return done is not None and done.member is not None and done.member.skipped

    def advance(self, seconds: float) -> None:
        """Let time pass; what comes due is stepped."""
        self.now += seconds
        while self._due():
            self.step(e.TimersDue())
        while expiry.expiries_due(self.state, self.now):
            self.step(e.ExpiriesDue())
        while attempts.starts_due(self.state, self.now):
            self.step(e.StartsDue())

    def _due(self) -> bool:
        state = self.state
        instants = (
            state.next_due(),
            state.permits.next_wake(),
            state.next_pause_end(),
            next_due(state),
        )
        return any(at is not None and at <= self.now for at in instants)

    # -- nodes

    def node(
        self, name: str, *, credit: int = 4, instance: str = "", **capacity: object
    ) -> FakeNode:
        """An agent: registered, in session, with credit. Another process under a known name too."""
        if not instance:
            instance = f"{name}-{len(self.nodes) + 1}"
        node = FakeNode(self, NodeName(name), InstanceId(instance))
        self.nodes[node.instance] = node
        node.register(**capacity)
        node.open()
        node.credit(credit)
        return node

    # -- calls: each returns its answer, None while there is none

    def call(self, make) -> object:
        """Step `make(token)` and return what was replied; exactly one reply may come."""
        token = self.token()
        self.step(make(token))
        return self.reply(token)

    def token(self) -> Token:
        self._count += 1
        return Token(f"call-{self._count}")

    def reply(self, token: object) -> object:
        answers = self.replies.get(token, [])
        assert len(answers) <= 1, f"{token} was answered {len(answers)} times"
        return answers[0] if answers else None

    def new_id(self) -> TaskId:
        """An id above all before; room for a batch below the next one."""
        # Above the log's greatest too, as a new leader's are: the state may be another's.
        last = int(self.state.last_id or "0", 16) >> 64
        self._count = max(self._count, last) + 1
        return TaskId(f"{(self._count << 64) + 1:032x}")

    def submit(
        self,
        what: TaskSpec | None = None,
        *,
        queue: str = DEFAULT_QUEUE,
        request: e.Request = e.Request(),  # noqa: B008 (a tuple)
        creator: str = "",
    ) -> TaskId:
        """Create a task that must not be refused; its id."""
        task = self.new_id()
        answer = self.call(
            lambda token: e.TaskSubmitted(
                QueueName(queue), task, what or spec(), request, token, creator
            )
        )
        assert not isinstance(answer, Rejection), answer
        return answer.task if answer is not None else task  # type: ignore[attr-defined]

    def batch(
        self,
        specs: Sequence[TaskSpec],
        *,
        queue: str = DEFAULT_QUEUE,
        request: e.Request = e.Request(),  # noqa: B008 (a tuple)
        creator: str = "",
    ) -> tuple[Token, TaskId]:
        """Submit a batch: the caller's token, and the first id it proposed."""
        token, first = self.token(), self.new_id()
        self.step(e.BatchSubmitted(QueueName(queue), first, specs, request, token, creator))
        return token, first

    def pause(self, queue: str = DEFAULT_QUEUE, paused: bool = True) -> None:
        self.call(lambda token: e.QueuePauseAsked(QueueName(queue), paused, e.Request(), token))

    def cancel(self, task: TaskId, request: e.Request = e.Request()) -> object:  # noqa: B008
        return self.call(lambda token: e.TaskCancelAsked(task, request, token))

    def retry(self, task: TaskId, what: TaskSpec | None = None, created: float = START) -> object:
        return self.call(
            lambda token: e.TaskRetryAsked(
                task, e.TaskRecorded(what or spec(), created), e.Request(), token
            )
        )

    def delete(self, task: TaskId) -> object:
        return self.call(lambda token: e.TaskDeleteAsked(task, e.Request(), token))

    def control(self, node: str, control: Control) -> object:
        return self.call(
            lambda token: e.NodeControlAsked(NodeName(node), control, e.Request(), token)
        )

    def retain(self, limit: int = 1_000) -> fx.Effects:
        """Let retention look."""
        return self.step(e.RetentionDue(limit))

    # -- looking

    def row(self, task: TaskId) -> TaskRow:
        return self.state.tasks[task]

    def state_of(self, task: TaskId) -> TaskState | None:
        """None when the task is not on record."""
        row = self.state.tasks.get(task) or self.state.finished.get(task)
        return row.state if row is not None else None

    def place_of(self, task: TaskId) -> str:
        """The node that has it, or ""."""
        row = self.state.tasks.get(task)
        return row.node if row is not None else ""


def ids(first: TaskId, count: int) -> list[TaskId]:
    """The ids of a batch."""
    return [offset_id(first, place) for place in range(count)]
