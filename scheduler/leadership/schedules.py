"""Looks at schedules when they are due: the one duty of a leader that goes by the wall clock.

What is due is in the state (`State.schedules`), folded from the log: this duty remembers nothing,
and a new leader's begins with a look at every schedule. It never sleeps longer than `LOOK`, so that
a wall clock that jumps is noticed; with no schedule it sleeps until there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from quorate.runtime.errors import ETCD_SPACE_LOW
from quorate.runtime.ids import TaskIds
from quorate.runtime.timing.clock import Clock
from scheduler.core.model import events as e
from scheduler.core.model.schedules import micros
from scheduler.engine.driver import Driver

# Seconds.
LOOK: Final = 1.0


class ScheduleRuns:
    """The runs of one term's schedules.

    Args:
        ids: of tasks, shared with those of callers.
        full: why no new work is taken at the moment; None when it is.
    """

    def __init__(
        self, driver: Driver, ids: TaskIds, clock: Clock, full: Callable[[], str | None]
    ) -> None:
        self._driver = driver
        self._index = driver.state.schedules
        self._ids = ids
        self._clock = clock
        self._full = full
        self._changed = asyncio.Event()
        driver.observe_steps(self._stepped)

    def _stepped(self) -> None:
        if self._index.touched:
            self._changed.set()

    async def run(self) -> None:
        """Look at what is due, as the journal has room, until cancelled."""
        while True:
            due = self._index.next_due()
            wall = micros(self._clock.wall())
            if due is None or due[0] > wall:
                await self._sleep(None if due is None else (due[0] - wall) / 1e6)
                continue
            await self._driver.journal.wait_room()
            refused = ETCD_SPACE_LOW if self._full() is not None else ""
            first = self._ids.next(self._driver.clock.now())
            self._driver.handle((e.ScheduleDue(due[1], wall, first, refused),))
            await asyncio.sleep(0)

    async def _sleep(self, seconds: float | None) -> None:
        """Sleep until something changes, at most so long; None: nothing is due by itself."""
        self._changed.clear()
        if self._index.touched:
            return
        try:
            async with asyncio.timeout(None if seconds is None else min(seconds, LOOK)):
                await self._changed.wait()
        except TimeoutError:
            pass
