"""Work: tasks and jobs, live and finished, and the queues that they are in.

They are in one file since each refers to the others.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from quorate.runtime.attempts.outcomes import SNOOZED
from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from scheduler.core.arrays.array import Array
from scheduler.core.arrays.chunk import Chunk
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.arrays.sizes import Durations
from scheduler.core.arrays.spec import NO_TALLY, JobSpec, Tally
from scheduler.core.graphs.members import Member, Members
from scheduler.core.model.indexes.dead_letters import DeadGroup
from scheduler.core.model.indexes.usage import UNIT, Usage
from scheduler.core.place_rules import USUAL_PLACE, Label, PlaceSettings, Rules
from scheduler.core.queues.index import TaskIndex
from scheduler.core.queues.lines import Line
from scheduler.core.queues.pending import PendingOrder
from scheduler.core.values import (
    FINISHED_JOB,
    NO_LIMITS,
    NO_NEEDS,
    USUAL_ORDER,
    Disconnect,
    EventsTo,
    JobState,
    Kind,
    Needs,
    PastAttempt,
    Placement,
    QueueLimits,
    QueueOrder,
    QueuePause,
    Replica,
    RetryPolicy,
    TaskLimits,
    TaskPause,
    TaskSpec,
    TaskState,
)

NOBODY = NodeName("")
NO_INSTANCE = InstanceId("")
# Of a row that is not in a state.
NO_USAGE = Usage("")
# Bytes of a job's own records beside spec and template, and of a block's, about.
_JOB_RECORDS = 512
_BLOCK_RECORD = 640


@dataclass(slots=True, eq=False)
class TaskRow:
    """A live task: what decides its order and its placement."""

    id: TaskId
    queue: QueueRow
    create_time: float
    priority: int
    retry: RetryPolicy
    needs: Needs
    affinity: str
    # None when the cache of specs was full: the driver reads it back before it is sent.
    spec: bytes | None
    state: TaskState
    not_before: float = 0.0
    # The current or last attempt's number; it only grows, also over hand-backs.
    attempt: int = 0
    failures: int = 0
    crashes: int = 0
    node: NodeName = NOBODY
    instance: InstanceId = NO_INSTANCE
    assign_time: float = 0.0
    # Known from the agent; on record when the attempt has lived for a second, or ended.
    start_time: float = 0.0
    cancel_requested: bool = False
    past: tuple[PastAttempt, ...] = ()
    replica: Replica | None = None
    # What its run record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
    # What a search looks in besides the id.
    text: str = ""
    # Of whoever created it; and what it weighs there and in its queue's.
    creator: Usage = NO_USAGE
    units: int = 0
    # None as a rule.
    limits: TaskLimits | None = None
    # Of which rate limits the attempt took a start: see `scheduler.core.handlers.start_limits`.
    charged: int = 0
    # With which others it waits.
    kind: Needs | Kind = NO_NEEDS
    # Set for what is no task: a job's place in the order, and with `chunk` some of its subtasks on
    # a node. See `JobRow` and
    # `scheduler.core.arrays.chunk`.
    job: JobRow | None = None
    chunk: Chunk | None = None
    # Whose share it is; and the slot-seconds that its attempt was charged.
    tenant: str = ""
    share: float = 0.0
    # It has the turn of its ordering key: it runs, or will be retried.
    has_turn: bool = False
    # When it expires unless it has started; 0.0: never. Of one that waits for others in a graph
    # minus the seconds that it has from when it may start.
    expire_at: float = 0.0
    # Of a PAUSED one.
    pause: TaskPause | None = None
    # By which it chooses nodes; and its labels, sorted: tasks alike share them.
    rules: Rules | None = None
    labels: tuple[Label, ...] = ()
    # What it is in the job that it belongs to; None as a rule.
    member: Member[JobRow] | None = None
    # Attempts that asked to run again later, since the last retry by hand.
    snoozes: int = 0
    # It was made of a message about another one's end.
    from_event: bool = False

    @property
    def snoozed(self) -> bool:
        """Whether its last attempt asked to run again later."""
        return bool(self.past) and self.past[-1].error_type == SNOOZED

    def begin_deadline(self, now: float) -> None:
        """What it waited for in a graph holds: its start deadline counts from now."""
        if self.expire_at < 0.0:
            self.expire_at = now - self.expire_at

    @property
    def expires(self) -> bool:
        """Whether it has a deadline and has not started."""
        return bool(self.expire_at) and not (self.failures or self.crashes)


@dataclass(slots=True, eq=False)
class FinishedRow:
    """A finished task that is retained: its records are read back from etcd when asked for."""

    id: TaskId
    queue: QueueRow
    state: TaskState
    finish_time: float
    # The last attempt's number: a retry by hand goes on from it.
    attempt: int
    # As the live row's; with the error, if it failed.
    text: str
    creator: Usage
    # With its outcome.
    units: int
    # Of a FAILED or EXPIRED one: those that ended alike.
    dead: DeadGroup | None = None
    # As the live row's. It stays as long as its job.
    member: Member[JobRow] | None = None


@dataclass(slots=True, eq=False)
class QueueRow:
    """A queue's settings and everything that is in it."""

    name: QueueName
    create_time: float
    placement: Placement = Placement.LEAST_LOADED
    disconnect: Disconnect = Disconnect.KEEP
    retention_age: float = 86_400.0
    retention_count: int = 100_000
    # Whether it starts no tasks; and who paused it, also if it does.
    paused: bool = False
    pause: QueuePause | None = None
    pending: PendingOrder[TaskRow] = field(default_factory=PendingOrder)
    index: TaskIndex = field(default_factory=TaskIndex)
    # Tasks by state, indexed by the state's number.
    counts: list[int] = field(default_factory=lambda: [0] * (max(TaskState) + 1))
    # Jobs on record; their subtasks by state, as `counts`.
    jobs: dict[TaskId, JobRow] = field(default_factory=dict)
    # The places of jobs in the order, by job.
    entries: dict[TaskId, TaskRow] = field(default_factory=dict)
    subtasks: list[int] = field(default_factory=lambda: [0] * (max(TaskState) + 1))
    # Chunks of them that are out on nodes.
    chunks: int = 0
    # Finished ones whose Txn has committed, as `retained`.
    retained_jobs: deque[JobRow] = field(default_factory=deque)
    # Finished rows whose Txn has committed, in the order of finishing: what retention looks at.
    # Rows deleted or retried since are skipped when they are met.
    retained: deque[FinishedRow] = field(default_factory=deque)
    # Finished tasks that belong to jobs: they are deleted with these.
    kept: int = 0
    finished_total: int = 0
    # When a task of it finished last, also one that is no longer on record.
    last_finish: float = 0.0
    # Where round robin goes on.
    turn: NodeName = NOBODY
    # The text of the task that came last: tasks alike, one behind the other, share one.
    text: str = ""
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
    limits: QueueLimits = NO_LIMITS
    order: QueueOrder = USUAL_ORDER
    place: PlaceSettings = USUAL_PLACE
    # What a message becomes that reaches the queue; None: it takes no messages.
    template: TaskSpec | None = None
    # Where messages about ends of its tasks and jobs go; None: nowhere.
    events: EventsTo | None = None
    # RUNNING tasks by limit key; keys that have none are left out.
    running_by_key: dict[str, int] = field(default_factory=dict)
    # By ordering key: who waits, and how many have the turn.
    lines: dict[str, Line] = field(default_factory=dict)
    turns_taken: dict[str, int] = field(default_factory=dict)
    # By unique key: the unfinished tasks that have it, the oldest first. All but the last one are
    # being ended: they are replaced. And a snapshot that is folded brings tasks before it says
    # which of them are finished.
    unique: dict[str, dict[TaskId, None]] = field(default_factory=dict)
    # Unique keys of batches and graphs that are being created: memory of the leader, at most as
    # many as tasks that are still to come.
    coming_unique: dict[str, TaskId] = field(default_factory=dict)
    usage: Usage = field(init=False)

    def __post_init__(self) -> None:
        self.usage = Usage(self.name)

    @property
    def running(self) -> int:
        """Tasks in state RUNNING, and chunks of jobs."""
        return self.counts[TaskState.RUNNING] + self.chunks


