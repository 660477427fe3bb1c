"""The rows of the state: one class for each thing the machine keeps.

All of them are owned by `scheduler.core.model.state.State`. Instants are seconds since the Unix
epoch on the leader's clock, 0.0 meaning "not yet".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from scheduler.core.arrays.array import Array
from scheduler.core.arrays.chunk import Chunk
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.arrays.sizes import Durations
from scheduler.core.arrays.spec import NO_TALLY, JobSpec, Tally
from scheduler.core.model.indexes.dead_letters import DeadGroup
from scheduler.core.model.indexes.usage import UNIT, Usage
from scheduler.core.model.reply_token import Pending
from scheduler.core.queues.index import TaskIndex
from scheduler.core.queues.lines import Line
from scheduler.core.queues.pending import PendingOrder
from scheduler.core.values import (
    FINISHED_JOB,
    NO_LIMITS,
    NO_NEEDS,
    USUAL_ORDER,
    Disconnect,
    InstanceState,
    JobState,
    Kind,
    Needs,
    PastAttempt,
    Placement,
    QueueLimits,
    QueueOrder,
    QueuePause,
    Rate,
    Replica,
    RetryPolicy,
    ServiceName,
    ServiceSpec,
    TaskLimits,
    TaskPause,
    TaskState,
)

NOBODY = NodeName("")
NO_INSTANCE = InstanceId("")
# Of a row that is not in a state.
NO_USAGE = Usage("")
NO_TASK = TaskId("")
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
    # When it expires unless it has started; 0.0: never.
    expire_at: float = 0.0
    # Of a PAUSED one.
    pause: TaskPause | None = None

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
    # RUNNING tasks by limit key; keys that have none are left out.
    running_by_key: dict[str, int] = field(default_factory=dict)
    # By ordering key: who waits, and how many have the turn.
    lines: dict[str, Line] = field(default_factory=dict)
    turns_taken: dict[str, int] = field(default_factory=dict)
    # By unique key: the unfinished task that has it. Several only while a snapshot is folded, which
    # brings tasks before it says which of them are finished.
    unique: dict[str, dict[TaskId, None]] = field(default_factory=dict)
    usage: Usage = field(init=False)

    def __post_init__(self) -> None:
        self.usage = Usage(self.name)

    @property
    def running(self) -> int:
        """Tasks in state RUNNING, and chunks of jobs."""
        return self.counts[TaskState.RUNNING] + self.chunks


@dataclass(slots=True, eq=False)
class Allocation:
    """The RUNNING tasks of one agent process and what they take together."""

    rows: dict[TaskId, TaskRow] = field(default_factory=dict)
    # Of these, chunks of arrays.
    chunks: int = 0
    cpu: float = 0.0
    memory: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    # Since when it runs nothing; of no meaning while it does.
    idle_since: float = 0.0

    def add(self, row: TaskRow) -> None:
        self.rows[row.id] = row
        if row.chunk is not None:
            self.chunks += 1
        if row.needs is not NO_NEEDS:
            self._count(row.needs, 1)

    def remove(self, row: TaskRow) -> None:
        del self.rows[row.id]
        if row.chunk is not None:
            self.chunks -= 1
        if row.needs is not NO_NEEDS:
            self._count(row.needs, -1)

    def _count(self, needs: Needs, sign: int) -> None:
        self.cpu += sign * needs.cpu
        self.memory += sign * needs.memory
        for name, amount in needs.counters:
            self.counters[name] = self.counters.get(name, 0) + sign * amount


@dataclass(frozen=True, slots=True)
class NodeStats:
    """What a node measured of itself: shares of 0 to 1, bytes."""

    cpu: float = 0.0
    memory_used: int = 0
    memory_total: int = 0
    disk_used: int = 0
    disk_total: int = 0
    load1: float = 0.0
    # Why its agent cannot write to its disk and takes no work; empty when it can.
    disk_error: str = ""
    # Attempts that wait for other tasks and take no slot meanwhile.
    yielded: int = 0


@dataclass(slots=True, eq=False)
class NodeRow:
    """A registered agent process. Not journalled: its lease in etcd is the record."""

    name: NodeName
    instance: InstanceId
    address: str
    slots: int
    cpu: float
    memory: int
    counters: dict[str, int]
    labels: dict[str, str]
    register_time: float
    version: str
    lease: int
    allocation: Allocation
    # Since when it is registered no longer although it may well run what it holds: see
    # `scheduler.core.handlers.nodes.life`. 0.0: it is registered.
    suspect_since: float = 0.0
    # Whether a session is open and its inventory was settled.
    connected: bool = False
    # How many attempts it will hold at once.
    credit: int = 0
    stats: NodeStats = NodeStats()
    # What its process last said that no agent may say; memory only.
    failure: str = ""
    # Whether its agent runs chunks of arrays.
    takes_chunks: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """What an operator asked of a node, by name: it outlives the node's process."""

    cordoned: bool = False
    draining: bool = False
    drain_grace: float = 0.0
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""


