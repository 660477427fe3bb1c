"""What changes the state of a task: the table of allowed transitions, and functions that obey it.

The leader's handlers and a standby's fold call the same functions: both move a task alike. A
transition that is not in the table is our own bug. It is made all the same, because callers may
have seen its effects, and it is put into `State.illegal_moves`. The driver and the fold log what is
there; `scheduler.core.model.invariants` fails on it, so that it fails in tests.

`tools/` draws the state diagram of docs/architecture.md from the table.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from quorate.blobs.names import Blob
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from scheduler.core.model.rows import (
    NO_INSTANCE,
    NOBODY,
    FinishedRow,
    NodeRow,
    QueueRow,
    TaskRow,
)
from scheduler.core.model.state import State
from scheduler.core.model.waits import put_off_until
from scheduler.core.values import PastAttempt, TaskPause, TaskSpec, is_due
from scheduler.core.values import TaskState as S

TRANSITIONS: Final[dict[tuple[S | None, S], str]] = {
    (None, S.PENDING): "created",
    (None, S.SCHEDULED): "created with not_before",
    (None, S.BLOCKED): "created in a graph",
    (S.BLOCKED, S.PENDING): "what it waited for holds",
    (S.BLOCKED, S.SCHEDULED): "what it waited for holds, and not due yet",
    (S.BLOCKED, S.CANCELLED): "cancelled, or skipped",
    (S.PENDING, S.BLOCKED): "its job was paused",
    (S.SCHEDULED, S.BLOCKED): "its job was paused",
    (S.SCHEDULED, S.PENDING): "its time has come",
    (S.SCHEDULED, S.CANCELLED): "cancelled",
    (S.PENDING, S.PAUSED): "paused",
    (S.SCHEDULED, S.PAUSED): "paused",
    (S.PAUSED, S.PENDING): "resumed",
    (S.PAUSED, S.SCHEDULED): "resumed, and not due yet",
    (S.PAUSED, S.CANCELLED): "cancelled",
    (S.PAUSED, S.BLOCKED): "resumed, and its job is paused",
    (S.PENDING, S.RUNNING): "assigned to a node",
    (S.PENDING, S.SCHEDULED): "updated: not_before",
    (S.PENDING, S.CANCELLED): "cancelled",
    (S.PENDING, S.FAILED): "dropped from a full queue",
    (S.PENDING, S.EXPIRED): "start deadline passed",
    (S.RUNNING, S.SUCCEEDED): "attempt succeeded",
    (S.RUNNING, S.SCHEDULED): "attempt failed, backoff",
    (S.RUNNING, S.FAILED): "attempts spent or crash limit",
    (S.RUNNING, S.PENDING): "node lost or attempt returned",
    (S.RUNNING, S.PAUSED): "attempt ended while suspended",
    (S.RUNNING, S.CANCELLED): "cancelled",
    (S.RUNNING, S.BLOCKED): "attempt ended, and its job is paused",
    (S.FAILED, S.BLOCKED): "retried in a graph",
    (S.CANCELLED, S.BLOCKED): "retried in a graph",
    (S.EXPIRED, S.BLOCKED): "retried in a graph",
    (S.FAILED, S.PENDING): "retried by hand",
    (S.CANCELLED, S.PENDING): "retried by hand",
    (S.EXPIRED, S.PENDING): "retried by hand",
    (S.FAILED, S.SCHEDULED): "retried by hand, at a rate",
    (S.EXPIRED, S.SCHEDULED): "retried by hand, at a rate",
    (S.CANCELLED, S.SCHEDULED): "retried by hand, at a rate",
}


def _successors() -> tuple[int, ...]:
    """For each state's number: a bit for each state that may follow it."""
    masks = [0] * (max(S) + 1)
    for start, finish in TRANSITIONS:
        if start is not None:
            masks[start] |= 1 << finish
    return tuple(masks)


def _reachable() -> tuple[int, ...]:
    """For each state's number: a bit for each state that one or more transitions lead to."""
    masks = list(_successors())
    for middle in S:
        for start in S:
            if masks[start] >> middle & 1:
                masks[start] |= masks[middle]
    return tuple(masks)


# Bitmasks, because every transition of every task is checked: 0.05 us.
_NEXT: Final = _successors()
# What a record may say of a task that was in a state: one Txn may join several transitions.
_LATER: Final = _reachable()


class Status(NamedTuple):
    """What the record of a live task says."""

    state: S
    attempt: int
    failures: int
    crashes: int
    node: NodeName
    instance: InstanceId
    assign_time: float
    start_time: float
    not_before: float
    cancel_requested: bool
    past: tuple[PastAttempt, ...]
    expire_at: float
    pause: TaskPause | None
    # See `TaskRow`.
    unknown_fields: bytes
    charged: int = 0
    share: float = 0.0
    snoozes: int = 0


