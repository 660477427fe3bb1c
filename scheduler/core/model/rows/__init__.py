"""The rows of the state: one class for each thing the machine keeps.

All of them are owned by `scheduler.core.model.state.State`. Instants are seconds since the Unix
epoch on the leader's clock, 0.0 meaning "not yet".
"""

from scheduler.core.model.rows.calls import NO_TASK, DedupRow
from scheduler.core.model.rows.limits import LimitRow
from scheduler.core.model.rows.nodes import (
    Allocation,
    Control,
    LostAttempt,
    LostNode,
    NodeRow,
    NodeStats,
    Reservation,
    ScalingDown,
)
from scheduler.core.model.rows.pauses import PauseRow
from scheduler.core.model.rows.services import InstanceRow, ServiceRow
from scheduler.core.model.rows.work import (
    NO_INSTANCE,
    NO_USAGE,
    NOBODY,
    FinishedRow,
    JobRow,
    QueueRow,
    TaskRow,
    reduced_by,
)

__all__ = [
    "NOBODY",
    "NO_INSTANCE",
    "NO_TASK",
    "NO_USAGE",
    "Allocation",
    "Control",
    "DedupRow",
    "FinishedRow",
    "InstanceRow",
    "JobRow",
    "LimitRow",
    "LostAttempt",
    "LostNode",
    "NodeRow",
    "NodeStats",
    "PauseRow",
    "QueueRow",
    "Reservation",
    "ScalingDown",
    "ServiceRow",
    "TaskRow",
    "reduced_by",
]
