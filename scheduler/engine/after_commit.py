"""What is done once the writes of a step are committed: answers, orders to agents, notifications.

One method for each kind of effect, found by its type: tens of thousands are done every second.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import structlog

from quorate.runtime.errors import leader_lost
from scheduler.core.handlers import audit
from scheduler.core.handlers.jobs.upkeep import retain as retain_job
from scheduler.core.handlers.upkeep import retain
from scheduler.core.model import effects as fx
from scheduler.core.model.state import State
from scheduler.engine.ports import Agents
from scheduler.engine.waiters.jobs import JobWaiters
from scheduler.engine.waiters.tasks import TaskWaiters

log = structlog.get_logger(__name__)


class AfterCommit:
    """Does the effects of one term."""

    def __init__(
        self, state: State, agents: Agents, waiters: TaskWaiters, jobs: JobWaiters
    ) -> None:
        self._state = state
        self._jobs = jobs
        self._agents = agents
        self._waiters = waiters
        self._methods: dict[type, Callable[[Any], None]] = {
            fx.Reply: self._reply,
            fx.StartAttempt: self._start,
            fx.EndAttempt: self._end,
            fx.SignalAttempt: self._signal,
            fx.SuspendAttempt: self._suspend,
            fx.Acknowledge: self._acknowledge,
            fx.NotifyFinished: self._notify,
            fx.AcknowledgeReport: self._acknowledge_report,
            fx.RecallChunk: self._recall,
            fx.EndSubtasks: self._end_subtasks,
            fx.NotifyJob: self._notify_job,
            fx.RevokeNode: self._revoke,
            fx.ReportLostNode: self._report_lost,
            fx.OrderDrain: self._drain,
            fx.IndexAudit: self._index_audit,
            fx.OrderScaleDown: self._leave,
        }

    def do(self, after: Sequence[fx.After]) -> None:
        """Do them, in order: their writes are committed."""
        methods = self._methods
        for effect in after:
            methods[type(effect)](effect)

    @staticmethod
    def failed(after: Sequence[fx.After], error: Exception) -> None:
        """Their writes are not known committed: callers learn that the outcome is unknown."""
        for effect in after:
            if type(effect) is fx.Reply and not effect.token.done():
                effect.token.set_exception(leader_lost())

    def _reply(self, effect: fx.Reply) -> None:
        token = effect.token
        # The caller may have gone away meanwhile.
        if not token.done():
            token.set_result(effect.answer)

    def _start(self, effect: fx.StartAttempt) -> None:
        self._agents.start(effect.instance, effect.row, effect.attempt)
        self._waiters.was_assigned(effect.row.id)

    def _end(self, effect: fx.EndAttempt) -> None:
        self._agents.end_attempt(effect.instance, effect.task, effect.attempt)

    def _signal(self, effect: fx.SignalAttempt) -> None:
        self._agents.signal(effect.instance, effect.task, effect.attempt, effect.signal)

    def _suspend(self, effect: fx.SuspendAttempt) -> None:
        self._agents.suspend(effect.instance, effect.task, effect.attempt, effect.suspended)

    def _acknowledge(self, effect: fx.Acknowledge) -> None:
        self._agents.acknowledge(effect.instance, effect.task, effect.attempt)

    def _notify(self, effect: fx.NotifyFinished) -> None:
        retain(effect)
        self._waiters.has_finished(effect.done)

    def _acknowledge_report(self, effect: fx.AcknowledgeReport) -> None:
        self._agents.acknowledge_report(
            effect.instance, effect.chunk, effect.attempt, effect.number
        )

    def _recall(self, effect: fx.RecallChunk) -> None:
        self._agents.recall(effect.instance, effect.chunk, effect.attempt)

    def _end_subtasks(self, effect: fx.EndSubtasks) -> None:
        self._agents.end_subtasks(effect.instance, effect.chunk, effect.attempt, effect.ranges)

    def _notify_job(self, effect: fx.NotifyJob) -> None:
        retain_job(effect)
        self._jobs.has_finished(effect.job)
        self._agents.forget_job(effect.job.id)

    def _revoke(self, effect: fx.RevokeNode) -> None:
        self._agents.revoke(effect.node, effect.instance, effect.lease)

    def _report_lost(self, effect: fx.ReportLostNode) -> None:
        row = effect.row
        log.warning(
            "node_lost",
            node=row.name,
            instance=row.instance,
            why=row.why,
            attempts=row.attempts,
            tasks=[one.id for one in row.some],
        )

    def _drain(self, effect: fx.OrderDrain) -> None:
        self._agents.drain(effect.instance, effect.draining, effect.grace)

    def _leave(self, effect: fx.OrderScaleDown) -> None:
        self._agents.leave(effect.instance, effect.scaling_down)

    def _index_audit(self, effect: fx.IndexAudit) -> None:
        audit.index(self._state, effect)
