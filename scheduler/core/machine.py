"""The machine: `step(event, now) -> Effects`.

Deterministic: the same events at the same times make the same effects. It never blocks, never
fails on an event (bad input is answered with a Refusal), and every step is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from quorate.runtime.ids import TaskId
from scheduler.core.handlers import attempts, audit, upkeep
from scheduler.core.handlers.bulk import parts as bulk
from scheduler.core.handlers.chunks import life as chunks
from scheduler.core.handlers.chunks import merging
from scheduler.core.handlers.chunks.giving import ChunkIds
from scheduler.core.handlers.controls.progress import on_progress_reported
from scheduler.core.handlers.controls.signals import on_task_signal_asked
from scheduler.core.handlers.jobs import control as jobs_control
from scheduler.core.handlers.jobs import creation as jobs_creation
from scheduler.core.handlers.jobs import graphs, subtasks
from scheduler.core.handlers.jobs import update as jobs_update
from scheduler.core.handlers.jobs import upkeep as jobs_upkeep
from scheduler.core.handlers.limits import shared
from scheduler.core.handlers.nodes import life as nodes
from scheduler.core.handlers.nodes import lost, scaling_down
from scheduler.core.handlers.queues import calls as queues
from scheduler.core.handlers.queues import matching_pauses, pauses, templates
from scheduler.core.handlers.queues import update as queue_update
from scheduler.core.handlers.quotas import changes as quota_changes
from scheduler.core.handlers.requests import Call, CallInParts
from scheduler.core.handlers.schedules import calls as schedules
from scheduler.core.handlers.schedules.due import on_schedule_due
from scheduler.core.handlers.services import services
from scheduler.core.handlers.tasks import control, creation, expiry
from scheduler.core.handlers.tasks import pauses as task_pauses
from scheduler.core.model import events as e
from scheduler.core.model.effects import Effects
from scheduler.core.model.limits.bounds import Limits
from scheduler.core.model.state import State
from scheduler.core.placement.pipeline import place

# Any: each handler takes its own event type; the key is the proof.
_HANDLERS: Final[dict[type, Callable[[State, Any, float, Effects], None]]] = {
    e.AttemptStarted: attempts.on_attempt_started,
    e.AttemptLived: attempts.on_attempt_lived,
    e.ProgressReported: on_progress_reported,
    e.AttemptSucceeded: attempts.on_attempt_succeeded,
    e.AttemptFailed: attempts.on_attempt_failed,
    e.AttemptReturned: attempts.on_attempt_returned,
    e.AttemptLost: attempts.on_attempt_lost,
    e.Elected: nodes.on_elected,
    e.NodeRegistered: nodes.on_node_registered,
    e.NodeLeaseEnded: nodes.on_node_lease_ended,
    e.NodeLost: nodes.on_node_lost,
    e.NodeWrittenOff: nodes.on_node_written_off,
    e.LostNodeReturned: lost.on_lost_node_returned,
    e.ScaleDownDecided: scaling_down.on_scale_down_decided,
    e.SessionOpened: nodes.on_session_opened,
    e.SessionClosed: nodes.on_session_closed,
    e.AgentMisbehaved: nodes.on_agent_misbehaved,
    e.CreditReported: nodes.on_credit_reported,
    e.StatsReported: nodes.on_stats_reported,
    e.InstanceSeen: services.on_instance_seen,
    e.InstanceGone: services.on_instance_gone,
    e.StartsDue: attempts.on_starts_due,
    e.ChunkReported: chunks.on_chunk_reported,
    e.JobResultsRead: merging.on_job_results_read,
    e.IdleJobsDue: jobs_upkeep.on_idle_jobs_due,
    e.TimersDue: upkeep.on_timers_due,
    e.ExpiriesDue: expiry.on_expiries_due,
    e.StartDeadlinePassed: expiry.on_start_deadline_passed,
}
# What callers ask for: repeated, it gets its first answer.
CALLS: Final[dict[type, Call | CallInParts]] = {
    e.TaskSubmitted: creation.on_task_submitted,
    e.BatchSubmitted: creation.on_batch_submitted,
    e.TaskCancelAsked: control.on_task_cancel_asked,
    e.BulkAsked: bulk.on_bulk_asked,
    e.TaskRetryAsked: control.on_task_retry_asked,
    e.TaskDeleteAsked: control.on_task_delete_asked,
    e.TaskPauseAsked: task_pauses.on_task_pause_asked,
    e.TaskSignalAsked: on_task_signal_asked,
    e.QueueSubmitted: queues.on_queue_submitted,
    e.QueueDeleteAsked: queues.on_queue_delete_asked,
    e.QueuePauseAsked: pauses.on_queue_pause_asked,
    e.MessageTemplateSubmitted: templates.on_message_template_submitted,
    e.QueueUpdateAsked: queue_update.on_queue_update_asked,
    e.PauseSubmitted: matching_pauses.on_pause_submitted,
    e.PauseDeleteAsked: matching_pauses.on_pause_delete_asked,
    e.LimitSubmitted: shared.on_limit_submitted,
    e.LimitUpdateAsked: shared.on_limit_update_asked,
    e.LimitDeleteAsked: shared.on_limit_delete_asked,
    e.QuotaSubmitted: quota_changes.on_quota_submitted,
    e.NodeControlAsked: nodes.on_node_control_asked,
    e.NodeDismissAsked: lost.on_node_dismiss_asked,
    e.JobSubmitted: jobs_creation.on_job_submitted,
    e.JobClosed: jobs_creation.on_job_closed,
    e.JobCancelAsked: jobs_control.on_job_cancel_asked,
    e.JobPauseAsked: jobs_control.on_job_pause_asked,
    e.JobUpdateAsked: jobs_update.on_job_update_asked,
    e.JobRetryAsked: jobs_control.on_job_retry_asked,
    e.JobDeleteAsked: jobs_control.on_job_delete_asked,
    e.SubtaskCancelAsked: subtasks.on_subtask_cancel_asked,
    e.SubtaskRetryAsked: subtasks.on_subtask_retry_asked,
    e.ServiceSubmitted: services.on_service_submitted,
    e.ServiceUpdateAsked: services.on_service_update_asked,
    e.ServiceDeleteAsked: services.on_service_delete_asked,
    e.ScheduleSubmitted: schedules.on_schedule_submitted,
    e.ScheduleUpdateAsked: schedules.on_schedule_update_asked,
    e.ScheduleDeleteAsked: schedules.on_schedule_delete_asked,
    e.SchedulePauseAsked: schedules.on_schedule_pause_asked,
    e.ScheduleRunAsked: schedules.on_schedule_run_asked,
    e.ScheduleBackfillAsked: schedules.on_schedule_backfill_asked,
}
# Those that can reach a bound.
_LIMITED: Final[dict[type, Callable[[State, Limits, Any, float, Effects], None]]] = {
    **CALLS,
    e.BatchContinued: creation.on_batch_continued,
    e.BulkContinued: bulk.on_bulk_continued,
    e.JobItemsAdded: jobs_creation.on_job_items_added,
    e.GraphTasksAdded: graphs.on_graph_tasks_added,
    e.JobContinued: graphs.on_job_continued,
    e.ServiceDue: services.on_service_due,
    e.ChangeRecorded: audit.on_change_recorded,
    e.ScheduleDue: on_schedule_due,
    e.RetentionDue: upkeep.on_retention_due,
}


class Machine:
    """One leader's term over a state."""

    def __init__(self, state: State, limits: Limits | None = None) -> None:
        self.state = state
        self.limits = limits or Limits()

    def step(self, event: e.Event, now: float) -> Effects:
        """What `event` at `now` (seconds since the epoch, never going back) makes necessary."""
        out = Effects()
        # First: handlers that have no use for `now` leave its marks by `State.last_instant`. Set,
        # not raised: a leader whose clock was ahead may have left later instants in the log.
        self.state.last_instant = now
        kind = type(event)
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self.state, event, now, out)
        else:
            _LIMITED[kind](self.state, self.limits, event, now, out)
        return self._stepped(out, now)

    def place(self, now: float, limit: int, first_chunk: TaskId | None = None) -> Effects:
        """Give up to `limit` PENDING tasks and chunks to nodes that have credit.

        Args:
            first_chunk: the id of the first chunk that is made, the others follow it; None: jobs
            are
                passed over.
        """
        out = Effects()
        ids = None if first_chunk is None else ChunkIds(first_chunk)
        place(self.state, now, limit, out, ids, self.limits.reserve_after)
        return self._stepped(out, now)

    def _stepped(self, out: Effects, now: float) -> Effects:
        state = self.state
        state.last_instant = now
        if state.touched:
            out.due += state.touched
            state.touched.clear()
        return out
