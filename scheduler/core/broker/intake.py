"""Task queues as the broker sees them: what becomes of messages that are routed there.

The broker knows no tasks. `TaskIntake` is the way to who does: the task machine of the same leader,
whose state it changes, and whose writes join those of the broker's step: see
`scheduler.core.handlers.tasks.from_messages`. A publication that is refused there is in no queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from quorate.runtime.errors import not_found
from scheduler.core.broker.queues.envelope import Parsed

# Headers that only the cluster sets: `scheduler.api.broker.publishing` removes a publisher's.
RESERVED_HEADERS: Final = "quorate-"
# Of a message about the end of a task or job: those of tasks that are made of it are not
# announced.
EVENT_HEADER: Final = RESERVED_HEADERS + "event"


class Asked(NamedTuple):
    """One message for one task queue.

    Attributes:
        payload: the serialized `quorate.v1.Message`.
        instant: when it was published.
    """

    queue: str
    payload: bytes
    parsed: Parsed
    instant: float


class Prepared(NamedTuple):
    """A task to which nothing objects.

    Attributes:
        spec: as the task machine has it; None: the task is there already, by its unique key.
        size, writes: of its records, at most.
    """

    queue: str
    spec: Any
    size: int
    writes: int


class TaskIntake(Protocol):
    """Makes tasks of messages. Changes are in memory at once, as those of a machine's step."""

    def check_bound(self, queue: str) -> None:
        """Raise NOT_FOUND, or FAILED_PRECONDITION, for a queue that takes no messages."""

    def prepare(self, asked: Sequence[Asked], creator: str, now: float) -> list[Prepared]:
        """The tasks of messages that are created together, or none of them. Changes nothing.

        Args:
            creator: who publishes, `<role>:<name>`; empty for none.

        Raises:
            QuorateError: as CreateTask; INVALID_ARGUMENT for a body that is too large for a task.
        """

    def prepare_dead(self, asked: Sequence[Asked], now: float) -> list[Prepared | None]:
        """The tasks of one dead letter: also into a full or paused queue. None: one that cannot be.
        Changes nothing."""

    def create(self, prepared: Prepared, creator: str, now: float) -> None:
        """Create a task in this step."""


class NoTasks:
    """Of a broker beside which there are no task queues."""

    def check_bound(self, queue: str) -> None:
        raise not_found("queue", queue)

    def prepare(self, asked: Sequence[Asked], creator: str, now: float) -> list[Prepared]:
        raise not_found("queue", asked[0].queue)

    def prepare_dead(self, asked: Sequence[Asked], now: float) -> list[Prepared | None]:
        return [None] * len(asked)

    def create(self, prepared: Prepared, creator: str, now: float) -> None:
        raise AssertionError(prepared.queue)
