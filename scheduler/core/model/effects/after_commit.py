"""What is done once the writes of a step are committed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.runtime.ids import InstanceId, NodeName, TaskId
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import FinishedRow, JobRow, LostNode, TaskRow


class Reply(NamedTuple):
    """Answer a caller: an answer from `scheduler.core.model.answers`, or a Rejection."""

    token: Pending[object]
    answer: object


class StartAttempt(NamedTuple):
    row: TaskRow
    attempt: int
    instance: InstanceId


class EndAttempt(NamedTuple):
    """Ask the agent to end an attempt."""

    instance: InstanceId
    task: TaskId
    attempt: int


class SignalAttempt(NamedTuple):
    """Have the agent send a signal to a program."""

    instance: InstanceId
    task: TaskId
    attempt: int
    signal: int


class SuspendAttempt(NamedTuple):
    """Have the agent stop the processes of a program, or let them go on."""

    instance: InstanceId
    task: TaskId
    attempt: int
    suspended: bool


class Acknowledge(NamedTuple):
    """Tell the agent that it may forget an outcome."""

    instance: InstanceId
    task: TaskId
    attempt: int


class NotifyFinished(NamedTuple):
    """Wake who waits for the task, and let retention see it."""

    done: FinishedRow


class RevokeNode(NamedTuple):
    """The loss of a node is durable: revoke its lease."""

    node: NodeName
    instance: InstanceId
    lease: int


class ReportLostNode(NamedTuple):
    """The loss of a node is on record: log it."""

    row: LostNode


class OrderDrain(NamedTuple):
    """Tell a node to empty itself, or to stop doing so."""

    node: NodeName
    instance: InstanceId
    draining: bool
    grace: float


class OrderScaleDown(NamedTuple):
    """Tell a node whether a scale-down may end it."""

    node: NodeName
    instance: InstanceId
    scaling_down: bool


class IndexAudit(NamedTuple):
    """Let the audit log's readers, and its retention, see an entry."""

    entry: int


class AcknowledgeReport(NamedTuple):
    """Tell the agent that it may forget a report of a chunk."""

    instance: InstanceId
    chunk: TaskId
    attempt: int
    number: int


class RecallChunk(NamedTuple):
    """Ask the agent for what it has not begun of a chunk."""

    instance: InstanceId
    chunk: TaskId
    attempt: int


class EndSubtasks(NamedTuple):
    """Ask the agent to end some subtasks of a chunk: positions, both ends included."""

    instance: InstanceId
    chunk: TaskId
    attempt: int
    ranges: Sequence[tuple[int, int]]


class NotifyJob(NamedTuple):
    """A job has finished: wake who waits for it, and let agents forget its template."""

    job: JobRow
    # It may be retried, and finish again, before this end is committed.
    finish_time: float


After = (
    Reply
    | StartAttempt
    | EndAttempt
    | SignalAttempt
    | SuspendAttempt
    | Acknowledge
    | NotifyFinished
    | RevokeNode
    | ReportLostNode
    | OrderDrain
    | OrderScaleDown
    | IndexAudit
    | AcknowledgeReport
    | RecallChunk
    | EndSubtasks
    | NotifyJob
)
