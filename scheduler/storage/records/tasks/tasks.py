"""Tasks as records: the spec, written once, and the status, written with every transition."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.v1 import task_pb2
from scheduler.core.model import effects as fx
from scheduler.core.model.indexes.texts import error_text
from scheduler.core.model.indexes.usage import UNIT, outcome_units
from scheduler.core.model.transitions import FinalStatus, Status
from scheduler.core.values import (
    DEAD,
    FINISHED,
    MAX_PAST,
    PAST_TEXT,
    SKIPPED,
    HookEnd,
    HookEnds,
    MemberOf,
    PastAttempt,
    TaskPause,
    TaskState,
)
from scheduler.storage.records.tasks.specs import blob_of_message
from scheduler.storage.unknown_fields import unknown_fields


class NewerRecord(Exception):
    """A record cannot be understood by this version: its process must not lead, and ends."""


def task_value(write: fx.PutTask) -> bytes:
    """The record of a task's spec, serialized."""
    record = r.TaskRecord()
    record.spec = write.spec
    record.create_time = write.row.create_time
    record.created_by = write.created_by
    if write.row.member is not None:
        record.member.CopyFrom(member_record(write.row.member.of))
    if write.unknown_fields:
        record.MergeFromString(write.unknown_fields)
    return record.SerializeToString()


def member_record(of: MemberOf) -> r.MemberRecord:
    """What a task is in its job, as a record."""
    record = r.MemberRecord(job=of.job, name=of.name, in_graph=of.in_graph, depends_on=of.edges)
    for parameter, place in of.inputs:
        record.inputs.add(parameter=parameter, place=place)
    return record


def task_member(record: r.TaskRecord) -> MemberOf | None:
    """What a task is in its job, as its record says."""
    return read_member(record.member) if record.HasField("member") else None


def read_member(found: r.MemberRecord) -> MemberOf:
    """Undoes `member_record`."""
    inputs = tuple((one.parameter, one.place) for one in found.inputs)
    return MemberOf(TaskId(found.job), found.name, found.in_graph, tuple(found.depends_on), inputs)


def have_one_record(one: fx.PutTask, other: fx.PutTask) -> bool:
    """Whether `task_value` is the same for both; told from what can be compared at once."""
    return (
        one.spec is other.spec
        and one.row.create_time == other.row.create_time
        and one.created_by == other.created_by
        and one.unknown_fields == other.unknown_fields
        and one.row.member is None
        and other.row.member is None
    )


def run_record(write: fx.PutRun) -> r.RunRecord:
    """The status record of a task as it is now."""
    return r.RunRecord.FromString(run_value(write))


def run_value(write: fx.PutRun) -> bytes:
    """The status record of a task as it is now, serialized: two parts, behind one another."""
    row = write.row
    assigned = _assigned(row.state, row.attempt, row.node, row.instance, row.assign_time)
    history = (
        row.failures
        or row.crashes
        or row.past
        or row.not_before
        or row.cancel_requested
        or row.charged
        or row.share
        or row.pause
    )
    expires = row.expire_at and row.state not in FINISHED
    if not (row.start_time or write.finish_time or history or expires or row.unknown_fields):
        return assigned
    rest = r.RunRecord()
    if row.start_time:
        rest.start_time = row.start_time
    if write.finish_time:
        rest.finish_time = write.finish_time
        if write.result is not None:
            rest.result.CopyFrom(write.result)  # type: ignore[arg-type]
        elif write.error is not None:
            rest.error.CopyFrom(write.error)  # type: ignore[arg-type]
        elif write.error_type:
            rest.error.type = write.error_type
            rest.error.message = write.error_message
        if write.hooks is not None:
            rest.hooks.CopyFrom(_hooks_record(write.hooks))
        if row.member is not None:
            rest.job_round = row.member.round
    if history:
        rest.failures = row.failures
        rest.crashes = row.crashes
        rest.not_before = row.not_before
        rest.cancel_requested = row.cancel_requested
        rest.past.extend(map(_past_record, row.past))
        rest.charged = row.charged
        rest.share_charged = row.share
        rest.snoozes = row.snoozes
    if expires:
        rest.expire_time = row.expire_at
    if row.pause is not None and row.state in (TaskState.PAUSED, TaskState.RUNNING):
        by, reason, since = row.pause
        rest.pause.MergeFrom(r.TaskPauseRecord(by=by, reason=reason, since=since))
    if row.unknown_fields:
        rest.MergeFromString(row.unknown_fields)
    return assigned + rest.SerializeToString()


# Tasks that were assigned to a node in one step share it.
@lru_cache(maxsize=1024)
def _assigned(
    state: TaskState, attempt: int, node: NodeName, instance: InstanceId, assign_time: float
) -> bytes:
    """The part of a status record that says where a task runs, serialized."""
    record = r.RunRecord(
        state=int(state),  # type: ignore[arg-type]
        attempt=attempt,
        node=node,
        instance=instance,
        assign_time=assign_time,
    )
    return record.SerializeToString()


