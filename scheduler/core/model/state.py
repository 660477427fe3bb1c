"""Everything the scheduler knows, with its indexes kept in one place.

Leader and standby hold the same type: the leader's handlers and a standby's fold change the
states of tasks by the functions of `scheduler.core.model.transitions` alone. So a standby that is
elected has every index ready and rebuilds nothing.

The state is the leader's alone and is dropped as a whole when it is deposed.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heappush

from quorate.blobs.names import Blob
from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.graphs.members import Member
from scheduler.core.model.indexes.audit_index import AuditIndex
from scheduler.core.model.indexes.blobs import NamedBlobs
from scheduler.core.model.indexes.dead_letters import DeadLetters
from scheduler.core.model.indexes.progress import TaskProgress
from scheduler.core.model.indexes.usage import task_units
from scheduler.core.model.limits.pauses import forget_pause
from scheduler.core.model.limits.permits import Permits
from scheduler.core.model.plugins import Plugins
from scheduler.core.model.rows import FinishedRow, JobRow, QueueRow, Reservation, TaskRow
from scheduler.core.model.schedules import ScheduleIndex, ScheduleName
from scheduler.core.model.state_parts.callers import CallerState
from scheduler.core.model.state_parts.calls import CallState
from scheduler.core.model.state_parts.members import MemberState
from scheduler.core.model.state_parts.nodes import NodeState
from scheduler.core.model.state_parts.queues import QueueState
from scheduler.core.model.state_parts.services import ServiceState
from scheduler.core.place_rules import USUAL_PLACE
from scheduler.core.queues.deadlines import Deadlines
from scheduler.core.queues.slot_time import SlotTime
from scheduler.core.values import FINISHED, Kind, TaskSpec, TaskState, is_due, kind_of_spec

DEFAULT_QUEUE = QueueName("default")
# Where replicas are; made with the first service.
SERVICES_QUEUE = QueueName("services")

# Dead entries that are not worth clearing away.
_CLEAR_ABOVE = 256


class State(QueueState, ServiceState, NodeState, CallState, MemberState, CallerState):
    """Rows by name and the indexes over them."""

    def __init__(self, *, spec_cache_bytes: int = 128 << 20) -> None:
        super().__init__()
        self.tasks: dict[TaskId, TaskRow] = {}
        self.finished: dict[TaskId, FinishedRow] = {}
        self.schedules = ScheduleIndex()
        # What of jobs is out on nodes: no chunk is in `tasks`.
        self.chunks: dict[TaskId, TaskRow] = {}
        # (instant, job, block) of subtasks that wait; entries that moved on are skipped.
        self.job_timers: list[tuple[float, TaskId, int]] = []
        # Blocks of which many results came one by one: (job, number).
        self.to_merge: dict[tuple[TaskId, int], None] = {}
        # How many jobs stand in the order of their queues; when chunks may be recalled again.
        self.job_entries, self.recall_at = 0, 0.0
        # Memory of the leader: when to look for what pauses hold back, and from which queue on.
        self.aside_at, self.aside_from = 0.0, 0
        # The node that is kept for a large task; when one may be looked for again.
        self.reservation: Reservation | None = None
        self.reserve_at = 0.0
        self.audit = AuditIndex()
        self.dead = DeadLetters()
        self.blobs = NamedBlobs()
        # Shared limits, and what is used of all limits.
        self.permits = Permits()
        self.deadlines = Deadlines[TaskRow]()
        # Whose turn it is among queues: the leader's memory.
        self.slot_time = SlotTime()
        # What running attempts say of themselves.
        self.progress = TaskProgress()
        # Filters and scores from outside: of this process, not of the log.
        self.plugins = Plugins()
        # (instant, id) of SCHEDULED tasks; entries whose task moved on are skipped, and cleared
        # away when they are more than the others.
        self.timers: list[tuple[float, TaskId]] = []
        self._dead_timers = 0
        # (start time, id, attempt) of attempts whose start may not be on record: those that began
        # within the last second or two, ended ones included, in the order of the reports.
        self.recent_starts: deque[tuple[float, TaskId, int]] = deque()
        # Transitions that are not in the table of `transitions`: (task, from, to). They are bugs
        # of this code; the driver and the fold log them.
        self.illegal_moves: list[tuple[TaskId, TaskState, TaskState]] = []
        # The greatest id of the log: a new leader stays above it. The greatest instant that was
        # folded; for a leader, the instant of its last step.
        self.last_id = TaskId("")
        self.last_instant = 0.0
        # Bytes of specs kept beside their rows, at most `spec_cache_bytes`.
        self.spec_bytes = 0
        self._spec_cache_bytes = spec_cache_bytes

    def new_row(
        self,
        task: TaskId,
        queue: QueueRow,
        spec: TaskSpec,
        create_time: float,
        created_by: str = "",
        member: Member[JobRow] | None = None,
    ) -> TaskRow:
        """A row for a task that is live from now on: PENDING, or SCHEDULED if not yet due.

        Args:
            member: of a job, where it was one before.
        """
        cached: bytes | None = spec.spec
        size = len(spec.spec)
        if self.spec_bytes + size > self._spec_cache_bytes:
            cached = None
        else:
            self.spec_bytes += size
        due = not spec.not_before or is_due(spec.not_before, create_time)
        row = TaskRow(
            task,
            queue,
            create_time,
            spec.priority,
            spec.retry,
            spec.needs,
            spec.affinity,
            cached,
            TaskState.PENDING if due else TaskState.SCHEDULED,
            0.0 if due else spec.not_before,
        )
        if spec.text != queue.text:
            queue.text = spec.text
        row.text = queue.text
        row.creator = creator = self.usage_of(created_by)
        row.units = units = task_units(size)
        creator.began(units)
        queue.usage.began(units)
        row.kind = spec.needs
        if spec.limits is not None:
            row.limits, row.kind = spec.limits, kind_of_spec(spec)
            self.permits.began(row)
        if spec.rules is not None or spec.labels or queue.place is not USUAL_PLACE:
            _choose_nodes_by(row, spec)
        row.tenant, row.from_event = spec.tenant, spec.from_event
        self.tasks[task] = row
        if spec.start_deadline:
            row.expire_at = max(create_time, spec.not_before) + spec.start_deadline
        if spec.replica is not None:
            row.replica = spec.replica
            self.replicas.setdefault(spec.replica.service, {})[task] = row
            self.touch(spec.replica.service)
        if spec.blob is not None:
            self.blobs.add(task, spec.blob, creator, queue.usage)
        if member is not None or spec.member is not None:
            row.member = member or self.join_job(task, spec.member)
            if row.member is not None and spec.limits is not None:
                row.member.unique = spec.limits.unique
        if spec.schedule and row.member is None:
            # Of a graph the job is the run.
            self.schedules.began(ScheduleName(spec.schedule), task)
        # Looked up only where it may be there: of a million tasks that is a good part of the time.
        done = None if self.is_new(task) else self.finished.get(task)
        if done is None:
            queue.index.add(task)
        else:
            self.drop_unused(done.creator)
        if task > self.last_id:
            self.last_id = task
        self.observe(create_time)
        return row

    def respec(self, row: TaskRow, spec: TaskSpec) -> None:
        """A live task that is in no index gets another spec; `enter` it afterwards."""
        before, size = row.units, len(spec.spec)
        if row.spec is not None:
            self.spec_bytes -= len(row.spec)
        row.spec = None
        if self.spec_bytes + size <= self._spec_cache_bytes:
            row.spec = spec.spec
            self.spec_bytes += size
        row.priority, row.retry, row.needs = spec.priority, spec.retry, spec.needs
        row.kind, row.tenant = kind_of_spec(spec), spec.tenant
        if row.limits is not None:
            self.permits.ended(row)
        row.limits = spec.limits
        if row.limits is not None:
            self.permits.began(row)
        row.affinity, row.text = spec.affinity, spec.text
        _choose_nodes_by(row, spec)
        row.units = task_units(size)
        for usage in (row.creator, row.queue.usage):
            usage.units += row.units - before
        self.tasks[row.id] = row
        if row.replica is not None:
            self.replicas[row.replica.service][row.id] = row

    def rehome(self, row: TaskRow, queue: QueueRow) -> None:
        """A live task that is in no index goes to another queue; `respec` and `enter` follow."""
        before = row.queue
        if row.limits is not None:
            self.permits.ended(row)
        before.usage.live -= 1
        before.usage.units -= row.units
        queue.usage.began(row.units)
        self.blobs.recharge(row.id, before.usage, queue.usage)
        before.index.discard(row.id)
        queue.index.add(row.id)
        row.queue = queue
        if row.limits is not None:
            self.permits.began(row)

    def is_new(self, task: TaskId) -> bool:
        """Whether an id is greater than all before it: such a task is not on record."""
        return task > self.last_id

    def enter(self, row: TaskRow) -> None:
        """Index `row` under the state it has now."""
        state = row.state
        row.queue.counts[state] += 1
        if row.member is not None:
            self.member_is(row.member, state)
        if state is TaskState.PENDING:
            queue = row.queue
            queue.pending.push(row)
            if queue.pending.size == 1:
                self.waiting[queue.name] = queue
            if row.limits is not None:
                self.permits.joined(row)
            if row.expire_at and row.expires:
                self.deadlines.add(row)
        elif state is TaskState.RUNNING:
            self.allocation(row.instance).add(row)
            if row.limits is not None:
                self.permits.take(row)
        elif state is TaskState.SCHEDULED:
            heappush(self.timers, (row.not_before, row.id))
            if row.limits is not None and (row.failures or row.snoozed):
                self.permits.take_turn(row)

    def move(self, row: TaskRow, state: TaskState) -> None:
        """Take `row` out of its indexes and give it another state; `enter` it afterwards.

        For `transitions` alone, which knows what is allowed.
        """
        before = row.state
        row.queue.counts[before] -= 1
        row.state = state
        if row.member is not None:
            self.member_was(row.member)
        if row.replica is not None:
            self.touch(row.replica.service)
        if before is TaskState.PENDING:
            queue = row.queue
            queue.pending.discard(row)
            forget_pause(row)
            if not queue.pending.size:
                del self.waiting[queue.name]
            if row.limits is not None:
                self.permits.left(row)
            if row.expire_at and row.expires:
                self.deadlines.removed()
        elif before is TaskState.RUNNING:
            allocation = self.allocations[row.instance]
            allocation.remove(row)
            if not allocation.rows:
                allocation.idle_since = self.last_instant
            if self.progress.newest:
                self.progress.newest.pop(row.id, None)
            if row.limits is not None:
                self.permits.free(row)
        elif before is TaskState.SCHEDULED:
            if row.has_turn:
                self.permits.give_turn(row)
            self._dead_timers += 1
            if self._dead_timers > _CLEAR_ABOVE and self._dead_timers * 2 > len(self.timers):
                self.timers = [entry for entry in self.timers if self._ticks(entry)]
                heapify(self.timers)
                self._dead_timers = 0

    def _ticks(self, timer: tuple[float, TaskId]) -> bool:
        """Whether a timer's task still waits for it."""
        instant, task = timer
        row = self.tasks.get(task)
        return row is not None and row.state is TaskState.SCHEDULED and row.not_before == instant

    def finish(
        self,
        row: TaskRow,
        finish_time: float,
        error: str = "",
        outcome: int = 0,
        blob: Blob | None = None,
    ) -> FinishedRow:
        """A live row that was moved to a finished state becomes a finished one.

        Args:
            error: what a search finds it by from now on, besides its text; of DEAD states alone.
            outcome: what its result or error weighs, see `usage.outcome_units`.
            blob: its result, where that is large.
        """
        task, state, queue = row.id, row.state, row.queue
        assert state in FINISHED
        del self.tasks[task]
        if row.spec is not None:
            self.spec_bytes -= len(row.spec)
        if row.replica is not None:
            replicas = self.replicas[row.replica.service]
            del replicas[task]
            if not replicas:
                del self.replicas[row.replica.service]
        if row.limits is not None:
            self.permits.ended(row)
        if self.schedules.owners:
            self.schedules.ended(task)
        text = f"{row.text}\n{error}" if error else row.text
        creator = row.creator
        creator.ended(outcome)
        queue.usage.ended(outcome)
        done = FinishedRow(
            task, queue, state, finish_time, row.attempt, text, creator, row.units + outcome
        )
        if blob is not None:
            self.blobs.add(task, blob, creator, queue.usage)
        if row.member is not None:
            done.member = row.member
            queue.kept += 1
            self.member_is(row.member, state)
        if error:
            self.dead.add(done, queue.name, error)
        self.finished[task] = done
        queue.counts[state] += 1
        queue.finished_total += 1
        if finish_time > queue.last_finish:
            queue.last_finish = finish_time
        self.observe(finish_time)
        return done

    def revive(self, done: FinishedRow) -> None:
        """A finished task is about to be live again: `new_row` follows."""
        done.queue.counts[done.state] -= 1
        if done.dead is not None:
            self.dead.remove(done)
        if done.member is not None:
            self.member_gone(done, deleted=False)
        done.creator.gone(done.units)
        done.queue.usage.gone(done.units)
        self.blobs.drop(done.id, done.creator, done.queue.usage)
        # Kept in `finished` until new_row has seen that its id is in the index already.

    def forget(self, done: FinishedRow) -> None:
        """A finished task's records are deleted.

        Its place among the retained goes too, sooner or later: a standby, whom nobody tells to
        retain, would keep them all.
        """
        finished, queue = self.finished, done.queue
        del finished[done.id]
        queue.counts[done.state] -= 1
        if done.dead is not None:
            self.dead.remove(done)
        if done.member is not None:
            self.member_gone(done, deleted=True)
        creator = done.creator
        creator.gone(done.units)
        queue.usage.gone(done.units)
        self.blobs.drop(done.id, creator, queue.usage)
        if not creator.finished:
            self.drop_unused(creator)
        retained = queue.retained
        while retained and finished.get(retained[0].id) is not retained[0]:
            retained.popleft()
        if len(retained) > 2 * len(finished) + _CLEAR_ABOVE:
            # Behind an old one that is kept most were deleted or retried by hand.
            queue.retained = deque(row for row in retained if finished.get(row.id) is row)

    def next_due(self) -> float | None:
        """When the next SCHEDULED task is due; None when there is none."""
        timers = self.timers
        while timers:
            if self._ticks(timers[0]):
                return timers[0][0]
            heappop(timers)
            self._dead_timers -= 1
        return None

    def on_record(self, task: TaskId) -> bool:
        """Whether a task is live or retained."""
        return task in self.tasks or task in self.finished


def _choose_nodes_by(row: TaskRow, spec: TaskSpec) -> None:
    """What a task says of nodes, and others say of it; `row.kind` without the labels is set."""
    row.rules, row.labels = spec.rules, spec.labels
    row.kind = kind_of_spec(spec)
    if row.queue.place.filters and spec.labels:
        kind = row.kind
        if not isinstance(kind, Kind):
            kind = Kind(kind, (), False)
        row.kind = kind._replace(labels=spec.labels)
