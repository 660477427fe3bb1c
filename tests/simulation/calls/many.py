"""Callers that change many tasks in one call, and pause some."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorate.runtime.ids import TaskId
from scheduler.core.model import events as e
from scheduler.core.model.answers import BulkDone
from scheduler.core.values import BulkAct, TaskState
from tests.support.core_specs import spec_update

if TYPE_CHECKING:
    from tests.simulation.callers import Callers

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
            history.retried.update(dict.fromkeys(tasks))
            self._many(tasks, act=BulkAct.RETRY, rate=rng.choice([0.0, rate]))

    def delete_some(self) -> None:
        """Delete what ended long ago."""
        tasks = list(self._world.history.finals)[: self._world.rng.randint(1, 12)]
        if tasks:
            self._world.history.deleted.update(dict.fromkeys(tasks))
            self._many(tasks, act=BulkAct.DELETE)

    def update_some(self) -> None:
        """Give what waits another priority, or another instant."""
        rng, tasks = self._world.rng, self._recent()
        if tasks:
            later = self._world.wall() + rng.choice([-1.0, 1.0])
            fields: dict[str, float] = rng.choice(
                [{"priority": rng.choice([0, 2])}, {"not_before": later}]
            )
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
    ) -> None:
        request = self._callers.request(act.value.encode())

        async def whole() -> None:
            answer = await self._callers.call(
                lambda _, t: e.BulkAsked(
                    tasks, frozenset(), request, t, act=act, rate=rate, update=update
                )
            )
            assert isinstance(answer, BulkDone), answer
            assert sum(answer.counts) == len(tasks), answer

        self._callers.begin(whole)

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
        self._callers.ask(lambda _, t: e.TaskPauseAsked(task, paused, request, t))

    def end(self) -> None:
        """No task is held back any longer."""
        driver = self._world.driver
        assert driver is not None
        for task, row in driver.state.tasks.items():
            if row.state is TaskState.PAUSED:
                self._pause(task, paused=False)