def _past_record(past: PastAttempt) -> r.PastAttempt:
    record = r.PastAttempt(
        number=past.number,
        node=past.node,
        instance=past.instance,
        assign_time=past.assign_time,
        start_time=past.start_time,
        finish_time=past.finish_time,
        error_type=past.error_type,
        error_message=past.error_message,
    )
    if past.hooks is not None:
        record.hooks.CopyFrom(_hooks_record(past.hooks))
    record.MergeFromString(past.unknown_fields)
    return record


def _hooks_record(ends: HookEnds) -> task_pb2.HookResults:
    record = task_pb2.HookResults()
    for message, end in ((record.setup, ends.setup), (record.cleanup, ends.cleanup)):
        if end is not None:
            message.error = end.error
            message.duration.FromMicroseconds(round(end.seconds * 1e6))
    return record


def hook_ends(record: task_pb2.HookResults) -> HookEnds:
    """How hooks ended, as an agent or a record says."""
    return HookEnds(
        _hook_end(record.setup) if record.HasField("setup") else None,
        _hook_end(record.cleanup) if record.HasField("cleanup") else None,
    )


def _hook_end(record: task_pb2.HookResult) -> HookEnd:
    # An agent may say anything.
    micros = min(max(record.duration.ToMicroseconds(), 0), _MOST_MICROS)
    return HookEnd(record.error[:PAST_TEXT], micros / 1e6)


# Looked up in a twentieth of the time that `TaskState(number)` takes.
_STATES: Mapping[int, TaskState] = {int(state): state for state in TaskState}


# Of tasks that run: those that were assigned to one node at once have the same record.
_RUNNING: Final[dict[bytes, Status]] = {}
# Records kept there, and bytes of one.
_MOST_RUNNING: Final = 512
_MOST_BYTES: Final = 1_024


def run_status(task: TaskId, data: bytes) -> Status | FinalStatus:
    """The status that a record holds: undoes `run_record`.

    Raises:
        NewerRecord: the task is in a state that this version does not know.
    """
    known = _RUNNING.get(data)
    if known is not None:
        return known
    record = r.RunRecord.FromString(data)
    state = _STATES.get(record.state)
    if state is None:
        raise NewerRecord(
            f"task {task} is in state {record.state}, which this scheduler does not know"
        )
    if state in FINISHED:
        return _final_status(state, record, len(data))
    status = _status(state, record)
    if state is TaskState.RUNNING and len(data) <= _MOST_BYTES:
        if len(_RUNNING) >= _MOST_RUNNING:
            _RUNNING.clear()
        _RUNNING[data] = status
    return status


def _status(state: TaskState, record: r.RunRecord) -> Status:
    return Status(
        state,
        record.attempt,
        record.failures,
        record.crashes,
        NodeName(record.node),
        InstanceId(record.instance),
        record.assign_time,
        record.start_time,
        record.not_before,
        record.cancel_requested,
        tuple(map(_past_attempt, record.past)),
        record.expire_time,
        TaskPause(record.pause.by, record.pause.reason, record.pause.since)
        if record.HasField("pause")
        else None,
        unknown_fields(record),
        record.charged,
        record.share_charged,
        record.snoozes,
    )


def _final_status(state: TaskState, record: r.RunRecord, size: int) -> FinalStatus:
    error, outcome, blob, skipped = "", 0, None, False
    if state is TaskState.CANCELLED:
        skipped = record.error.type == SKIPPED
    if state in DEAD:
        error = error_text(record.error.type, record.error.message)
    # The name of a large result has 100 bytes alone.
    if size >= _WITH_BLOB and record.result.HasField("blob"):
        blob = blob_of_message(record.result.blob)
    # The outcome of a short record weighs nothing, and need not be looked at.
    if size >= UNIT:
        if record.HasField("result"):
            outcome = outcome_units(record.result)
        elif record.HasField("error"):
            outcome = outcome_units(record.error)
    return FinalStatus(
        state,
        record.attempt,
        InstanceId(record.instance),
        record.assign_time,
        record.finish_time,
        error,
        outcome,
        blob,
        record.job_round,
        skipped,
    )


def _past_attempt(past: r.PastAttempt) -> PastAttempt:
    return PastAttempt(
        past.number,
        NodeName(past.node),
        InstanceId(past.instance),
        past.assign_time,
        past.start_time,
        past.finish_time,
        past.error_type,
        past.error_message,
        unknown_fields(past),
        hook_ends(past.hooks) if past.HasField("hooks") else None,
    )


def past_attempts(record: r.RunRecord) -> tuple[PastAttempt, ...]:
    """The attempts of a task that ended: the past ones, and the last one of a finished task."""
    past = tuple(map(_past_attempt, record.past))
    ended = _STATES.get(record.state) in FINISHED and record.node
    if ended and (not past or past[-1].number != record.attempt):
        last = PastAttempt(
            record.attempt,
            NodeName(record.node),
            InstanceId(record.instance),
            record.assign_time,
            record.start_time,
            record.finish_time,
            record.error.type[:PAST_TEXT],
            record.error.message[:PAST_TEXT],
            hooks=hook_ends(record.hooks) if record.HasField("hooks") else None,
        )
        past = (*past, last)
    return past[-MAX_PAST:]


# Of a hook.
_MOST_MICROS: Final = 10**12
# Bytes of the shortest record that names a large result, at most.
_WITH_BLOB: Final = 100
