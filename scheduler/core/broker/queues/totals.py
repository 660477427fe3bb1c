"""What became of the messages of all queues: counts that outlive the queues."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from scheduler.core.broker.queues.deaths import Reason

# Why a message of the cluster itself is dropped.
NO_EXCHANGE: Final = "no_exchange"
REFUSED: Final = "refused"
NO_SPACE: Final = "no_space"
TOO_MANY: Final = "too_many"


def _by_reason() -> Counter[Reason]:
    # All of them: a series that is absent fires no alert when it comes.
    return Counter(dict.fromkeys(Reason, 0))


def _none_dropped() -> Counter[str]:
    return Counter(dict.fromkeys((NO_EXCHANGE, REFUSED, NO_SPACE, TOO_MANY), 0))


@dataclass(slots=True)
class Totals:
    """Of one leader, since its term began.

    Attributes:
        published: copies: a message counts once for each queue that it goes to.
        delivered: to consumers and to callers that take single messages; `redelivered`: those of
            them that may have been delivered before.
        tasks: that messages became; `tasks_known`: messages whose task was there, by its unique
            key; `tasks_dropped`: dead letters that could not become tasks.
        cycles: dead letters that did not go back into a queue, since nobody rejected them in
            between.
        announced: messages of the cluster itself; `unannounced`: those that were dropped, by
            reason.
        dead_lettered: sent to the dead letter exchange of their queue, also if that led nowhere;
            `dropped`: dead in queues without one. By reason.
    """

    published: int = 0
    delivered: int = 0
    redelivered: int = 0
    acknowledged: int = 0
    tasks: int = 0
    tasks_known: int = 0
    tasks_dropped: int = 0
    cycles: int = 0
    announced: int = 0
    unannounced: Counter[str] = field(default_factory=_none_dropped)
    dead_lettered: Counter[Reason] = field(default_factory=_by_reason)
    dropped: Counter[Reason] = field(default_factory=_by_reason)

    def add(self, other: Totals) -> None:
        """Add those of another term."""
        self.published += other.published
        self.delivered += other.delivered
        self.redelivered += other.redelivered
        self.acknowledged += other.acknowledged
        self.tasks += other.tasks
        self.tasks_known += other.tasks_known
        self.tasks_dropped += other.tasks_dropped
        self.cycles += other.cycles
        self.announced += other.announced
        self.unannounced.update(other.unannounced)
        self.dead_lettered.update(other.dead_lettered)
        self.dropped.update(other.dropped)
