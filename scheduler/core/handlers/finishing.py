"""The end of a task, and what follows from it for the job that it belongs to.

What hangs on a task of a graph is decided in the step of its end: who waited for it is PENDING, or
is skipped, and so on for whoever waited for those; when nothing is left the job ends. Where that is
too much for one Txn the rest follows in parts (`JobContinued`), until no task is `Members.due`.
Nothing of that is stored: a new leader looks at all tasks of jobs anew (`on_elected`).

    BLOCKED --all dependencies hold--> PENDING
            --one can no longer hold--> CANCELLED, SKIPPED
    waiting --the job is paused--> BLOCKED
            --the job ends early--> CANCELLED
    CANCELLED, SKIPPED --what it waited for is retried--> BLOCKED
"""

from __future__ import annotations

from typing import Final, cast

from quorate.blobs.names import Blob
from quorate.v1 import task_pb2
from scheduler.core.graphs.members import Condition, Member, Members, condition_of
from scheduler.core.handlers import shares, unique_windows
from scheduler.core.handlers.chunks import graph_arrays
from scheduler.core.handlers.chunks.ending import advance, end_early, go_on
from scheduler.core.model import transitions
from scheduler.core.model.effects import Effects, EndAttempt, NotifyFinished, PutRun
from scheduler.core.model.effects.ended import Ended
from scheduler.core.model.indexes.texts import error_text
from scheduler.core.model.indexes.usage import outcome_units
from scheduler.core.model.jobs import moves
from scheduler.core.model.rows import FinishedRow, JobRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.values import SKIPPED, Change, EventsTo, JobState, TaskState

CANCELLED = "CANCELLED"
# Writes of one event up to which tasks of a job are moved on in its Txn; the rest follows in parts,
# which are larger.
MOST_WRITES: Final = 10
# Tasks looked at in one step: bounds how long it holds the loop.
_LOOKED_AT: Final = 1_000
_WAITS: Final = (TaskState.PENDING, TaskState.SCHEDULED)


def finish(
    state: State,
    row: TaskRow,
    final: TaskState,
    now: float,
    out: Effects,
    put: PutRun,
    error: str = "",
    blob: Blob | None = None,
) -> None:
    """A live task is finished; `put` says how. For `error` and `blob` see `State.finish`."""
    done = _end(state, row, final, now, out, put, error, blob)
    if done.member is not None:
        task_ended(state, done.member, now, out)


def cancel_now(
    state: State, row: TaskRow, now: float, out: Effects, why: str = "cancelled by a caller"
) -> None:
    """End a task that waits."""
    put = PutRun(row, now, error_type=CANCELLED, error_message=why)
    finish(state, row, TaskState.CANCELLED, now, out, put)


def fail_waiting(
    state: State, row: TaskRow, now: float, out: Effects, error_type: str, message: str
) -> None:
    """A task that waits is FAILED."""
    put = PutRun(row, now, error_type=error_type, error_message=message)
    finish(state, row, TaskState.FAILED, now, out, put, error_text(error_type, message))


def cancel_live(state: State, row: TaskRow, now: float, out: Effects) -> Change | None:
    """Cancel a live task: at once when it waits, a running attempt is ended first.

    What changed, for the audit log; None where it was asked for before.
    """
    before = row.state
    if before is not TaskState.RUNNING:
        cancel_now(state, row, now, out)
        return Change("state", before.name, row.state.name)
    return _stop(state, row, out)


def _stop(state: State, row: TaskRow, out: Effects) -> Change | None:
    change = None
    if not row.cancel_requested:
        row.cancel_requested = True
        out.writes.append(PutRun(row))
        change = Change("cancel_requested", "false", "true")
        if row.replica is not None:
            # It is replaced at once, not when it has drained.
            state.touch(row.replica.service)
    out.after.append(EndAttempt(row.instance, row.id, row.attempt))
    return change


