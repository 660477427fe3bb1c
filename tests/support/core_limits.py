"""What a `Cluster` of tests does about limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quorate.runtime.ids import QueueName
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.model import events as e
from scheduler.core.model.answers import Rejection
from scheduler.core.model.state import DEFAULT_QUEUE, State
from scheduler.core.values import Disconnect, Placement, QueueLimits, Rate

DAY = 86_400.0


class LimitCalls:
    """Calls about limits: each returns its answer."""

    state: State
    call: Callable[[Any], object]

    def queue(
        self,
        name: str,
        *,
        placement: Placement = Placement.LEAST_LOADED,
        age: float = DAY,
        count: int = 100_000,
        **limits: Any,
    ) -> QueueName:
        made = QueueLimits(**limits)
        answer = self.call(
            lambda token: e.QueueSubmitted(
                QueueName(name), placement, Disconnect.KEEP, age, count, e.Request(), token, made
            )
        )
        assert not isinstance(answer, Rejection), answer
        return QueueName(name)

    def set_limits(self, queue: str = DEFAULT_QUEUE, **limits: Any) -> object:
        """Give a queue these limits and no others."""
        row = self.state.queues[QueueName(queue)]
        settings = settings_of(row)._replace(limits=QueueLimits(**limits))
        return self.call(lambda token: e.QueueUpdateAsked(row.name, settings, e.Request(), token))

    def limit(self, name: str, max_running: int = 0, rate: Rate | None = None) -> object:
        """Create a shared limit."""
        return self.call(
            lambda token: e.LimitSubmitted(name, max_running, rate, e.Request(), token)
        )

    def update_limit(self, name: str, max_running: int = 0, rate: Rate | None = None) -> object:
        return self.call(
            lambda token: e.LimitUpdateAsked(name, max_running, rate, e.Request(), token)
        )

    def delete_limit(self, name: str) -> object:
        return self.call(lambda token: e.LimitDeleteAsked(name, e.Request(), token))
