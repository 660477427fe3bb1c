"""What callers ask for.

`token` is the driver's handle for the caller that waits; the machine passes it on in a `Reply`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from quorate.runtime.ids import NodeName, QueueName, TaskId
from scheduler.core.model.quotas import Quota
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.rows import Control
from scheduler.core.values import (
    Change,
    Disconnect,
    Origin,
    Placement,
    ServiceName,
    ServiceSpec,
    TaskSpec,
    TaskState,
)

Token = Pending[object]


class Request(NamedTuple):
    """A mutating call: what makes it repeatable, its id ("" for none) and its digest; and who asks,
    where that is to be written down (None for what no caller asks for)."""

    id: str = ""
    digest: bytes = b""
    origin: Origin | None = None
    # `<role>:<name>`; "" without authentication. Each caller has request ids of its own.
    caller: str = ""


class TaskSubmitted(NamedTuple):
    """CreateTask."""

    queue: QueueName
    task: TaskId
    spec: TaskSpec
    request: Request
    token: Token
    created_by: str = ""


class BatchSubmitted(NamedTuple):
    """BatchCreateTasks: `first` is the id of `specs[0]`, the others follow it."""

    queue: QueueName
    first: TaskId
    specs: Sequence[TaskSpec]
    request: Request
    token: Token
    created_by: str = ""
    # In small parts: others write, too.
    small: bool = False


class BatchContinued(NamedTuple):
    """The next part of a batch may be written."""

    queue: QueueName
    first: TaskId
    specs: Sequence[TaskSpec]
    request: Request
    token: Token
    progress: int
    created_by: str = ""
    # A small one: others write, too.
    small: bool = False


class TaskCancelAsked(NamedTuple):
    task: TaskId
    request: Request
    token: Token


class TasksCancelAsked(NamedTuple):
    """CancelTasks: up to 10,000 tasks, each once.

    `states`: only those in one of these; all that are not finished when empty. `offset`: how many
    this very call dealt with before `tasks[0]`, where a filter found only the rest again.
    `page_end`: where the filter stopped looking, "" for the last page. `subject` and `changes` are
    for the audit log: kind, name, queue.
    """

    tasks: Sequence[TaskId]
    states: frozenset[TaskState]
    request: Request
    token: Token
    offset: int = 0
    page_end: TaskId = TaskId("")
    subject: tuple[str, str, str] = ("task", "", "")
    changes: tuple[Change, ...] = ()
    # In small parts: others write, too.
    small: bool = False


class TasksCancelContinued(NamedTuple):
    """The next part of CancelTasks may be written: `asked.tasks[place:]` are left, and `counts` is
    what the others came to."""

    asked: TasksCancelAsked
    place: int
    counts: tuple[int, ...]
    # A small one: others write, too.
    small: bool = False


class TaskRetryAsked(NamedTuple):
    """RetryTask, with the spec read back from etcd, and who created it."""

    task: TaskId
    spec: TaskSpec
    create_time: float
    request: Request
    token: Token
    created_by: str = ""
    # What the spec's record holds that this version does not know:
    # `scheduler.storage.unknown_fields`.
    unknown_fields: bytes = b""


class TaskDeleteAsked(NamedTuple):
    task: TaskId
    request: Request
    token: Token


class QueueSubmitted(NamedTuple):
    queue: QueueName
    placement: Placement
    disconnect: Disconnect
    retention_age: float
    retention_count: int
    request: Request
    token: Token


class QueueDeleteAsked(NamedTuple):
    queue: QueueName
    request: Request
    token: Token


class QueuePauseAsked(NamedTuple):
    queue: QueueName
    paused: bool
    request: Request
    token: Token


class QuotaSubmitted(NamedTuple):
    """SetQuota: of the caller or queue (`kind`) of this name."""

    kind: str
    name: str
    quota: Quota
    request: Request
    token: Token


class NodeControlAsked(NamedTuple):
    """CordonNode, UncordonNode, DrainNode."""

    node: NodeName
    control: Control
    request: Request
    token: Token


class ServiceSubmitted(NamedTuple):
    """CreateService. `changes` are for the audit log: the spec is opaque here."""

    service: ServiceName
    spec: ServiceSpec
    request: Request
    token: Token
    changes: tuple[Change, ...] = ()


class ServiceUpdateAsked(NamedTuple):
    """UpdateService: `spec` was made from the one of `version`, which must still be the newest."""

    service: ServiceName
    spec: ServiceSpec
    version: int
    request: Request
    token: Token
    changes: tuple[Change, ...] = ()


class ServiceDeleteAsked(NamedTuple):
    service: ServiceName
    request: Request
    token: Token
