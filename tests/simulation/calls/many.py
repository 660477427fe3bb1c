"""Callers that change many tasks in one call, and pause some."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone
from scheduler.core.values import BulkAct, TaskState
from tests.simulation.calls.limits import API, OTHER, SEAT, WORK
from tests.support.core_specs import spec_update

if TYPE_CHECKING:
    from tests.simulation.callers import Callers, Make

# Seconds by which a leader's clock may be ahead that is to note an instant of the future.
CLOCK_AHEAD = 100.0
# Of what was answered last.
_RECENT = 20


class ManyCalls:
    """Those of one world."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._world = callers.world
        self._paused: dict[TaskId, None] = {}

    def retry_some(self) -> None:
        """Retry what failed, at once or at a rate."""
        rng, history = self._world.rng, self._world.history
        ended = [task for task, state in history.finals.items() if state is not TaskState.SUCCEEDED]
        tasks = ended[-rng.randint(1, 12) :]
        # By a clock that is a day ahead, the instants of a rate would be tomorrow.
        rate = 5.0 if max(self._world.clocks_ahead) < CLOCK_AHEAD else 0.0
        if tasks:
            for task in tasks:
                history.retried[task] = history.retried.get(task, 0) + 1
            self._many(tasks, act=BulkAct.RETRY, rate=rng.choice([0.0, rate]), again=0.3)

    def delete_some(self) -> None:
        """Delete what ended long ago."""
        tasks = list(self._world.history.finals)[: self._world.rng.randint(1, 12)]
        if tasks:
            self._world.history.deleted.update(dict.fromkeys(tasks))
            self._many(tasks, act=BulkAct.DELETE)

    def update_some(self) -> None:
        """Give what waits another priority or instant, or other limits and keys."""
        rng, tasks = self._world.rng, self._recent()
        if tasks:
            later = self._world.wall() + rng.choice([-1.0, 1.0])
            fields: dict[str, Any] = rng.choice(
                [
                    {"priority": rng.choice([0, 2])},
                    {"not_before": later},
                    {"limit_key": rng.choice(["", "a", "b"])},
                    {"limits": rng.choice([(), (SEAT,), (SEAT, API)])},
                    {"ordering_key": rng.choice(["", "o", "p"]), "fairness_key": "gold"},
                ]
            )
            self._world.history.updated.update(dict.fromkeys(tasks))
            self._many(tasks, act=BulkAct.UPDATE, update=spec_update(**fields))

    def move_some(self) -> None:
        """What waits goes to another queue, or back."""
        rng, tasks = self._world.rng, self._recent()
        if tasks:
            fields: dict[str, Any] = {"to": rng.choice([OTHER, WORK])}
            if rng.random() < 0.2:
                fields["not_before"] = self._world.wall() + 1.0
            self._world.history.updated.update(dict.fromkeys(tasks))
            self._many(tasks, act=BulkAct.UPDATE, update=spec_update(**fields))

    def _recent(self) -> list[TaskId]:
        rng, answered = self._world.rng, self._world.history.answered
        if not answered:
            return []
        requests = list(answered)[-_RECENT:]
        tasks = [task for request in requests for task in answered[request]]
        return sorted(set(rng.sample(tasks, min(len(tasks), rng.randint(1, 12)))))

    def _many(
        self,
        tasks: list[TaskId],
        *,
        act: BulkAct,
        rate: float = 0.0,
        update: e.SpecUpdate | None = None,
        again: float = 0.0,
    ) -> None:
        """Ask it of all; `again`: how often the call is repeated when it was answered long ago."""
        request = self._callers.request(act.value.encode())

        async def whole() -> None:
            counts = await self._answered(
                lambda _, t: e.BulkAsked(
                    tasks, frozenset(), request, t, act=act, rate=rate, update=update
                ),
                len(tasks),
            )
            if self._world.rng.random() < again:
                # Its answer was lost on the way, and it is still promised to be known.
                await asyncio.sleep(self._world.rng.uniform(0.5, 3.0))
                assert counts == await self._answered(
                    lambda _, t: e.BulkAsked(
                        tasks, frozenset(), request, t, act=act, rate=rate, update=update
                    ),
                    len(tasks),
                )

        self._callers.begin(whole)

    async def _answered(self, make: Make, asked: int) -> tuple[int, ...]:
        answer = await self._callers.call(make)
        assert isinstance(answer, BulkDone), answer
        assert sum(answer.counts) == asked, answer
        return tuple(answer.counts)

    def pause_task(self) -> None:
        """Hold back a task that waits."""
        rng, tasks = self._world.rng, self._recent()
        if tasks:
            task = rng.choice(tasks)
            self._paused[task] = None
            self._pause(task, paused=True)

    def resume_task(self) -> None:
        if self._paused:
            self._pause(self._paused.popitem()[0], paused=False)

    def _pause(self, task: TaskId, *, paused: bool) -> None:
        request = self._callers.request(b"pause")
        if not paused:
            self._world.history.resumed[task] = None
        program = self._world.suspends
        self._callers.ask(lambda _, t: e.TaskPauseAsked(task, paused, request, t, "", program))

    def end(self) -> None:
        """No task is held back any longer."""
        driver = self._world.driver
        assert driver is not None
        for task, row in driver.state.tasks.items():
            if row.pause is not None:
                self._pause(task, paused=False)
