"""What becomes of attempts: assigned to a node, started, ended, returned, lost.

Every report is fenced: it counts only for the attempt number and the agent process on record. A
stale one is acknowledged (so that the agent forgets it) and changes nothing.

When an attempt began decides whether the loss of its node counts against its task, so it has to be
on record for whoever leads then: a task may take the leader's machine down with its own. That is a
write more, which short attempts are not worth: it is made once an attempt has lived for `LIVED`
seconds, or at once where one of the task was lost before.
"""

from __future__ import annotations

from zlib import crc32

from quorate.blobs.names import REPORT_WITHIN, may_be_named
from quorate.runtime.attempts.outcomes import SNOOZED
from quorate.runtime.ids import InstanceId, TaskId
from scheduler.core.handlers import shares, start_limits
from scheduler.core.handlers.chunks import life as chunks
from scheduler.core.handlers.chunks.giving import job_begins
from scheduler.core.handlers.finishing import CANCELLED, cancel_now, finish, held_back
from scheduler.core.model import transitions
from scheduler.core.model.effects import (
    Acknowledge,
    Effects,
    EndAttempt,
    PutChunk,
    PutRun,
    StartAttempt,
)
from scheduler.core.model.events import (
    AttemptFailed,
    AttemptLived,
    AttemptLost,
    AttemptReturned,
    AttemptStarted,
    AttemptSucceeded,
    StartsDue,
    SubtaskFailed,
)
from scheduler.core.model.indexes.texts import error_text
from scheduler.core.model.indexes.usage import Sized
from scheduler.core.model.rows import NodeRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import (
    MAX_PAST,
    NO_LIMITS,
    PAST_TEXT,
    HookEnds,
    PastAttempt,
    TaskState,
)

NODE_LOST = "NODE_LOST"
BLOB_NOT_FOUND = "BLOB_NOT_FOUND"
CRASH_LIMIT = "CRASH_LIMIT"
EXIT_CODE = "EXIT_CODE"
NOT_REPORTED = "NOT_REPORTED"
# Seconds after which a replica that ran is no longer one that keeps failing.
_GOOD_RUN = 60.0
# Seconds that an attempt has to live until it is on record when it began.
LIVED = 1.0
# Starts put on record in one step, and looked at: each bounds how long it holds the loop.
_KEPT_AT_ONCE = 500
_LOOKED_AT_ONCE = 5_000


def assign(state: State, row: TaskRow, node: NodeRow, now: float, out: Effects) -> None:
    """Give a PENDING task to a node."""
    transitions.assign(state, row, node, now)
    if row.limits is not None or row.queue.limits is not NO_LIMITS:
        start_limits.charge(state, row, now, out)
    if row.tenant or row.queue.pending.tenants:
        shares.charge(state, row, out)
    if state.slot_time.on:
        shares.charge_queue(state, row)
    out.writes.append(PutRun(row))
    out.after.append(StartAttempt(row, row.attempt, node.instance))
    if row.member is not None:
        job_begins(row.member.job, now, out)


def on_attempt_started(state: State, event: AttemptStarted, now: float, out: Effects) -> None:
    row = _current(state, event.task, event.attempt, event.instance)
    if row is not None:
        began(state, row, now, out)


def began(state: State, row: TaskRow, start: float, out: Effects) -> None:
    """The current attempt is known to have begun at `start`, on the leader's clock."""
    if row.start_time > 0.0:
        return
    row.start_time = start if start > row.assign_time else row.assign_time
    watched = row.past and row.past[-1].error_type == NODE_LOST
    if watched or (row.chunk is not None and row.chunk.suspect):
        # The next loss may come within the second, and may be that of the leader too.
        out.then.append(AttemptLived(row.id, row.attempt, row.instance))
    else:
        # By this leader's time, by which they are looked at.
        state.recent_starts.append((min(start, state.last_instant), row.id, row.attempt))


def starts_due(state: State, now: float) -> bool:
    """Whether `StartsDue` has something to do."""
    return bool(state.recent_starts) and state.recent_starts[0][0] <= now - LIVED


def on_starts_due(state: State, event: StartsDue, now: float, out: Effects) -> None:
    """Attempts that began `LIVED` seconds ago and go on are to be on record as begun."""
    recent_starts = state.recent_starts
    for _ in range(_LOOKED_AT_ONCE):
        if not starts_due(state, now) or len(out.then) >= _KEPT_AT_ONCE:
            return
        _, task, attempt = recent_starts.popleft()
        row = state.tasks.get(task) or state.chunks.get(task)
        if row is not None and row.state is TaskState.RUNNING and row.attempt == attempt:
            out.then.append(AttemptLived(task, attempt, row.instance))


