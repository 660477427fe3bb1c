"""What callers ask for of jobs, and what agents report of chunks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from quorate.runtime.ids import InstanceId, NodeName, QueueName, TaskId
from scheduler.core.arrays.spec import GraphArray, JobSpec
from scheduler.core.model.events.calls import Request, TaskRecorded, Token
from scheduler.core.model.indexes.usage import Sized
from scheduler.core.values import Change, TaskSpec

# Positions, both ends included, ascending.
Ranges = Sequence[tuple[int, int]]


class JobSubmitted(NamedTuple):
    """CreateJob. Of an array with many items these follow with `JobItemsAdded`; it is `loading`
    until the last of them."""

    queue: QueueName
    job: TaskId
    spec: JobSpec
    template: bytes
    size: int
    open: bool
    loading: bool
    request: Request
    token: Token
    created_by: str = ""
    # Of a graph: its tasks, which follow with `GraphTasksAdded`.
    tasks: Sequence[TaskSpec | GraphArray] = ()
    # The template of its reduces.
    reduce: bytes = b""
    # All `size` items of an array, where they are few: they are on record with it.
    items: Sequence[bytes] = ()


class JobItemsAdded(NamedTuple):
    """Some items, at most 384 KiB unless it is one. `last`: of those that CreateJob brings.

    `checked`: the items before this position are on record as they are here; the caller compared
    them. `appender`: who appends, as the caller says."""

    job: TaskId
    first: int
    items: Sequence[bytes]
    loads: bool
    last: bool
    token: Token
    checked: int = 0
    appender: str = ""


class JobClosed(NamedTuple):
    """CloseJob, or nothing was appended to it for too long (without a token)."""

    job: TaskId
    request: Request
    token: Token


class JobCancelAsked(NamedTuple):
    job: TaskId
    request: Request
    token: Token


class JobPauseAsked(NamedTuple):
    """PauseJob and ResumeJob."""

    job: TaskId
    paused: bool
    request: Request
    token: Token


class JobRetryAsked(NamedTuple):
    job: TaskId
    request: Request
    token: Token


class JobUpdateAsked(NamedTuple):
    """UpdateJob: `make` gives the new spec, `changes` are what the audit log says."""

    job: TaskId
    make: Callable[[JobSpec], JobSpec]
    changes: tuple[Change, ...]
    request: Request
    token: Token


class JobDeleteAsked(NamedTuple):
    job: TaskId
    request: Request
    token: Token


class SubtaskCancelAsked(NamedTuple):
    """CancelTask of a subtask; `task` is `<job>.<index>`."""

    task: TaskId
    request: Request
    token: Token


class SubtaskRetryAsked(NamedTuple):
    """RetryTask of a subtask."""

    task: TaskId
    request: Request
    token: Token


class GraphTasksAdded(NamedTuple):
    """Some tasks of a graph, the first of which is at place `first`. `last`: all of it is there."""

    job: TaskId
    first: int
    specs: Sequence[TaskSpec | GraphArray]
    last: bool
    token: Token


class JobContinued(NamedTuple):
    """Tasks of a job are to be looked at: see `scheduler.core.handlers.finishing`.

    `tasks`: those whose records are wanted; `found`: what is on record of them."""

    job: TaskId
    tasks: tuple[TaskId, ...] = ()
    creator: str = ""
    # A small part: others write, too.
    small: bool = False
    found: Mapping[TaskId, TaskRecorded] | None = None


class IdleJobsDue(NamedTuple):
    """Time to look for open jobs to which nothing was appended for long."""


class JobResultsRead(NamedTuple):
    """The results of a block whose subtasks had all finished, as they were on record in a round of
    its
    job, to be put into few records: each a sequence of (first position, kind, values)."""

    job: TaskId
    block: int
    round: int
    records: Sequence[Sequence[tuple[int, int, Sequence[bytes]]]]
    # Who ran what: (node, chunk, positions).
    origins: Sequence[tuple[NodeName, TaskId, Ranges]] = ()
    # How many of the block had succeeded before they were read.
    succeeded: int = 0


class SubtaskFailed(NamedTuple):
    """One attempt of a subtask; `error` is opaque here."""

    position: int
    error_type: str
    error_message: str
    error: Sized | None
    base_types: tuple[str, ...] = ()


class ChunkReported(NamedTuple):
    """What became of subtasks of a chunk.

    Each range and each run of `results` (first position, kind, values) is as the agent wrote it:
    what is not on record as out with this chunk does not count."""

    instance: InstanceId
    chunk: TaskId
    attempt: int
    number: int
    succeeded: Ranges
    failed: Sequence[SubtaskFailed]
    results: Sequence[tuple[int, int, Sequence[bytes]]]
    returned: Ranges
    seconds: float
