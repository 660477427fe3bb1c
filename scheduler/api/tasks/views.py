"""Tasks as callers see them, made from what etcd holds."""

from __future__ import annotations

from typing import Final

from quorate.internal.v1 import records_pb2 as r
from quorate.telemetry.spans import task_name
from quorate.v1 import task_pb2
from scheduler.api.views import instant
from scheduler.core.values import is_due
from scheduler.storage.records import seconds

_WAITS: Final = (
    task_pb2.TASK_STATE_PENDING,
    task_pb2.TASK_STATE_SCHEDULED,
    task_pb2.TASK_STATE_PAUSED,
)


def task(
    queue: str,
    task_id: str,
    task_record: r.TaskRecord | None,
    run: r.RunRecord | None,
    *,
    now: float,
    full: bool,
) -> task_pb2.Task:
    """A task from its records.

    Args:
        task_record: without it the answer has neither spec nor create_time from it.
        run: None for a task that was never given to a node.
        now: a SCHEDULED record that is due by now is PENDING.
        full: with the work's payload.
    """
    view = task_pb2.Task(id=task_id, queue=queue)
    # A UUIDv7 begins with its milliseconds.
    view.create_time.CopyFrom(instant(int(task_id[:12], 16) / 1000))
    not_before = 0.0
    if task_record is not None:
        view.create_time.CopyFrom(instant(task_record.create_time))
        view.created_by = task_record.created_by
        if task_record.HasField("member"):
            view.job_id, view.graph_task = task_record.member.job, task_record.member.name
        view.spec.CopyFrom(spec(task_record.spec, full=full))
        if view.spec.HasField("not_before"):
            not_before = view.spec.not_before.seconds + view.spec.not_before.nanos / 1e9
    if run is None and task_record is not None and task_record.member.depends_on:
        # As it was created: its status follows.
        view.state = task_pb2.TASK_STATE_BLOCKED
        return view
    if run is None:
        due = is_due(not_before, now)
        view.state = task_pb2.TASK_STATE_PENDING if due else task_pb2.TASK_STATE_SCHEDULED
        if not due:
            view.schedule_time.CopyFrom(instant(not_before))
        if view.spec.HasField("start_deadline"):
            begin = max(task_record.create_time if task_record else 0.0, not_before)
            view.expire_time.CopyFrom(instant(begin + seconds(view.spec.start_deadline)))
        return view
    _status(view, run, now)
    return view


def _status(view: task_pb2.Task, run: r.RunRecord, now: float) -> None:
    state = run.state
    if state == task_pb2.TASK_STATE_SCHEDULED and is_due(run.not_before, now):
        state = task_pb2.TASK_STATE_PENDING
    view.state = state
    view.attempt = run.attempt
    view.failures = run.failures
    view.crashes = run.crashes
    view.snoozes = run.snoozes
    view.cancel_requested = run.cancel_requested
    if state == task_pb2.TASK_STATE_SCHEDULED:
        view.schedule_time.CopyFrom(instant(run.not_before))
    waits = state in _WAITS and not (run.failures or run.crashes)
    if run.expire_time > 0.0 and waits:
        view.expire_time.CopyFrom(instant(run.expire_time))
    suspended = state == task_pb2.TASK_STATE_RUNNING and run.HasField("pause")
    view.suspended = suspended
    if run.HasField("pause") and (suspended or state == task_pb2.TASK_STATE_PAUSED):
        view.pause.paused_by, view.pause.reason = run.pause.by, run.pause.reason
        view.pause.pause_time.CopyFrom(instant(run.pause.since))
        if run.not_before and not suspended:
            view.schedule_time.CopyFrom(instant(run.not_before))
    finished = state >= task_pb2.TASK_STATE_SUCCEEDED
    if finished:
        view.finish_time.CopyFrom(instant(run.finish_time))
    if run.HasField("result"):
        view.result.CopyFrom(run.result)
    if run.HasField("error"):
        view.error.CopyFrom(run.error)
    for past in run.past:
        attempt = view.attempts.add(number=past.number, node=past.node, instance=past.instance)
        _times(attempt, past.assign_time, past.start_time, past.finish_time)
        attempt.error.type = past.error_type
        attempt.error.message = past.error_message
        if past.HasField("hooks"):
            attempt.hooks.CopyFrom(past.hooks)
    if run.node and (not run.past or run.past[-1].number != run.attempt):
        attempt = view.attempts.add(number=run.attempt, node=run.node, instance=run.instance)
        _times(attempt, run.assign_time, run.start_time, run.finish_time)
        if run.HasField("error"):
            attempt.error.CopyFrom(run.error)
        if run.HasField("hooks"):
            attempt.hooks.CopyFrom(run.hooks)


def _times(attempt: task_pb2.Attempt, assign: float, start: float, finish: float) -> None:
    if assign:
        attempt.assign_time.CopyFrom(instant(assign))
    if start:
        attempt.start_time.CopyFrom(instant(start))
    if finish:
        attempt.finish_time.CopyFrom(instant(finish))


def spec(data: bytes, *, full: bool) -> task_pb2.TaskSpec:
    """A spec, in the BASIC view without the work's payload but with a name."""
    message = task_pb2.TaskSpec.FromString(data)
    message.name = task_name(message)
    if not full:
        message.ClearField("command")
        message.ClearField("python")
        if message.HasField("message"):
            message.message.ClearField("body")
        if message.HasField("service"):
            message.service.ClearField("command")
    return message