def on_attempt_lived(state: State, event: AttemptLived, now: float, out: Effects) -> None:
    """An event of its own for each: the writes of one event are one Txn, which may hold few."""
    row = _current(state, event.task, event.attempt, event.instance)
    if row is not None:
        out.writes.append(PutRun(row) if row.chunk is None else PutChunk(row))


def on_attempt_succeeded(state: State, event: AttemptSucceeded, now: float, out: Effects) -> None:
    blob = event.blob
    if blob is not None and not may_be_named(blob, now, REPORT_WITHIN):
        # It may be deleted at any moment: nothing named it for too long.
        on_attempt_failed(state, _reported_late(event), now, out)
        return
    row = _current(state, event.task, event.attempt, event.instance)
    if row is not None:
        row.start_time = _began(row, event.start_time, event.finish_time, now)
        if row.chunk is not None:
            why = "the agent ended a chunk without a word of this subtask"
            chunks.ended(state, row, now, out, failed=SubtaskFailed(0, NOT_REPORTED, why, None))
        elif row.replica is None:
            put = PutRun(row, now, event.result, hooks=event.hooks)
            finish(state, row, TaskState.SUCCEEDED, now, out, put, blob=blob)
        elif row.cancel_requested:
            message = "ended when asked to, with exit code 0"
            put = PutRun(row, now, error_type=CANCELLED, error_message=message)
            finish(state, row, TaskState.CANCELLED, now, out, put)
        else:
            message = "the program ended with exit code 0; it is started again"
            _restart(state, row, EXIT_CODE, message, now, out, None)
    out.after.append(Acknowledge(event.instance, event.task, event.attempt))


def _reported_late(event: AttemptSucceeded) -> AttemptFailed:
    """What becomes of a large result that was uploaded too long ago, or by a clock far ahead."""
    message = (
        f"the result was uploaded at {event.blob.instant if event.blob else 0:.0f} (seconds since "
        f"1970, by the node's clock) and reported later than {REPORT_WITHIN:.0f} s after that, "
        "or before it"
    )
    return AttemptFailed(
        event.instance,
        event.task,
        event.attempt,
        event.start_time,
        event.finish_time,
        BLOB_NOT_FOUND,
        message,
        None,
        hooks=event.hooks,
    )


def on_attempt_failed(state: State, event: AttemptFailed, now: float, out: Effects) -> None:
    row = _current(state, event.task, event.attempt, event.instance)
    if row is not None:
        row.start_time = _began(row, event.start_time, event.finish_time, now)
        error, hooks = event.error, event.hooks
        put = PutRun(row, now, None, error, event.error_type, event.error_message, hooks)
        if row.chunk is not None:
            failed = SubtaskFailed(
                0, event.error_type, event.error_message, event.error, event.base_types
            )
            chunks.ended(state, row, now, out, failed=failed)
        elif row.cancel_requested or (event.error_type == CANCELLED and row.replica is None):
            finish(state, row, TaskState.CANCELLED, now, out, put)
        elif row.replica is not None:
            _restart(state, row, event.error_type, event.error_message, now, out, event.error)
        elif event.snooze:
            _snooze(state, row, event, now, out)
        else:
            _failed(state, row, event, now, out, put)
    out.after.append(Acknowledge(event.instance, event.task, event.attempt))


def on_attempt_returned(state: State, event: AttemptReturned, now: float, out: Effects) -> None:
    row = _current(state, event.task, event.attempt, event.instance)
    if row is not None:
        if row.charged and not row.start_time:
            start_limits.refund(state, row, out)
        if row.chunk is not None:
            chunks.ended(state, row, now, out)
            out.after.append(Acknowledge(event.instance, event.task, event.attempt))
            return
        if row.share or state.slot_time.on:
            shares.correct(state, row, now, out, began=bool(row.start_time))
        _give_back(state, row, now, out)
    out.after.append(Acknowledge(event.instance, event.task, event.attempt))


def on_attempt_lost(state: State, event: AttemptLost, now: float, out: Effects) -> None:
    row = _current(state, event.task, event.attempt, event.instance)
    if row is None:
        return
    if row.chunk is not None:
        _end_where_registered_again(state, row, event, out)
        chunks.ended(state, row, now, out, lost=event.why)
        return
    # An attempt that never began cannot have been what killed the node. It is remembered all the
    # same: if it did begin, and the leader that knew went with the node, the next one is watched.
    if row.start_time > 0.0:
        row.crashes += 1
    _remember_past(row, now, NODE_LOST, event.why)
    _end_where_registered_again(state, row, event, out)
    if row.crashes >= row.retry.crash_limit and not row.cancel_requested:
        message = f"{row.crashes} nodes died while it ran; the limit is {row.retry.crash_limit}"
        put = PutRun(row, now, error_type=CRASH_LIMIT, error_message=message)
        finish(state, row, TaskState.FAILED, now, out, put, error_text(CRASH_LIMIT, message))
    else:
        _give_back(state, row, now, out)


