"""What can happen, in the past tense. The only way to change the state.

Plain tuples: tens of thousands are made every second.
"""

from __future__ import annotations

from scheduler.core.model.events.bulk import BulkAsked, BulkContinued, SpecUpdate
from scheduler.core.model.events.calls import (
    BatchContinued,
    BatchSubmitted,
    ChangeRecorded,
    LimitDeleteAsked,
    LimitSubmitted,
    LimitUpdateAsked,
    MessageTemplateSubmitted,
    NodeControlAsked,
    NodeDismissAsked,
    PauseDeleteAsked,
    PauseSubmitted,
    QueueDeleteAsked,
    QueuePauseAsked,
    QueueSubmitted,
    QueueUpdateAsked,
    QuotaSubmitted,
    Request,
    ServiceDeleteAsked,
    ServiceSubmitted,
    ServiceUpdateAsked,
    TaskCancelAsked,
    TaskDeleteAsked,
    TaskPauseAsked,
    TaskRecorded,
    TaskRetryAsked,
    TaskSignalAsked,
    TaskSubmitted,
    Token,
)
from scheduler.core.model.events.jobs import (
    ChunkReported,
    GraphTasksAdded,
    IdleJobsDue,
    JobCancelAsked,
    JobClosed,
    JobContinued,
    JobDeleteAsked,
    JobItemsAdded,
    JobPauseAsked,
    JobResultsRead,
    JobRetryAsked,
    JobSubmitted,
    JobUpdateAsked,
    SubtaskCancelAsked,
    SubtaskFailed,
    SubtaskRetryAsked,
)
from scheduler.core.model.events.nodes import (
    AgentMisbehaved,
    AttemptFailed,
    AttemptLived,
    AttemptLost,
    AttemptReturned,
    AttemptStarted,
    AttemptSucceeded,
    CreditReported,
    InstanceGone,
    InstanceSeen,
    LostNodeReturned,
    NodeLeaseEnded,
    NodeLost,
    NodeRegistered,
    NodeWrittenOff,
    ProgressReported,
    ScaleDownDecided,
    SessionClosed,
    SessionOpened,
    StatsReported,
)
from scheduler.core.model.events.schedules import (
    ScheduleBackfillAsked,
    ScheduleDeleteAsked,
    ScheduleDue,
    SchedulePauseAsked,
    ScheduleRunAsked,
    ScheduleSubmitted,
    ScheduleUpdateAsked,
)
from scheduler.core.model.events.time_passed import (
    Elected,
    ExpiriesDue,
    RetentionDue,
    ServiceDue,
    StartDeadlinePassed,
    StartsDue,
    TimersDue,
)

Event = (
    TaskSubmitted
    | BatchSubmitted
    | BatchContinued
    | TaskCancelAsked
    | BulkAsked
    | BulkContinued
    | TaskRetryAsked
    | TaskDeleteAsked
    | TaskPauseAsked
    | TaskSignalAsked
    | QueueSubmitted
    | MessageTemplateSubmitted
    | QueueDeleteAsked
    | QueuePauseAsked
    | QueueUpdateAsked
    | LimitSubmitted
    | PauseSubmitted
    | PauseDeleteAsked
    | LimitUpdateAsked
    | LimitDeleteAsked
    | ChangeRecorded
    | QuotaSubmitted
    | NodeRegistered
    | NodeLeaseEnded
    | NodeLost
    | LostNodeReturned
    | AttemptLost
    | NodeWrittenOff
    | ScaleDownDecided
    | NodeControlAsked
    | NodeDismissAsked
    | SessionOpened
    | SessionClosed
    | AgentMisbehaved
    | CreditReported
    | StatsReported
    | AttemptStarted
    | AttemptLived
    | ProgressReported
    | AttemptSucceeded
    | AttemptFailed
    | AttemptReturned
    | ServiceSubmitted
    | ServiceUpdateAsked
    | ServiceDeleteAsked
    | InstanceSeen
    | InstanceGone
    | ServiceDue
    | ScheduleSubmitted
    | ScheduleUpdateAsked
    | ScheduleDeleteAsked
    | SchedulePauseAsked
    | ScheduleRunAsked
    | ScheduleBackfillAsked
    | ScheduleDue
    | TimersDue
    | StartsDue
    | ExpiriesDue
    | StartDeadlinePassed
    | RetentionDue
    | Elected
    | ChunkReported
    | IdleJobsDue
    | GraphTasksAdded
    | JobCancelAsked
    | JobClosed
    | JobContinued
    | JobDeleteAsked
    | JobItemsAdded
    | JobPauseAsked
    | JobUpdateAsked
    | JobResultsRead
    | JobRetryAsked
    | JobSubmitted
    | SubtaskCancelAsked
    | SubtaskRetryAsked
)

__all__ = [
    "AgentMisbehaved",
    "AttemptFailed",
    "AttemptLived",
    "AttemptLost",
    "AttemptReturned",
    "AttemptStarted",
    "AttemptSucceeded",
    "BatchContinued",
    "BatchSubmitted",
    "BulkAsked",
    "BulkContinued",
    "ChangeRecorded",
    "ChunkReported",
    "CreditReported",
    "Elected",
    "Event",
    "ExpiriesDue",
    "GraphTasksAdded",
    "IdleJobsDue",
    "InstanceGone",
    "InstanceSeen",
    "JobCancelAsked",
    "JobClosed",
    "JobContinued",
    "JobDeleteAsked",
    "JobItemsAdded",
    "JobPauseAsked",
    "JobResultsRead",
    "JobRetryAsked",
    "JobSubmitted",
    "JobUpdateAsked",
    "LimitDeleteAsked",
    "LimitSubmitted",
    "LimitUpdateAsked",
    "LostNodeReturned",
    "MessageTemplateSubmitted",
    "NodeControlAsked",
    "NodeDismissAsked",
    "NodeLeaseEnded",
    "NodeLost",
    "NodeRegistered",
    "NodeWrittenOff",
    "PauseDeleteAsked",
    "PauseSubmitted",
    "ProgressReported",
    "QueueDeleteAsked",
    "QueuePauseAsked",
    "QueueSubmitted",
    "QueueUpdateAsked",
    "QuotaSubmitted",
    "Request",
    "RetentionDue",
    "ScaleDownDecided",
    "ScheduleBackfillAsked",
    "ScheduleDeleteAsked",
    "ScheduleDue",
    "SchedulePauseAsked",
    "ScheduleRunAsked",
    "ScheduleSubmitted",
    "ScheduleUpdateAsked",
    "ServiceDeleteAsked",
    "ServiceDue",
    "ServiceSubmitted",
    "ServiceUpdateAsked",
    "SessionClosed",
    "SessionOpened",
    "SpecUpdate",
    "StartDeadlinePassed",
    "StartsDue",
    "StatsReported",
    "SubtaskCancelAsked",
    "SubtaskFailed",
    "SubtaskRetryAsked",
    "TaskCancelAsked",
    "TaskDeleteAsked",
    "TaskPauseAsked",
    "TaskRecorded",
    "TaskRetryAsked",
    "TaskSignalAsked",
    "TaskSubmitted",
    "TimersDue",
    "Token",
]
