"""Tasks: their states, specs, needs and attempts; states of jobs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple, NewType

from quorate.blobs.names import COUNTER, Blob
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.runtime.timing.backoff import either_way, exponential
from scheduler.core.place_rules import Label, Rules

ServiceName = NewType("ServiceName", str)


class TaskState(IntEnum):
    """Where a task is in its life (`quorate.v1.TaskState`)."""

    SCHEDULED = 1
    BLOCKED = 2
    PENDING = 3
    PAUSED = 4
    RUNNING = 5
    SUCCEEDED = 6
    FAILED = 7
    CANCELLED = 8
    EXPIRED = 9


FINISHED = frozenset(
    (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED)
)
# Those in which a task waits, and can be updated.
WAITING = frozenset((TaskState.PENDING, TaskState.SCHEDULED, TaskState.PAUSED))
# Those that can be retried by hand.
RETRIABLE = frozenset((TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED))
# Those of dead letters.
DEAD = frozenset((TaskState.FAILED, TaskState.EXPIRED))


class BulkAct(Enum):
    """What one call does to many tasks."""

    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"
    UPDATE = "update"

    @property
    def reads(self) -> bool:
        """Whether it needs the records of the tasks."""
        return self is BulkAct.RETRY or self is BulkAct.UPDATE


# The error type of a task of a graph whose condition could no longer hold. It is CANCELLED.
SKIPPED: Final = "SKIPPED"


class JobState(IntEnum):
    """Where a job is in its life (`quorate.v1.JobState`)."""

    ACTIVE = 1
    PAUSED = 2
    SUCCEEDED = 3
    FAILED = 4
    CANCELLED = 5


FINISHED_JOB = frozenset((JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED))


class TaskPause(NamedTuple):
    """Who paused a task, why and since when."""

    by: str = ""
    reason: str = ""
    since: float = 0.0


class TaskLimits(NamedTuple):
    """What a task that can be held back by limits says of itself: its key in its queue, and the
    shared limits that it names."""

    key: str = ""
    shared: tuple[str, ...] = ()
    # Tasks of one ordering key run one after another.
    ordering: str = ""
    # At most one unfinished task of the queue has it; whether another one is refused, or takes the
    # place of the one that is there; for how many seconds from its creation a task that succeeded
    # still has it.
    unique: str = ""
    rejects: bool = False
    replaces: bool = False
    window: float = 0.0

    @property
    def lane(self) -> str:
        """Tasks that may have to wait each by itself have lanes of their own."""
        if self.replaces:
            return f"{self.key}\0{self.ordering}\0{self.unique}"
        return f"{self.key}\0{self.ordering}" if self.ordering else self.key


def of_limit_key(key: str) -> str:
    """Why a lane is parked: a limit key is full."""
    return f"limit {key}"


def of_ordering_key(key: str) -> str:
    """Why a lane is parked: another task of the ordering key goes first."""
    return f"order {key}"


def of_unique_key(key: str) -> str:
    """Why a lane is parked: the task that is replaced is being ended."""
    return f"unique {key}"


def is_due(not_before: float, now: float) -> bool:
    """Whether a task of this `not_before` is PENDING at `now`, no longer SCHEDULED.

    Nothing is written when its time comes: whoever reads a record applies this.
    """
    return not_before <= now


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed task is tried again. Durations in seconds."""

    max_attempts: int = 1
    initial_backoff: float = 1.0
    max_backoff: float = 300.0
    multiplier: float = 2.0
    jitter: float = 0.2
    fatal_errors: tuple[str, ...] = ()
    crash_limit: int = 3

    def backoff(self, failures: int, draw: float) -> float:
        """Seconds to wait after the `failures`-th failure (1 for the first); `draw` in [0, 1).

        Exponential with a spread of `jitter` either way, so that tasks that failed together do
        not come back together.
        """
        grown = exponential(failures, self.initial_backoff, self.max_backoff, self.multiplier)
        return either_way(grown, self.jitter, draw)


class Needs(NamedTuple):
    """What an attempt takes of a node beside a slot: cores, bytes, named counters (sorted).

    A tuple for its hash: it is a key whenever a task begins to wait, and when it ends.
    """

    cpu: float = 0.0
    memory: int = 0
    counters: tuple[tuple[str, int], ...] = ()