class FinalStatus(NamedTuple):
    """What the record of a finished task says, as far as its row has it."""

    state: S
    attempt: int
    instance: InstanceId
    assign_time: float
    finish_time: float
    # See `State.finish`.
    error: str = ""
    outcome: int = 0
    blob: Blob | None = None
    # Of a task that belongs to a job: see `Member`.
    job_round: int = 0
    skipped: bool = False


def begin(
    state: State,
    task: TaskId,
    queue: QueueRow,
    spec: TaskSpec,
    create_time: float,
    created_by: str = "",
    *,
    blocked: bool = False,
) -> TaskRow:
    """A new task: PENDING, or SCHEDULED when its `not_before` is later than `create_time`.

    Args:
        blocked: it waits for other tasks first.
    """
    row = state.new_row(task, queue, spec, create_time, created_by)
    if blocked:
        _begin_blocked(row, spec)
    state.enter(row)
    return row


def _begin_blocked(row: TaskRow, spec: TaskSpec) -> None:
    # The start deadline of a task of a graph counts from when it may first start.
    row.state = S.BLOCKED
    if spec.start_deadline and row.member is not None and row.member.of.in_graph:
        row.expire_at = -spec.start_deadline


def assign(state: State, row: TaskRow, node: NodeRow, now: float) -> None:
    """PENDING -> RUNNING: the next attempt belongs to `node`."""
    _move(state, row, S.RUNNING)
    row.attempt += 1
    row.node = node.name
    row.instance = node.instance
    # A task's own instants follow one another, also one that a leader ahead of time created.
    row.assign_time = now if now > row.create_time else row.create_time
    row.start_time = 0.0
    state.enter(row)


def requeue(state: State, row: TaskRow, not_before: float = 0.0) -> None:
    """RUNNING -> PENDING, or SCHEDULED until an instant: another attempt is to follow.

    A task that was suspended is PAUSED instead: whoever paused it wants it not to run.
    """
    to = S.SCHEDULED if not_before else S.PENDING
    _move(state, row, to if row.pause is None else S.PAUSED)
    row.not_before = not_before
    row.node = NOBODY
    row.instance = NO_INSTANCE
    row.assign_time = 0.0
    row.start_time = 0.0
    row.charged = 0
    row.share = 0.0
    state.enter(row)


def come_due(state: State, row: TaskRow) -> None:
    """SCHEDULED -> PENDING. Nothing is written: see `scheduler.core.values.is_due`."""
    _move(state, row, S.PENDING)
    row.not_before = 0.0
    state.enter(row)


def pause(state: State, row: TaskRow, pause: TaskPause) -> None:
    """PENDING or SCHEDULED -> PAUSED. When it is due stays on record."""
    _move(state, row, S.PAUSED)
    row.pause = pause
    state.enter(row)


def suspend(row: TaskRow, pause: TaskPause | None) -> None:
    """A RUNNING task is suspended, or (None) goes on."""
    assert row.state is S.RUNNING
    row.pause = pause


def resume(state: State, row: TaskRow, now: float) -> None:
    """PAUSED -> PENDING, or SCHEDULED where its instant is still to come."""
    due = _waits_no_longer(row, now)
    _move(state, row, S.PENDING if due else S.SCHEDULED)
    row.pause = None
    if due:
        row.not_before = 0.0
    state.enter(row)


def block(state: State, row: TaskRow) -> None:
    """A task that waits is BLOCKED: its job starts nothing now. When it is due stays on record."""
    _move(state, row, S.BLOCKED)
    state.enter(row)


def unblock(state: State, row: TaskRow, now: float) -> None:
    """BLOCKED -> PENDING, or SCHEDULED where its instant is still to come."""
    due = _waits_no_longer(row, now)
    row.begin_deadline(max(now, row.not_before))
    _move(state, row, S.PENDING if due else S.SCHEDULED)
    if due:
        row.not_before = 0.0
    state.enter(row)


def _waits_no_longer(row: TaskRow, now: float) -> bool:
    """Whether a task that was held back is PENDING now. One with an ordering key gave its turn away
    meanwhile: it stands in line again instead of waiting for its next attempt."""
    ordered = row.limits is not None and row.limits.ordering
    if ordered and (row.failures or row.snoozed):
        return True
    row.not_before = put_off_until(row, now)
    return not row.not_before or is_due(row.not_before, now)


