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
from scheduler.core.handlers import attempts
from scheduler.core.handlers.tasks import expiry
from scheduler.core.machine import Machine
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.jobs.moves import next_due
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.state import State
from scheduler.core.queues.turns import Contention
from scheduler.core.values import ServiceName
from scheduler.engine.after_commit import AfterCommit
from scheduler.engine.clocks import Clocks
from scheduler.engine.due_timer import DueTimer
from scheduler.engine.long_work.bulk import Bulk, ReadBack
from scheduler.engine.ports import Agents, Encoder
from scheduler.engine.task_metrics import TaskMetrics
from scheduler.engine.waiters.jobs import JobWaiters
from scheduler.engine.waiters.tasks import TaskWaiters
from scheduler.engine.write_admission import WriteAdmission

log = structlog.get_logger(__name__)

PLACED_AT_ONCE = 1_024
# Bytes of one group of writes: etcd refuses a Txn of 1.5 MiB, and one event may hold 1 MiB alone.
GROUP_BYTES = 512 << 10
# Deletions in one Txn of retention: of the longest names, callers and request ids 1.8 KB each.
PURGED_AT_ONCE = 800
# Seconds between two looks for attempts whose start is to be on record.
STARTS_EVERY = 0.25


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
        self._service_observers: list[Callable[[ServiceName], None]] = []
        self.revision = 0
        """The last Txn's that is known to be committed, scoped: the state has all up to it."""
        self._generation = generation
        self._ids = ids or TaskIds(machine.state.last_id or None)
        # Services to be looked at, in order, each once.
        self._due: dict[ServiceName, None] = {}
        self._due_wait = asyncio.Event()
        self._codec = codec
        self._trusted = trusted
        # Whole events are joined into groups of this many writes: one callback for many events.
        # One operation of a Txn is the head's.
        self._group_ops = min(max(8, max_txn_ops // 2), max_txn_ops - 1)
        self._purge_ops = (min(max_txn_ops, PURGED_AT_ONCE) - 2) // 2 * 2
        self._ops: list[Put | Delete] = []
        self._bytes = 0
        self._after: list[fx.After] = []
        self.contention = Contention()
        self.bulk = Bulk(journal, lambda part: self.handle((part,)), self.contention, read_back)
        self._place_later = False
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

    def observe_services(self, observer: Callable[[ServiceName], None]) -> None:
        """Call `observer` with each service of which something changed, before that is committed.

        It must not raise.
        """
        self._service_observers.append(observer)

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
            self._flush()
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
            while not self._due:
                self._due_wait.clear()
                await self._due_wait.wait()
            await self.journal.wait_room()
            service = next(iter(self._due))
            del self._due[service]
            self.handle((e.ServiceDue(service, self._ids.next(self.clock.now())),))
            await asyncio.sleep(0)

    async def note_starts(self) -> None:
        """Put on record which attempts have begun and live, as the journal has room."""
        while True:
            await asyncio.sleep(STARTS_EVERY)
            if self.state.chunks:
                # Chunks that turn out to be long are recalled although nothing happens.
                self.handle(())
            while attempts.starts_due(self.state, self.clock.now()):
                await self.journal.wait_room()
                self.handle((e.StartsDue(),))
                await asyncio.sleep(0)

    def purge(self, limit: int) -> int:
        """Delete up to `limit` tasks that retention lets go; how many deletions were appended."""
        now = self.clock.now()
        out = self.machine.step(e.RetentionDue(limit, self.clocks.expiry()), now)
        deletes = self._codec.encode_purges(out)
        # An even number: the two keys of a task go together.
        for start in range(0, len(deletes), self._purge_ops):
            self.journal.append_purge(deletes[start : start + self._purge_ops])
        return len(deletes)

    def close_idle_jobs(self) -> None:
        """Close one open job to which nothing was appended for too long, if there is any."""
        if not self.journal.room or self.journal.no_space:
            return
        if any(job.open or job.loading for job in self.state.jobs.values()):
            self.handle((e.IdleJobsDue(),))

    # -- from step to journal

    def _report_illegal_moves(self) -> None:
        """Our bug: a task went from one state to another in a way that the table does not have."""
        for task, before, after in self.state.illegal_moves:
            log.error("transition_not_allowed", task=task, before=before.name, after=after.name)
        self.state.illegal_moves.clear()

    def _absorb(self, out: fx.Effects, now: float) -> None:
        if out.writes:
            if len(self._ops) + 2 * len(out.writes) > self._group_ops:
                self._flush()
            self._encode(out.writes)
            self.metrics.wrote(out.writes, now)
            self.waiters.stepped(out.writes)
        if out.after:
            self._after += out.after
        if out.due:
            self._note_due(out.due)
        for event in out.then:
            if isinstance(event, e.BatchContinued | e.BulkContinued):
                self.bulk.add(event)
            else:
                self._absorb(self.machine.step(event, now), now)

    def _note_due(self, services: list[ServiceName]) -> None:
        for service in services:
            self._due[service] = None
            for observer in self._service_observers:
                observer(service)
        self._due_wait.set()

    def _encode(self, writes: Sequence[fx.Write]) -> None:
        """Join an event's writes to the group; the group goes first if it would grow too large."""
        begin = len(self._ops)
        size = self._codec.encode(writes, self._ops)
        if begin and self._bytes + size > GROUP_BYTES:
            added = self._ops[begin:]
            del self._ops[begin:]
            self._flush()
            self._ops = added
        self._bytes += size

    def _flush(self) -> None:
        """Append the gathered group."""
        ops, after = self._ops, self._after
        if not ops and not after:
            return
        self._ops, self._after, self._bytes = [], [], 0
        self.journal.append(
            ops, partial(self._committed, after), partial(self._after_commit.failed, after)
        )

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
            self._note_due(out.due)
        if out.more:
            self._soon()
        if out.recalls:
            self._after += out.recalls
        if not out.writes:
            return
        self.metrics.placed(out.after, now)
        for name in out.rates or ():
            if len(self._ops) >= self._group_ops:
                self._flush()
            self._encode([fx.PutRate(name, self.state.permits.arrivals[name])])
        # Each assignment is one write and one effect: they are cut alike.
        done, size = 0, len(out.writes)
        while done < size:
            space = self._group_ops - len(self._ops)
            if space <= 0:
                self._flush()
                continue
            self._encode(out.writes[done : done + space])
            self._after += out.after[done : done + space]
            done += space
        if size >= PLACED_AT_ONCE and not out.more:
            self._soon()

    def _soon(self) -> None:
        self._loop.call_soon(self._place_again)

    def _place_again(self) -> None:
        self._place_later = False
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