def _end(
    state: State,
    row: TaskRow,
    final: TaskState,
    now: float,
    out: Effects,
    put: PutRun,
    error: str = "",
    blob: Blob | None = None,
    *,
    skipped: bool = False,
) -> FinishedRow:
    end = now
    if now < row.create_time or now < row.assign_time or now < row.start_time:
        # The leader before was ahead of time.
        end = max(row.create_time, row.assign_time, row.start_time)
        put = put._replace(finish_time=end)
    if row.share or state.slot_time.on:
        shares.correct(state, row, now, out)
    out.writes.append(put)
    outcome = outcome_units(put.result if put.result is not None else put.error)
    if row.limits is not None and row.limits.window and final is not TaskState.SUCCEEDED:
        unique_windows.free(state, row, out)
    done = transitions.finish(state, row, final, end, error, outcome, blob, skipped=skipped)
    out.after.append(NotifyFinished(done))
    if row.queue.events is not None and not row.from_event:
        _announce(row, row.queue.events, final, end, put, out)
    return done


def _announce(
    row: TaskRow, to: EventsTo, final: TaskState, end: float, put: PutRun, out: Effects
) -> None:
    kind, message = put.error_type, put.error_message
    if put.error is not None:
        error = cast("task_pb2.TaskError", put.error)
        kind, message = error.type, error.message
    out.announce(
        Ended(
            *("task", row.id, row.queue.name, to, final.name, row.attempt),
            *(row.create_time, end, kind, message),
            labels=row.labels,
        )
    )


# -- tasks of jobs


def task_ended(state: State, member: Member[JobRow], now: float, out: Effects) -> None:
    """A task of a job has finished, and that is among the writes."""
    if member.job.members is not None:
        member.job.members.ended(member)
    move_on(state, member.job, now, out)


def held_back(state: State, row: TaskRow) -> None:
    """A task of a job waits again: it must not start where its job is paused."""
    if row.member is not None and row.member.job.held and row.state in _WAITS:
        transitions.block(state, row)


def move_on(
    state: State,
    job: JobRow,
    now: float,
    out: Effects,
    *,
    write: bool = False,
    most: int = 0,
) -> None:
    """Look at the tasks that are due, as many as there is room for, and at the job's end.

    Args:
        write: the job's record is to be written in any case.
        most: writes of the event, beside a few; MOST_WRITES when 0.
    """
    members = job.members
    if members is None or job.waits:
        advance(state, job, now, out, write=write)
        return
    most = most or MOST_WRITES
    for _ in range(_LOOKED_AT):
        if not members.due or len(out.writes) >= most:
            break
        task, _ = members.due.popitem(last=False)
        member = members.tasks.get(task)
        if member is not None:
            _look(state, members, member, now, out)
    advance(state, job, now, out, write=write)


def look_anew(job: JobRow, out: Effects) -> None:
    """A new leader: nothing is known of what is to be done for the tasks of a live job."""
    members = job.members
    if members is None or job.finished:
        return
    members.led = True
    members.due.clear()
    members.wanted.clear()
    members.continuing = False
    for member in members.tasks.values():
        member.cursor = 0
    if job.ending is not None:
        members.end_all()
    else:
        members.look_at(TaskState.BLOCKED, *_WAITS, *graph_arrays.ENDED_BADLY)
        for array in members.arrays.values():
            # One that runs may wait for what has ended since.
            members.due[array.id] = None
    # The leader before may have had some to look at when the last task ended: then the job's end is
    # not on record, and no outcome comes that would bring it.
    go_on(job, out, anyway=not members.live)


def reopened(state: State, row: TaskRow, now: float, out: Effects) -> None:
    """A finished task of a job is BLOCKED again. It may go on at once; so may whatever was skipped
    because of it. Its record is written afterwards."""
    member = row.member
    assert member is not None
    job = member.job
    members = job.members
    assert members is not None
    _revive(state, job, now, out)
    if member.of.in_graph:
        members.reopened(member)
    if job.ending is not None or job.waits or members.broken(member) is not None:
        members.due[member.task] = None
    elif not job.held and members.ready(member):
        transitions.unblock(state, row, now)


def _again(member: Member[JobRow], out: Effects) -> None:
    """An array of a graph is live again: it is to be looked at, and what was skipped for it."""
    members = member.job.members
    assert members is not None
    members.reopened(member)
    members.due[member.task] = None
    go_on(member.job, out)


