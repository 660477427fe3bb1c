"""What retention deletes, in Txns of their own that move no head."""

from __future__ import annotations

from typing import NamedTuple

from quorate.runtime.ids import QueueName, TaskId


class PurgeRun(NamedTuple):
    """Neighbours in a queue's order of creation, all finished and expired: `[first, last]`."""

    queue: QueueName
    first: TaskId
    last: TaskId


class PurgeAudit(NamedTuple):
    """The audit entries of the ids `[first, last]`."""

    first: int
    last: int