@dataclass(frozen=True, slots=True)
class ScalingDown:
    """The mark of an idle agent process that a scale-down may end:
    `scheduler.core.handlers.nodes.scaling_down`."""

    instance: InstanceId
    since: float


@dataclass(slots=True, eq=False)
class ServiceRow:
    """A service as its owner wants it. What there is of it: `State.replicas`, `State.instances`."""

    name: ServiceName
    create_time: float
    spec: ServiceSpec
    # Grows with every change of the spec; the spec's generation only with what replicas are.
    version: int = 1
    deleting: bool = False
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """A process behind a service's name. Not journalled: its lease in etcd is the record."""

    service: ServiceName
    # The replica's task id, or what the outside process chose.
    id: str
    state: InstanceState
    # The agent's process and the attempt; "" and 0 for an outside process.
    agent: InstanceId
    attempt: int
    lease: int
    # The whole instance, opaque here: the codec made it.
    message: object


@dataclass(slots=True, eq=False)
class LimitRow:
    """A limit that tasks of any queue share. What is used of it: `Permits`."""

    name: str
    create_time: float
    # 0 and None: no limit.
    max_running: int = 0
    rate: Rate | None = None
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""


@dataclass(slots=True, eq=False)
class DedupRow:
    """The answer to a mutating call."""

    digest: bytes
    create_time: float
    queue: QueueName
    first_id: TaskId
    count: int
    progress: int
    # Callers that wait for a batch that this leader is creating right now, the first one
    # included, at most `Limits.batch_waiters`; None when it is not. Memory only.
    waiters: list[Pending[object]] | None = None
    # `<role>:<name>` of whose call it answers; empty without authentication, and of calls that a
    # leader of an earlier version answered.
    caller: str = ""
    # Of a call about many tasks: what it came to so far, and the task that it dealt with last.
    counts: tuple[int, ...] = ()
    last_id: TaskId = NO_TASK
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""


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
    start_time: float = 0.0
    finish_time: float = 0.0
    append_time: float = 0.0
    template_bytes: int = 0
    item_bytes: int = 0
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
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""

    @property
    def finished(self) -> bool:
        """Whether it is in a final state."""
        return self.state in FINISHED_JOB

    @property
    def wants_slot(self) -> bool:
        """Whether some of it may be given to a node."""
        limit = self.spec.max_parallel
        return (
            self.state is JobState.ACTIVE
            and self.ending is None
            and not self.loading
            and self.array.pending > 0
            and (not limit or len(self.chunks) < limit)
        )

    @property
    def over(self) -> bool:
        """Whether what is left of it is cancelled, not pending."""
        return self.ending is not None or self.finished

    def index(self, position: int) -> int:
        """The index that people see."""
        return self.spec.first_index + self.spec.index_step * position

    def count_up(self) -> Tally:
        """What it adds to the sums now."""
        array = self.array
        running = array.out
        if self.over:
            scheduled = pending = 0
            cancelled = array.count - array.succeeded - array.failed - running
        else:
            scheduled, pending, cancelled = array.waiting, array.pending, 0
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
            0 if self.finished else scheduled + pending + running,
            size // UNIT,
        )
