"""What became of the messages of all queues: counts that outlive the queues."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from scheduler.core.broker.queues.deaths import Reason


def _by_reason() -> Counter[Reason]:
    # All of them: a series that is absent fires no alert when it comes.
    return Counter(dict.fromkeys(Reason, 0))


@dataclass(slots=True)
class Totals:
    """Of one leader, since its term began.

    Attributes:
        published: copies: a message counts once for each queue that it goes to.
        delivered: to consumers and to callers that take single messages; `redelivered`: those of
            them that may have been delivered before.
        dead_lettered: sent to the dead letter exchange of their queue, also if that led nowhere;
            `dropped`: dead in queues without one. By reason.
    """

    published: int = 0
    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    dead_lettered: Counter[Reason] = field(default_factory=_by_reason)
    dropped: Counter[Reason] = field(default_factory=_by_reason)

    def add(self, other: Totals) -> None:
        """Add those of another term."""
        self.published += other.published
        self.delivered += other.delivered
        self.redelivered += other.redelivered
        self.acknowledged += other.acknowledged
        self.dead_lettered.update(other.dead_lettered)
        self.dropped.update(other.dropped)