NO_NEEDS = Needs()
# The counter that an agent has when it can read and write large values, and tasks with a large
# payload ask for: those wait for an agent that has it.
BLOB_STORE: Final = COUNTER
# As that: of agents that run hooks, and of tasks with hooks. No counter of an operator has such a
# name; it is not shown.
HOOKS: Final = "quorate:hooks"
# As that: of agents that know what to do with a message, and of tasks that were made of one.
MESSAGES: Final = "quorate:messages"


class Kind(NamedTuple):
    """Of tasks with limits or rules: those of one kind wait together. Of all others the kind is
    their needs.

    `keyed`: they have keys, each of which may be full while others are not. `labels`: of tasks of a
    queue with filters, which may tell them apart. `pause`: whose end they wait for, apart from
    others.
    """

    needs: Needs
    shared: tuple[str, ...]
    keyed: bool
    rules: Rules | None = None
    labels: tuple[Label, ...] = ()
    pause: str = ""


DEFAULT_RETRY = RetryPolicy()


class HookEnd(NamedTuple):
    """How a hook ended, and after how many seconds. `error` is empty where it succeeded."""

    error: str = ""
    seconds: float = 0.0


class HookEnds(NamedTuple):
    """Of the hooks of an attempt; None for one that did not run."""

    setup: HookEnd | None = None
    cleanup: HookEnd | None = None


class PastAttempt(NamedTuple):
    """An attempt that ended without finishing its task. Times in seconds since the epoch."""

    number: int
    node: NodeName
    instance: InstanceId
    assign_time: float
    start_time: float
    finish_time: float
    error_type: str
    error_message: str
    # What its record holds that this version does not know: `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""
    hooks: HookEnds | None = None


# The most that one task, or a node, may ask for or have: cores, kinds of counters, labels.
MAX_CPU: Final = 1_024.0
MAX_COUNTERS: Final = 16
MAX_LABELS: Final = 32
# Of a node: by its agent, and as many by an operator.
MAX_TAINTS: Final = 16
# Past attempts kept of one task, beside the current one, and characters of their error types and
# messages: they are written again with every later status.
MAX_PAST = 9
PAST_TEXT: Final = 256


class Replica(NamedTuple):
    """What makes a task a replica: its service, and the generation of the service's spec."""

    service: ServiceName
    generation: int


class MemberOf(NamedTuple):
    """What makes a task a member of a job: a task of a graph, or one that was added to any job.

    `edges`: the tasks that it waits for, each `place * 8 + condition * 2 + cleanup`. `inputs`: the
    places of tasks whose results it gets, by parameter. See `scheduler.core.graphs.members`.
    """

    job: TaskId
    name: str = ""
    in_graph: bool = False
    edges: tuple[int, ...] = ()
    inputs: tuple[tuple[str, int], ...] = ()


class TaskSpec(NamedTuple):
    """What the machine must know of a task; the rest of the user's spec is opaque bytes."""

    spec: bytes
    priority: int = 0
    retry: RetryPolicy = DEFAULT_RETRY
    needs: Needs = NO_NEEDS
    affinity: str = ""
    not_before: float = 0.0
    # Set for the replicas of services only.
    replica: Replica | None = None
    # What a search for the task looks in: short, in lower case.
    text: str = ""
    # None as a rule.
    limits: TaskLimits | None = None
    # Of the runs of a schedule: its name.
    schedule: str = ""
    # Seconds in which it has to start, from when it may first; 0.0: no bound.
    start_deadline: float = 0.0
    # Whose share it is, where its queue is shared fairly.
    tenant: str = ""
    # Its payload, where that is large.
    blob: Blob | None = None
    # By which it chooses nodes; None as a rule. And its labels, sorted.
    rules: Rules | None = None
    labels: tuple[Label, ...] = ()
    # Of a task that belongs to a job.
    member: MemberOf | None = None
    # It was made of a message about the end of a task or job: its own end is not announced.
    from_event: bool = False


def kind_of_spec(spec: TaskSpec) -> Needs | Kind:
    """With which others a task waits."""
    return kind_of(spec.needs, spec.limits, spec.rules)


def kind_of(needs: Needs, limits: TaskLimits | None, rules: Rules | None) -> Needs | Kind:
    """With which others a task, or a job, waits that has these."""
    if limits is None:
        return needs if rules is None else Kind(needs, (), False, rules)
    return Kind(needs, limits.shared, bool(limits.lane), rules)