def _end_where_registered_again(
    state: State, row: TaskRow, event: AttemptLost, out: Effects
) -> None:
    """A lost process that has registered again must not go on with what is given away."""
    node = state.nodes.get(row.node)
    if node is not None and node.instance == event.instance:
        out.after.append(EndAttempt(event.instance, event.task, event.attempt))


def end_if_unknown(
    state: State, task: TaskId, attempt: int, instance: InstanceId, out: Effects
) -> TaskRow | None:
    """The row of an attempt that an agent has; an unknown attempt is ended."""
    row = _current(state, task, attempt, instance)
    if row is None or row.cancel_requested:
        out.after.append(EndAttempt(instance, task, attempt))
    return row


def _current(state: State, task: TaskId, attempt: int, instance: InstanceId) -> TaskRow | None:
    row = state.tasks.get(task) or state.chunks.get(task)
    if (
        row is None
        or row.state is not TaskState.RUNNING
        or row.attempt != attempt
        or row.instance != instance
    ):
        return None
    return row


def _began(row: TaskRow, start: float, finish: float, now: float) -> float:
    """When an attempt began, on the leader's clock: agents' clocks count for durations only."""
    began = now - (finish - start) if finish > start else now
    return began if began > row.assign_time else row.assign_time


def _failed(
    state: State, row: TaskRow, event: AttemptFailed, now: float, out: Effects, put: PutRun
) -> None:
    row.failures += 1
    if row.failures >= row.retry.max_attempts or _is_fatal(row, event):
        error = error_text(event.error_type, event.error_message)
        finish(state, row, TaskState.FAILED, now, out, put, error)
        return
    _back_off(state, row, event.error_type, event.error_message, now, out, put)


def _is_fatal(row: TaskRow, event: AttemptFailed) -> bool:
    """Whether the task wants no further attempt after such an error: as `except` matches."""
    fatal = row.retry.fatal_errors
    return bool(fatal) and (
        event.error_type in fatal or any(name in fatal for name in event.base_types)
    )


def _restart(
    state: State,
    row: TaskRow,
    error_type: str,
    message: str,
    now: float,
    out: Effects,
    error: Sized | None,
) -> None:
    """A replica's program ended: it is run again, for ever, whatever way it ended.

    Only programs that keep ending soon are held back for longer and longer.
    """
    row.failures = 1 if now - row.start_time >= _GOOD_RUN else row.failures + 1
    put = PutRun(row, now, None, error, error_type, message)
    _back_off(state, row, error_type, message, now, out, put)


def _back_off(
    state: State,
    row: TaskRow,
    error_type: str,
    message: str,
    now: float,
    out: Effects,
    put: PutRun,
) -> None:
    """SCHEDULED until the backoff is over."""
    draw = crc32(f"{row.id}:{row.attempt}".encode()) / 2**32
    if row.share or state.slot_time.on:
        shares.correct(state, row, now, out)
    _remember_past(row, now, error_type, message, put.hooks)
    transitions.requeue(state, row, now + row.retry.backoff(row.failures, draw))
    if row.member is not None:
        held_back(state, row)
    out.writes.append(put)


def _snooze(state: State, row: TaskRow, event: AttemptFailed, now: float, out: Effects) -> None:
    """SCHEDULED until the time that it asked for: no failure, and its start deadline is met."""
    if row.share or state.slot_time.on:
        shares.correct(state, row, now, out)
    _remember_past(row, now, SNOOZED, event.error_message, event.hooks)
    row.expire_at, row.snoozes = 0.0, row.snoozes + 1
    transitions.requeue(state, row, now + event.snooze)
    if row.member is not None:
        held_back(state, row)
    out.writes.append(PutRun(row))


def _give_back(state: State, row: TaskRow, now: float, out: Effects) -> None:
    """PENDING again, without a fault of the task's own."""
    if row.cancel_requested:
        cancel_now(state, row, now, out)
        return
    if row.share or state.slot_time.on:
        shares.correct(state, row, now, out)
    transitions.requeue(state, row)
    if row.member is not None:
        held_back(state, row)
    out.writes.append(PutRun(row))


def _remember_past(
    row: TaskRow, now: float, error_type: str, message: str, hooks: HookEnds | None = None
) -> None:
    past = PastAttempt(
        row.attempt,
        row.node,
        row.instance,
        row.assign_time,
        row.start_time,
        max(now, row.assign_time, row.start_time),
        error_type[:PAST_TEXT],
        message[:PAST_TEXT],
        hooks=hooks,
    )
    row.past = (*row.past[-(MAX_PAST - 1) :], past)
