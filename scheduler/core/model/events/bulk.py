"""Calls about many tasks: CancelTasks, RetryTasks, DeleteTasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from quorate.runtime.ids import QueueName, TaskId
from scheduler.core.model.events.calls import Request, TaskRecorded, Token
from scheduler.core.values import BulkAct, Change, TaskSpec, TaskState


class SpecUpdate(NamedTuple):
    """What becomes of a spec: `make` gives the new one, whatever the old one was.

    `moves`: its `not_before` is meant too; the task then waits until that, or no longer. `expires`:
    its start deadline is meant. `queue`: where the tasks go; empty: they stay. `size`: bytes that a
    spec may grow by. `limits`: the shared limits that it names from now on, where they are meant. A
    task for which there is no new spec is left alone.
    """

    make: Callable[[TaskSpec], TaskSpec | None]
    moves: bool = False
    expires: bool = False
    queue: QueueName = QueueName("")
    size: int = 0
    limits: tuple[str, ...] = ()


class BulkAsked(NamedTuple):
    """One call about up to 10,000 tasks, each once.

    `states`: only those in one of these; all that the act is about when empty. `offset`: how many
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
    act: BulkAct = BulkAct.CANCEL
    # Of RetryTasks: tasks a second (0: at once), and the instant of the first one, where pages
    # before this one took the instants until then.
    rate: float = 0.0
    start: float = 0.0
    # Of UpdateTasks.
    update: SpecUpdate | None = None


class BulkContinued(NamedTuple):
    """The next part of the call may be written: `asked.tasks[place:]` are left, and `counts` is
    what the others came to."""

    asked: BulkAsked
    place: int
    counts: tuple[int, ...]
    # A small one: others write, too.
    small: bool = False
    # When the call began, on any leader.
    began: float = 0.0
    # What acts that need records have of `asked.tasks[place:until]`; None: not read yet.
    found: Mapping[TaskId, TaskRecorded] | None = None
    until: int = 0
