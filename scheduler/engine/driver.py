"""One leader's term: events in, writes to the journal, effects after the commit.

```
 service, sessions, timers --handle(events)--> Machine.step --> Codec --> Journal.append
                                                    |                        |
                                   Machine.place <--+                        v  committed
                                                        replies, assignments, acknowledgements
```

The driver owns the machine, its state and the journal for one epoch. `handle` is synchronous: an
event is stepped, encoded and appended before anything else runs, so the order of events is the
order of the log. When the term ends, everybody who waits gets UNAVAILABLE with the outcome
unknown, and the state is dropped.

Bounds: `WriteAdmission` holds back callers and agents; a step is bounded by the core; one
`handle` places at most `PLACED_AT_ONCE` attempts before it lets others have the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import structlog

from quorate.etcd.api import Delete, Put
from quorate.etcd.generation import FIRST_GENERATION, scoped
from quorate.etcd.journal.journal import Journal, JournalEnded, JournalError
from quorate.runtime.errors import leader_lost
from quorate.runtime.ids import TaskIds
from quorate.runtime.timing.clock import TermClock
from scheduler.core.handlers.tasks import expiry
from scheduler.core.machine import Machine
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.effects.ended import Ended
from scheduler.core.model.jobs.moves import next_due
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.state import State
from scheduler.core.queues.turns import Contention
from scheduler.core.values import ServiceName
from scheduler.engine.after_commit import AfterCommit
from scheduler.engine.clocks import Clocks
from scheduler.engine.due_services import DueServices
from scheduler.engine.due_timer import DueTimer
from scheduler.engine.long_work.bulk import Bulk, ReadBack
from scheduler.engine.ports import Agents, Encoder
from scheduler.engine.task_metrics import TaskMetrics
from scheduler.engine.waiters.jobs import JobWaiters
from scheduler.engine.waiters.tasks import TaskWaiters
from scheduler.engine.write_admission import WriteAdmission
from scheduler.engine.write_group import Beside, WriteGroup

log = structlog.get_logger(__name__)

PLACED_AT_ONCE = 1_024


class Driver:
    """Drives one machine through one epoch.

    Args:
        machine: with the state as folded; `Elected` is the first event.
        codec: encodes the machine's writes.
        journal: claimed; `run` is awaited by the caller.
        clock: instants of this term.
        trusted: whether the lease still lets this process dispatch and answer.
        max_txn_ops: operations one Txn may hold.
        ids: of the tasks that the machine makes by itself; the same as for those of callers.
        generation: of the cluster; `revision` is scoped by it.
        latest: the log's last instant: see `scheduler.engine.clocks`.
        agents: the sessions with the nodes.
        metrics: counts what becomes of tasks.
        confirm: a fenced read of etcd: it raises QuorateError when this process does not lead.
        read_back: reads what is on record of the tasks of a part.
    """

    def __init__(
        self,
        machine: Machine,
        codec: Encoder,
        journal: Journal,
        clock: TermClock,
        trusted: Callable[[], bool],
        max_txn_ops: int,
        ids: TaskIds | None = None,
        generation: int = FIRST_GENERATION,
        latest: float = 0.0,
        *,
        agents: Agents,
        metrics: TaskMetrics | None = None,
        confirm: Callable[[], Awaitable[int]] | None = None,
        read_back: ReadBack | None = None,
    ) -> None:
        self.machine = machine
        self.journal = journal
        self.clock = clock
        self.clocks = Clocks(clock, latest)
        self.max_txn_ops = max_txn_ops
        self.admission = WriteAdmission(journal, lambda: not self._closed and trusted(), confirm)
        self.metrics = metrics or TaskMetrics()
        self.waiters = TaskWaiters(machine.state, codec.run_record)
        """Callers that wait for tasks to be assigned, or to finish."""
        self.job_waiters = JobWaiters()
        """Callers that wait for jobs to finish."""
        self._after_commit = AfterCommit(machine.state, agents, self.waiters, self.job_waiters)
        self._step_observers: list[Callable[[], None]] = []
        self.revision = 0
        """The last Txn's that is known to be committed, scoped: the state has all up to it."""
        self._generation = generation
        self._ids = ids or TaskIds(machine.state.last_id or None)
        self._due = DueServices()
        self._trusted = trusted
        self._group = WriteGroup(
            journal, codec, max_txn_ops, self._committed, self._after_commit.failed
        )
        self.contention = Contention()
        self.bulk = Bulk(journal, lambda part: self.handle((part,)), self.contention, read_back)
        self._place_later = self._coming = False
        self._codec = codec
        self._announce: Callable[[Sequence[Ended], float], Beside | None] = lambda ended, now: None
        self._timer = DueTimer(lambda: self.handle((e.TimersDue(),)))
        self._closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def state(self) -> State:
        """The state; read it, change it only by events."""
        return self.machine.state

    def observe_steps(self, observer: Callable[[], None]) -> None:
        """Call `observer` after each step: something may have changed. It must not raise."""
        self._step_observers.append(observer)

    def announce_ends(
        self,
        announce: Callable[[Sequence[Ended], float], Beside | None],
        few: Callable[[], Awaitable[None]],
    ) -> None:
        """Have messages written beside the ends of tasks and jobs whose queues announce them.

        Args:
            few: waits while many of them are not written yet: calls about many tasks wait so long.
        """
        self._announce = announce
        self.bulk.wait_for(few)

    def observe_services(self, observer: Callable[[ServiceName], None]) -> None:
        """Call `observer` with each service of which something changed, before that is committed.

        It must not raise.
        """
        self._due.observe(observer)

    # -- events

    def handle(self, events: Iterable[e.Event]) -> None:
        """Step events in order, place what can be placed, and hand the writes to the journal."""
        now = self.clock.now()
        step = self.machine.step
        try:
            for event in events:
                self._absorb(step(event, now), now)
            if not self.state.deadlines.waiting or self._expire(now):
                self._place(now)
            self._group.flush()
            if self.state.illegal_moves:
                self._report_illegal_moves()
        except Exception as error:
            # Our bug, and memory is ahead of the log now: nobody may see it or build on it.
            self.journal.abandon(JournalError(f"an event could not be handled: {error!r}"))
            raise
        self._arm_timer(now)
        for observer in self._step_observers:
            observer()

    async def call(
        self,
        make: Callable[[Pending[object]], e.Event],
        weight: int = 0,
        caller: str = "",
        request: e.Request | None = None,
        scope: str = "",
    ) -> object:
        """Step an event for a caller and wait for its answer.

        Args:
            make: makes the event, given the token its Reply will carry.
            weight: bytes of what it asks to be kept; 0 for little.
            caller: who takes turns with others where much is to be written.
            request: the one that the event has, so that its repeat is known again.
            scope: of its request id, where that is a queue.

        Raises:
            QuorateError: UNAVAILABLE when the term ended first: the outcome is unknown.
                RESOURCE_EXHAUSTED: nothing was done.
        """
        admission = self.admission
        if request is not None and self.journal.no_space:
            admission.refuse_known(self.state, request, scope)
        with admission.asked(weight):
            await admission.admit(weight)
            contended = await self.bulk.turn(caller, weight, partial(admission.turn, weight=weight))
            token: asyncio.Future[object] = self._loop.create_future()
            # Made only now: what it is made of may have changed while it waited.
            event = make(token)
            if contended and isinstance(event, e.BatchSubmitted | e.BulkAsked):
                event = event._replace(small=True)
            self.handle((event,))
            return await admission.answer(token)

    async def room(self) -> None:
        """Wait until another event may be stepped: `WriteAdmission.room`."""
        await self.admission.room()

    async def barrier(self) -> int:
        """Wait until all that was stepped so far is committed, behind a fenced Txn; its revision.

        Raises:
            QuorateError: UNAVAILABLE: this process does not lead any longer. RESOURCE_EXHAUSTED:
                too much waits, or etcd has no space.
        """
        return await self.admission.barrier(self._append_barrier)

    async def readable(self) -> None:
        """Wait until a caller may see what memory says: `WriteAdmission.readable`."""
        await self.admission.readable(self.barrier)

    def _append_barrier(self, token: asyncio.Future[int]) -> None:
        def passed(revision: int) -> None:
            try:
                self._committed((), revision)
            except JournalEnded as error:
                failed(error)
                raise
            if not token.done():
                token.set_result(revision)

        def failed(error: Exception) -> None:
            if not token.done():
                token.set_exception(leader_lost())

        self.journal.append((), passed, failed)

    async def look_after_services(self) -> None:
        """Look at services of which something changed, one at a time, as the journal has room."""
        while True:
            await self._due.some()
            await self.journal.wait_room()
            self.handle((e.ServiceDue(self._due.take(), self._ids.next(self.clock.now())),))
            await asyncio.sleep(0)

    def purge(self, limit: int) -> int:
        """Delete up to `limit` tasks that retention lets go; how many deletions were appended."""
        now = self.clock.now()
        out = self.machine.step(e.RetentionDue(limit, self.clocks.expiry()), now)
        return self._group.purge(out)

    # -- from step to journal

    def _report_illegal_moves(self) -> None:
        """Our bug: a task went from one state to another in a way that the table does not have."""
        for task, before, after in self.state.illegal_moves:
            log.error("transition_not_allowed", task=task, before=before.name, after=after.name)
        self.state.illegal_moves.clear()

    def _absorb(self, out: fx.Effects, now: float) -> None:
        beside = None if out.announced is None else self._announce(out.announced, now)
        if out.writes or beside is not None:
            self._group.add(out.writes, beside)
            self.metrics.wrote(out.writes, now)
            self.waiters.stepped(out.writes)
        if out.after:
            self._group.after += out.after
        if out.due:
            self._due.note(out.due)
        for event in out.then:
            if isinstance(event, e.BatchContinued | e.BulkContinued | e.JobContinued):
                self.bulk.add(event)
            else:
                self._absorb(self.machine.step(event, now), now)
        if beside is not None and beside.made is not None:
            self._group.after += beside.made.after
            self.follow_beside(beside.made, now)

    # -- tasks that messages become: in Txns of the broker

    def encode_beside(self, out: fx.Effects, now: float) -> list[Put | Delete]:
        """What a step of the broker writes of tasks. No event is being handled; the caller appends
        it before any other is."""
        self.metrics.wrote(out.writes, now)
        self.waiters.stepped(out.writes)
        ops: list[Put | Delete] = []
        self._codec.encode(out.writes, ops)
        return ops

    def follow_beside(self, out: fx.Effects, now: float) -> None:
        """It is appended: what follows of it is stepped, and tasks are placed soon."""
        following = fx.Effects()
        following.then, following.due, following.announced = out.then, out.due, out.announced
        self._absorb(following, now)
        # Messages have their numbers: nothing of the broker may be appended before.
        self._group.flush()
        if not self._coming:
            self._coming = True
            self._soon()

    def done_beside(self, after: Sequence[fx.After], revision: int) -> None:
        """It is committed."""
        self.revision = scoped(self._generation, revision)
        self._after_commit.do(after)

    def _expire(self, now: float) -> bool:
        """Let tasks expire whose deadlines have passed; whether none is left, so that none of them
        is placed."""
        if expiry.expiries_due(self.state, now) and self.journal.room:
            self._absorb(self.machine.step(e.ExpiriesDue(), now), now)
        if not expiry.expiries_due(self.state, now):
            return True
        if self.journal.room:
            self._soon()
        else:
            self._place_later = True
        return False

    def _place(self, now: float) -> None:
        if not self.journal.room or self.journal.no_space:
            # The next commit makes room and places.
            self._place_later = True
            return
        chunk = self._ids.next(now) if self.state.job_entries else None
        out = self.machine.place(now, PLACED_AT_ONCE, chunk)
        if out.due:
            self._due.note(out.due)
        if out.more:
            self._soon()
        if out.recalls:
            self._group.after += out.recalls
        if not out.writes:
            return
        self.metrics.placed(out.after, now)
        arrivals = self.state.permits.arrivals
        rates = [fx.PutRate(name, arrivals[name]) for name in out.rates or ()]
        self._group.add_assignments(rates, out.writes, out.after)
        if len(out.writes) >= PLACED_AT_ONCE and not out.more:
            self._soon()

    def _soon(self) -> None:
        self._loop.call_soon(self._place_again)

    def _place_again(self) -> None:
        self._place_later = self._coming = False
        self.handle(())

    def _arm_timer(self, now: float) -> None:
        """Wake when the next SCHEDULED task or subtask is due, a PENDING task expires, or a rate
        limit lets something through."""
        state = self.state
        wakes = (
            state.next_due(),
            state.deadlines.next(),
            state.permits.next_wake(),
            state.next_pause_end(),
            next_due(state) if state.job_timers else None,
        )
        self._timer.arm(min((wake for wake in wakes if wake is not None), default=None), now)

    # -- after the commit

    def _committed(self, after: Sequence[fx.After], revision: int) -> None:
        if not self._trusted():
            # The journal waits for the trust window before it comes here. What is dropped all the
            # same was committed: only another term, with new sessions and their inventories,
            # makes it good. So the term must not go on.
            self._after_commit.failed(after, leader_lost())
            raise JournalEnded("the trust window passed before an effect")
        self.revision = scoped(self._generation, revision)
        self._after_commit.do(after)
        if self._place_later:
            self._place_later = False
            self._soon()

    def close(self) -> None:
        """The term is over: nobody waits any longer."""
        self._closed = True
        self._timer.close()
        self.journal.abandon(JournalEnded("the term is over"))
        for token in self.bulk.callers(self.state):
            self._after_commit.failed([fx.Reply(token, None)], leader_lost())
        self.bulk.close(leader_lost)
        self.waiters.close()
        self.job_waiters.close()
