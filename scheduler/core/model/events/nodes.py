"""What becomes of nodes, of their attempts, and of the instances of services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.blobs.names import Blob
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from scheduler.core.model.indexes.usage import Sized
from scheduler.core.model.rows import InstanceRow, NodeRow, NodeStats
from scheduler.core.values import HookEnds, ServiceName


class NodeRegistered(NamedTuple):
    """A node's key appeared or changed in etcd."""

    node: NodeRow


class NodeLeaseEnded(NamedTuple):
    """A node's key is gone: its lease ended. What it runs may go on all the same."""

    node: NodeName
    instance: InstanceId


class NodeLost(NamedTuple):
    """An agent process is gone or given up. `why` is for people."""

    node: NodeName
    instance: InstanceId
    why: str


class AttemptLost(NamedTuple):
    """An attempt's node was lost; follows NodeLost, one each."""

    task: TaskId
    attempt: int
    instance: InstanceId
    why: str


class NodeWrittenOff(NamedTuple):
    """All attempts of a lost node are dealt with; follows them."""

    node: NodeName
    instance: InstanceId
    lease: int


class LostNodeReturned(NamedTuple):
    """A node that is remembered as lost is registered; follows an election."""

    node: NodeName


class ScaleDownDecided(NamedTuple):
    """Which agent processes a scale-down may end, and which it may not any longer.

    At most `leaving.CHANGES_AT_ONCE` in all.
    """

    mark: Sequence[tuple[NodeName, InstanceId]]
    back: Sequence[tuple[NodeName, InstanceId]]


class SessionOpened(NamedTuple):
    """An agent answered `hello` with what it has: (task, attempt, start time or 0.0)."""

    node: NodeName
    instance: InstanceId
    attempts: Sequence[tuple[TaskId, int, float]]
    finished: Sequence[tuple[TaskId, int]]
    # Of the attempts, those that it has suspended.
    suspended: Sequence[tuple[TaskId, int]] = ()


class SessionClosed(NamedTuple):
    node: NodeName
    instance: InstanceId


class AgentMisbehaved(NamedTuple):
    """An agent said what none may say; `fault` is for people."""

    node: NodeName
    instance: InstanceId
    failure: str


class CreditReported(NamedTuple):
    node: NodeName
    instance: InstanceId
    credit: int


class StatsReported(NamedTuple):
    node: NodeName
    instance: InstanceId
    stats: NodeStats


class AttemptStarted(NamedTuple):
    instance: InstanceId
    task: TaskId
    attempt: int
    start_time: float


class ProgressReported(NamedTuple):
    """A running attempt said `age` seconds ago how far it is. `fraction`: 0 to 1, or None."""

    instance: InstanceId
    task: TaskId
    attempt: int
    fraction: float | None
    text: str
    age: float


class AttemptLived(NamedTuple):
    """The start of an attempt is to be put on record; follows what found that, one each."""

    task: TaskId
    attempt: int
    instance: InstanceId


class AttemptSucceeded(NamedTuple):
    """`result` is opaque here: the codec writes it."""

    instance: InstanceId
    task: TaskId
    attempt: int
    start_time: float
    finish_time: float
    result: Sized | None
    # Its value, where that is large.
    blob: Blob | None = None
    hooks: HookEnds | None = None


class AttemptFailed(NamedTuple):
    """`error` is opaque here; its type, base types and message are what the machine decides by."""

    instance: InstanceId
    task: TaskId
    attempt: int
    start_time: float
    finish_time: float
    error_type: str
    error_message: str
    error: Sized | None
    # Of an exception: the names of its base classes.
    base_types: tuple[str, ...] = ()
    # Seconds after which the task asks to run again: then it is no failure. 0.0: it does not.
    snooze: float = 0.0
    hooks: HookEnds | None = None


class AttemptReturned(NamedTuple):
    """The agent gave an attempt back: not a failure."""

    instance: InstanceId
    task: TaskId
    attempt: int


class InstanceSeen(NamedTuple):
    """An instance's key appeared or changed in etcd."""

    instance: InstanceRow


class InstanceGone(NamedTuple):
    """An instance's key is gone."""

    service: ServiceName
    id: str
