"""Callers that set limits and pause: queues, shared limits, what they let through and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quorate.runtime.ids import QueueName
from scheduler.core.handlers.queues.update import settings_of
from scheduler.core.model import events as e
from scheduler.core.model.reply_token import Pending
from scheduler.core.values import (
    Disconnect,
    PauseScope,
    Placement,
    QueueLimits,
    QueueOrder,
    QueuePause,
    Rate,
)

if TYPE_CHECKING:
    from tests.simulation.callers import Callers
    from tests.simulation.schedulers import Term

WORK = QueueName("work")
ARRAYS = QueueName("arrays")
# To which tasks are moved.
OTHER = QueueName("other")
# Shared limits: so many run at once; so many start in a second.
SEAT, API = "seat", "api"
_SEATS: Final = (2, 1, 3, 0)
_LIMITS: Final = QueueLimits(
    rate=Rate(40, 1.0, 10), max_running_per_key=2, rate_per_key=Rate(6, 1.0, 2)
)
# The order of tenants: one counts double.
_ORDER: Final = QueueOrder(weights=(("gold", 2.0),))
_HOW: Final = (Placement.LEAST_LOADED, Disconnect.KEEP, 20.0, 30)


class LimitCalls:
    """Those of one world."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._world = callers.world

    async def create(self) -> None:
        """What every history begins with."""
        ask, request = self._callers.call, e.Request("queue", b"queue")
        await ask(lambda _, t: e.LimitSubmitted(SEAT, _SEATS[0], None, request, t))
        api = Rate(8, 1.0, 3)
        await ask(lambda _, t: e.LimitSubmitted(API, 0, api, request._replace(id="api"), t))
        await ask(lambda _, t: e.QueueSubmitted(WORK, *_HOW, request, t, _LIMITS, _ORDER))
        arrays = request._replace(id="arrays")
        await ask(lambda _, t: e.QueueSubmitted(ARRAYS, *_HOW, arrays, t, QueueLimits()))
        other = request._replace(id="other")
        await ask(lambda _, t: e.QueueSubmitted(OTHER, *_HOW, other, t, QueueLimits()))

    def change_limits(self) -> None:
        """Other numbers for a shared limit or a queue; rates stay as they are."""
        rng, request = self._world.rng, self._callers.request(b"limit")
        if rng.random() < 0.5:
            most = rng.choice(_SEATS)
            self._callers.ask(lambda _, t: e.LimitUpdateAsked(SEAT, most, None, request, t))
            return
        queue, fields = rng.choice(
            [
                (WORK, {"max_running": rng.choice([0, 0, 4])}),
                (WORK, {"max_running_per_key": rng.choice([0, 1, 2])}),
                (ARRAYS, {"max_running": rng.choice([0, 0, 3])}),
            ]
        )
        self._set(queue, fields, request)

    def _set(self, queue: QueueName, fields: dict[str, Any], request: e.Request) -> None:
        def make(term: Term, token: Pending[object]) -> e.Event | None:
            row = term.driver.state.queues.get(queue)
            if row is None:
                return None
            settings = settings_of(row)
            limits = settings.limits._replace(**fields)
            return e.QueueUpdateAsked(queue, settings._replace(limits=limits), request, token)

        self._callers.ask(make)

    def pause_queue(self) -> None:
        """Stop a queue for a while, or until somebody resumes it."""
        world, request = self._world, self._callers.request(b"pause")
        until = world.rng.choice([0.0, world.wall() + 1.5])
        pause = QueuePause(world.rng.choice(list(PauseScope)), until=until)
        queue = world.rng.choice([WORK, ARRAYS])
        self._callers.ask(lambda _, t: e.QueuePauseAsked(queue, True, request, t, pause))

    def resume_queue(self) -> None:
        self._resume(self._world.rng.choice([WORK, ARRAYS]))

    def _resume(self, queue: QueueName) -> None:
        request = self._callers.request(b"resume")
        self._callers.ask(lambda _, t: e.QueuePauseAsked(queue, False, request, t))

    def end(self) -> None:
        """Nothing is held back any longer."""
        for queue in (WORK, ARRAYS):
            self._resume(queue)
        request = self._callers.request(b"limit")
        self._callers.ask(lambda _, t: e.LimitUpdateAsked(SEAT, _SEATS[0], None, request, t))
