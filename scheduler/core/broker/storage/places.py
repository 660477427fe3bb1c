"""The sub-logs of a message queue: one for each priority, and one for what is delayed.

Their names have a fixed width, so that the keys of one queue are in a known order.
"""

from __future__ import annotations

from typing import Final, NewType

SubLogName = NewType("SubLogName", str)

PRIORITIES: Final = 32
# Messages that are not due yet, in the order of arrival.
DELAYED: Final = SubLogName("due")


def of_priority(priority: int) -> SubLogName:
    """The sub-log of a priority, 0 to 31; 0 is also that of queues and streams without any."""
    assert 0 <= priority < PRIORITIES, priority
    return SubLogName(f"p{priority:02d}")