@dataclass(slots=True, eq=False)
class JobRow:
    """A job on record, live or finished.

    One that has something to give out stands in its queue's order with a `TaskRow`, its `entry`:
    the order sees one PENDING task, whatever the number of subtasks."""

    id: TaskId
    queue: QueueRow
    spec: JobSpec
    create_time: float
    creator: Usage
    array: Array = field(default_factory=Array)
    state: JobState = JobState.ACTIVE
    # More items may be appended.
    open: bool = False
    # Its first items are still being written.
    loading: bool = False
    # CANCELLED or FAILED: it ends early, once nothing of it is on a node.
    ending: JobState | None = None
    reason: str = ""
    round: int = 0
    # How often, in this round, single subtasks were retried when it had finished.
    reopening: int = 0
    start_time: float = 0.0
    finish_time: float = 0.0
    append_time: float = 0.0
    template_bytes: int = 0
    item_bytes: int = 0
    # The job that it is part of; its parts, in the order in which they were made.
    parent: JobRow | None = None
    children: dict[TaskId, JobRow] = field(default_factory=dict)
    # It reduces the results of its parent (1), or of the level before; 0: it reduces none.
    level: int = 0
    # What is out on nodes, by id.
    chunks: dict[TaskId, TaskRow] = field(default_factory=dict)
    # Its place in the queue's order, while it has one.
    entry: TaskRow | None = None
    # What the sums of queue and creator hold of it.
    tally: Tally = NO_TALLY
    # How long its subtasks take: the leader's memory.
    durations: Durations = field(default_factory=Durations)
    # Whether it has finished, and that is committed: the leader's memory.
    settled: bool = False
    # Whether the record says when it began.
    start_on_record: bool = False
    # The tasks that belong to it; None while there were none.
    members: Members[JobRow] | None = None
    # Of an array that is a task of a graph: what it is there; whether it waits for others, and
    # whether it is CANCELLED since a condition could no longer hold.
    member: Member[JobRow] | None = None
    blocked: bool = False
    skipped: bool = False
    # Whether the shared limits that it names count it as unfinished.
    counted: bool = False
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""

    @property
    def finished(self) -> bool:
        """Whether it is in a final state."""
        return self.state in FINISHED_JOB

    @property
    def held(self) -> bool:
        """Whether no task that belongs to it may start."""
        if self.member is not None and self.member.job.held:
            return True
        return self.loading or self.state is JobState.PAUSED

    @property
    def wants_slot(self) -> bool:
        """Whether some of it may be given to a node."""
        limit = self.spec.max_parallel
        return (
            self.state is JobState.ACTIVE
            and self.ending is None
            and not self.loading
            and not self.blocked
            and self.array.pending > 0
            and (self.member is None or not self.member.job.held)
            and (not limit or len(self.chunks) < limit)
        )

    @property
    def waits(self) -> bool:
        """Whether it waits for others in its graph: what was added to it, too."""
        return self.blocked and not self.over

    @property
    def over(self) -> bool:
        """Whether what is left of it is cancelled, not pending."""
        return self.ending is not None or self.finished

    @property
    def reduces_to_come(self) -> int:
        """Reduces of levels that are not there yet, as long as nothing fails."""
        reduce = self.spec.reduce
        if reduce is None:
            return 0
        latest = next(reversed(self.children.values()), None)
        if latest is None:
            return reduce.reduces(self.array.count)
        return reduce.reduces(latest.array.count) if latest.array.count > 1 else 0

    def index(self, position: int) -> int:
        """The index that people see."""
        return self.spec.first_index + self.spec.index_step * position

    def count_up(self) -> Tally:
        """What it adds to the sums now."""
        array = self.array
        running = array.out
        blocked = to_come = 0
        if self.over:
            scheduled = pending = 0
            cancelled = array.count - array.succeeded - array.failed - running
        else:
            scheduled, pending, cancelled = array.waiting, array.pending, array.cancelled
            blocked = array.shut_out
            if self.blocked:
                blocked, pending = blocked + pending, 0
            if self.spec.reduce is not None:
                # Their room is kept: a level must not be refused when all before it is done.
                to_come = self.reduces_to_come
        size = _JOB_RECORDS + len(self.spec.spec) + self.template_bytes + self.item_bytes
        known = array.succeeded + array.failed + array.waiting
        size += array.stored_bytes + _BLOCK_RECORD * -(-known // BLOCK)
        return Tally(
            scheduled,
            pending,
            running,
            array.succeeded,
            array.failed,
            cancelled,
            blocked,
            0 if self.finished else scheduled + pending + blocked + running + to_come,
            size // UNIT,
        )


def reduced_by(level: JobRow) -> JobRow:
    """The job whose results a level of reduces gets: its parent, or the level before."""
    assert level.parent is not None
    if level.level == 1:
        return level.parent
    return next(one for one in level.parent.children.values() if one.level == level.level - 1)
