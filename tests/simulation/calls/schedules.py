"""Callers that make schedules, pause, resume and run them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from scheduler.core.model import events as e
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.schedules import Backfill, Overlap, Pause, ScheduleName, micros
from tests.support.core_schedules import at, schedule_spec
from tests.support.core_specs import START

if TYPE_CHECKING:
    from tests.simulation.callers import Callers
    from tests.simulation.schedulers import Term

# Seconds between two ticks, what happens while a run is live, and subtasks (0: a task), by name.
SCHEDULES: Final = {
    "one": (0.8, Overlap.ALLOW, 0),
    "two": (1.3, Overlap.SKIP, 0),
    "three": (1.7, Overlap.QUEUE_ALL, 3),
    "four": (2.1, Overlap.CANCEL_RUNNING, 0),
}
# Seconds in which a tick may be late.
_WINDOW: Final = 8.0
# A clock that is ahead by more skips more ticks than are counted one by one.
_COUNTED: Final = 100.0
_NO_REQUEST: Final = e.Request()


class ScheduleCalls:
    """Those of one world."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._world = callers.world
        self.names: list[ScheduleName] = []
        # Their missed ticks count, too.
        self._backfilled: dict[ScheduleName, None] = {}

    def create_schedules(self) -> None:
        """All of them, once."""
        if self.names:
            return
        for name, (every, overlap, subtasks) in SCHEDULES.items():
            self.names.append(ScheduleName(name))
            spec = schedule_spec(
                name,
                every=every,
                overlap=overlap,
                queue="arrays" if subtasks else "work",
                window=_WINDOW,
                subtasks=subtasks,
            )
            request = e.Request(f"create-{name}", b"x")

            self._ask(
                lambda token, name=name, spec=spec, request=request: e.ScheduleSubmitted(  # type: ignore[misc]
                    ScheduleName(name), spec, micros(START), request, token
                )
            )

    def change_schedule(self) -> None:
        """Pause one, resume it, run it now, or for a range of the past."""
        rng, wall = self._world.rng, micros(self._world.wall())
        if not self.names:
            return
        name = rng.choice(self.names)
        act = rng.choice(["pause", "resume", "resume", "run", "backfill"])
        if act == "backfill":
            self._backfilled[name] = None
            past = Backfill(wall - 2_000_000, wall, Overlap.ALLOW)
            request = self._callers.request(b"backfill")
            self._ask(lambda token: e.ScheduleBackfillAsked(name, past, request, token))
        elif act == "run":
            request = self._callers.request(b"run")

            def run(term: Term, token: Pending[object]) -> e.Event:
                task = term.ids.next(term.driver.clock.now())
                return e.ScheduleRunAsked(name, task, wall, request, token)

            self._callers.ask(run)
        else:
            self._pause(name, Pause("", "") if act == "pause" else None)

    def _pause(self, name: ScheduleName, pause: Pause | None) -> None:
        wall = micros(self._world.wall())
        self._ask(lambda token: e.SchedulePauseAsked(name, pause, wall, _NO_REQUEST, token))

    def _ask(self, make: Callable[[Pending[object]], e.Event]) -> None:
        self._callers.ask(lambda _, token: make(token))

    async def end(self) -> None:
        """What they have done is checked; then none makes work any more."""
        world, callers = self._world, self._callers
        for name in self.names:
            self._pause(name, Pause("the end", ""))
        await callers.answered()
        assert world.driver is not None
        world.history.look()
        fired = world.history.ticks.fired
        for name in self.names:
            row = world.driver.state.schedules.rows[name]
            step, anchor, begin = micros(SCHEDULES[name][0]), at(0), micros(START)
            decided = (row.cursor - anchor) // step - (begin - anchor) // step
            assert row.fired == sum(1 for of, _ in fired if of == name), f"{name}: {row}"
            if name not in self._backfilled:
                assert row.fired + row.miss_count <= decided, f"{name}: {row}"
                if max(world.clocks_ahead) < _COUNTED:
                    assert row.fired + row.miss_count == decided, f"{name}: {row}"
        for name in self.names:
            request = e.Request(f"delete-{name}", b"x")
            self._ask(
                lambda token, name=name, request=request: e.ScheduleDeleteAsked(  # type: ignore[misc]
                    name, request, token
                )
            )
        await callers.answered()
        self.names = []