def reschedule(state: State, row: TaskRow, not_before: float) -> None:
    """A SCHEDULED task is due at another instant."""
    assert row.state is S.SCHEDULED
    state.move(row, S.SCHEDULED)
    row.not_before = not_before
    state.enter(row)


def update(
    state: State,
    row: TaskRow,
    spec: TaskSpec,
    not_before: float | None = None,
    expire_at: float | None = None,
    queue: QueueRow | None = None,
) -> TaskRow:
    """A live task has another spec, or is in another queue; its row from now on.

    The old row is dead: what holds it (a lane, a timer) sees that by its state.

    Args:
        not_before: SCHEDULED until then, PENDING for 0.0; None: as before.
        expire_at: when it expires from now on, 0.0 for never; None: as before.
        queue: where it is from now on; None: as before.
    """
    to = row.state
    if not_before is not None and row.state is not S.PAUSED:
        to = S.SCHEDULED if not_before else S.PENDING
        if to is not row.state and not _NEXT[row.state] >> to & 1:
            state.illegal_moves.append((row.id, row.state, to))
    # First: what the row holds, such as the turn of its ordering key, it gives back here.
    state.move(row, S.CANCELLED)
    new = replace(row)
    new.state = to
    if not_before is not None:
        new.not_before = not_before
    if expire_at is not None:
        new.expire_at = expire_at
    if queue is not None:
        state.rehome(new, queue)
    state.respec(new, spec)
    state.enter(new)
    return new


def finish(
    state: State,
    row: TaskRow,
    final: S,
    finish_time: float,
    error: str = "",
    outcome: int = 0,
    blob: Blob | None = None,
    *,
    skipped: bool = False,
) -> FinishedRow:
    """A live task is finished. For `error`, `outcome` and `blob` see `State.finish`."""
    _move(state, row, final)
    if row.member is not None:
        row.member.round, row.member.skipped = row.member.job.round, skipped
    return state.finish(row, finish_time, error, outcome, blob)


def reopen(
    state: State,
    done: FinishedRow,
    spec: TaskSpec,
    create_time: float,
    created_by: str,
    not_before: float = 0.0,
    past: tuple[PastAttempt, ...] = (),
    now: float = 0.0,
    *,
    blocked: bool = False,
) -> TaskRow:
    """A finished task is retried by hand: with fresh attempts, PENDING, SCHEDULED or BLOCKED.

    Their numbers go on: the fence of the old ones must hold. A start deadline counts from `now`; a
    standby reads what came of that from the status that follows.
    """
    state.revive(done)
    spec = spec._replace(not_before=0.0)
    row = state.new_row(done.id, done.queue, spec, create_time, created_by, done.member)
    if not_before:
        row.state, row.not_before = S.SCHEDULED, not_before
    if spec.start_deadline:
        row.expire_at = max(now, not_before) + spec.start_deadline
    if blocked:
        _begin_blocked(row, spec)
    if not _NEXT[done.state] >> row.state & 1:
        state.illegal_moves.append((done.id, done.state, row.state))
    row.attempt, row.past = done.attempt, past
    del state.finished[done.id]
    state.enter(row)
    return row


def apply_status(state: State, row: TaskRow, status: Status) -> None:
    """Bring a live row to what its record says."""
    _later(state, row, status.state)
    state.move(row, status.state)
    (
        _,
        row.attempt,
        row.failures,
        row.crashes,
        row.node,
        row.instance,
        row.assign_time,
        row.start_time,
        row.not_before,
        row.cancel_requested,
        row.past,
        row.expire_at,
        row.pause,
        row.unknown_fields,
        row.charged,
        row.share,
        row.snoozes,
    ) = status
    state.observe(row.assign_time)
    state.enter(row)


def apply_final_status(state: State, row: TaskRow, status: FinalStatus) -> FinishedRow:
    """Finish a live task as its record says."""
    final, row.attempt, _, assign_time, finish_time, error, outcome, blob, job_round, skipped = (
        status
    )
    _later(state, row, final)
    state.move(row, final)
    if row.member is not None:
        row.member.round, row.member.skipped = job_round, skipped
    state.observe(assign_time)
    return state.finish(row, finish_time, error, outcome, blob)


def _later(state: State, row: TaskRow, to: S) -> None:
    """Check that one or more transitions lead to what a record says."""
    if not _LATER[row.state] >> to & 1:
        state.illegal_moves.append((row.id, row.state, to))


def _move(state: State, row: TaskRow, to: S) -> None:
    """Give `row` another state, out of its indexes: `State.enter` or `State.finish` follows."""
    if not _NEXT[row.state] >> to & 1:
        state.illegal_moves.append((row.id, row.state, to))
    state.move(row, to)
