"""Identifiers.

Task ids are UUIDv7 in plain hex (32 characters, RFC 9562 section 5.7): they sort by creation, so
key order in etcd is creation order. The ids of one batch are consecutive numbers, so a batch is
recorded as (first id, count).
"""

from __future__ import annotations

import secrets
from typing import Final, NewType

TaskId = NewType("TaskId", str)
QueueName = NewType("QueueName", str)
NodeName = NewType("NodeName", str)
InstanceId = NewType("InstanceId", str)
# A leadership term: grows from leader to leader, also over a restore from a backup. Made by
# `quorate.etcd.generation.epoch_of` from the revision at which the leader was elected, which is no
# epoch by itself.
Epoch = NewType("Epoch", int)
# How a caller without a name is called: authentication is off, or the cluster itself calls.
ANONYMOUS: Final = "anonymous"
# The metadata key under which health services tell the id of the process that answers.
INSTANCE_METADATA = "quorate-instance"

_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62
# The low 62 bits start below this, so that adding a batch's length never carries into the variant.
_RANDOM_BITS = 61


def instance_id() -> InstanceId:
    """A fresh id for this process; never reused."""
    return InstanceId(secrets.token_hex(8))


def offset_id(first: TaskId, offset: int) -> TaskId:
    """The id `offset` places behind `first` in its batch."""
    return TaskId(f"{int(first, 16) + offset:032x}")


def offset_ids(first: TaskId, begin: int, end: int) -> list[TaskId]:
    """The ids `begin` to `end` places behind `first`, without the last."""
    number = int(first, 16)
    # The quickest way there is: `TaskId(...)` would be a call more for each.
    ids = [(number + offset).to_bytes(16, "big").hex() for offset in range(begin, end)]
    return ids  # type: ignore[return-value]


def is_task_id(text: str) -> bool:
    """Whether `text` has the shape of a task id."""
    return len(text) == 32 and all(c in "0123456789abcdef" for c in text)


class TaskIds:
    """Makes ids that grow, whatever the clock does.

    The 12 bits behind the milliseconds count upwards within one millisecond and carry into it.
    """

    def __init__(self, floor: TaskId | None = None) -> None:
        self._last = self._ordinal(floor) if floor else 0

    @staticmethod
    def _ordinal(task: TaskId) -> int:
        number = int(task, 16)
        return (number >> 80) << 12 | (number >> 64) & 0xFFF

    def next(self, now: float) -> TaskId:
        """The first id of a new run of any length below 2**61, above all ids made before."""
        self._last = max(int(now * 1000) << 12, self._last + 1)
        number = (self._last >> 12) << 80 | _VERSION_7 | (self._last & 0xFFF) << 64
        return TaskId(f"{number | _VARIANT | secrets.randbits(_RANDOM_BITS):032x}")