def _revive(state: State, job: JobRow, now: float, out: Effects) -> None:
    """A job of which a task is live again is ACTIVE; so is the graph that it is part of."""
    if not job.finished:
        return
    if job.member is not None and job.member.stale:
        # Its graph is retried, and has not come to it yet.
        graph_arrays.reopen(state, job, job.member, out)
        _again(job.member, out)
        return
    job.state, job.finish_time, job.settled, job.reason = JobState.ACTIVE, 0.0, False, ""
    if job.member is not None:
        # It is live there first: else the graph would end at once.
        moves.account(state, job)
        graph = job.member.job
        _revive(state, graph, now, out)
        _again(job.member, out)
    advance(state, job, now, out, write=True)


def to_reopen(members: Members[JobRow], member: Member[JobRow]) -> bool:
    """Whether a finished task is to be live again, though nobody asked for it by name."""
    job = member.job
    if job.over or member.state not in graph_arrays.ENDED_BADLY:
        return False
    return member.stale or (member.skipped and members.broken(member) is None)


def _look(
    state: State, members: Members[JobRow], member: Member[JobRow], now: float, out: Effects
) -> None:
    """Bring one task to what its job and the others are now."""
    if member.part is not None:
        _look_at_array(state, members, member, member.part, now, out)
        return
    job, row = member.job, state.tasks.get(member.task)
    if row is None:
        if to_reopen(members, member):
            members.wanted[member.task] = None
    elif job.ending is not None:
        if row.state is TaskState.RUNNING:
            if not row.cancel_requested:
                _stop(state, row, out)
            return
        why = job.reason or "its job ends"
        put = PutRun(row, now, error_type=CANCELLED, error_message=f"its job: {why}")
        _end(state, row, TaskState.CANCELLED, now, out, put)
    elif job.held:
        if row.state in _WAITS:
            transitions.block(state, row)
            out.writes.append(PutRun(row))
    elif row.state is TaskState.BLOCKED:
        _decide(state, members, member, row, now, out)


def _look_at_array(
    state: State,
    members: Members[JobRow],
    member: Member[JobRow],
    array: JobRow,
    now: float,
    out: Effects,
) -> None:
    """Bring an array to what its graph and the others are now."""
    graph = member.job
    if array.finished:
        if to_reopen(members, member):
            graph_arrays.reopen(state, array, member, out)
            _again(member, out)
    elif graph.ending is not None:
        if array.ending is None:
            end_early(array, JobState.CANCELLED, f"its job: {graph.reason or 'its job ends'}", out)
        move_on(state, array, now, out, write=True)
    elif not array.waits:
        # Its end may hang on one that has ended; and tasks that were added to it on its graph.
        move_on(state, array, now, out)
    elif graph.held:
        return
    elif (broken := members.broken(member)) is not None:
        why = _why_skipped(members, member, broken)
        if array.members is not None and array.members.live:
            # Tasks that were added to it, and retried by name, wait with it: these first.
            array.skipped = True
            end_early(array, JobState.CANCELLED, why, out)
            move_on(state, array, now, out, write=True)
            return
        graph_arrays.skip(state, array, why, now, out)
        members.ended(member)
    elif members.ready(member):
        array.blocked = False
        move_on(state, array, now, out, write=True)


def _decide(
    state: State,
    members: Members[JobRow],
    member: Member[JobRow],
    row: TaskRow,
    now: float,
    out: Effects,
) -> None:
    broken = members.broken(member)
    if broken is not None:
        why = _why_skipped(members, member, broken)
        put = PutRun(row, now, error_type=SKIPPED, error_message=why)
        _end(state, row, TaskState.CANCELLED, now, out, put, skipped=True)
        members.ended(member)
    elif members.ready(member):
        transitions.unblock(state, row, now)
        out.writes.append(PutRun(row))


_WANTS: Final = {
    Condition.EACH: "succeeds in part",
    Condition.ON_SUCCESS: "succeeds",
    Condition.ON_FAILURE: "fails",
}


def _why_skipped(members: Members[JobRow], member: Member[JobRow], code: int) -> str:
    other = members.nodes[code >> 3]
    found = "was skipped" if other.skipped else f"is {other.state.name}"
    wants = _WANTS[condition_of(code)]
    return f'"{member.of.name}" runs only if "{other.of.name}" {wants}, and that {found}'
