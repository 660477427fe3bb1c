"""Schedules in whole histories: each tick is fired once or noted as missed, whatever happens to
leaders, and however their clocks differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ClassVar

import pytest

from quorate.etcd.api import KeyValue
from quorate.internal.v1 import records_pb2 as r
from quorate.runtime.ids import TaskIds
from quorate.v1 import task_pb2
from scheduler.core.model import events as e
from scheduler.core.model.reply_token import Pending
from scheduler.core.model.schedules import Overlap, Pause, ScheduleName, micros
from scheduler.engine.driver import Driver
from scheduler.leadership.schedules import ScheduleRuns
from tests.simulation.history import History
from tests.simulation.network import PREFIX
from tests.simulation.schedulers import LeaderClock
from tests.simulation.world import World, play
from tests.support.core_schedules import at, schedule_spec
from tests.support.core_specs import START
from tests.support.jumping_loop import JumpingLoop

# Seconds between two ticks, by schedule.
EVERY = {"one": 1.0, "two": 2.0, "three": 3.0}
POLICIES = (Overlap.ALLOW, Overlap.SKIP, Overlap.QUEUE_ALL)
_NO_REQUEST = e.Request()


class TickHistory(History):
    """Sees which tick each task of a schedule is for."""

    def __init__(self, world: World) -> None:
        super().__init__(world.etcd)
        self.fired: dict[tuple[str, int], str] = {}

    def _put(self, kv: KeyValue) -> None:
        super()._put(kv)
        kind, _, task = kv.key[len(PREFIX) :].partition(b"/")
        if kind == b"tasks":
            spec = task_pb2.TaskSpec.FromString(r.TaskRecord.FromString(kv.value).spec)
            if spec.HasField("schedule"):
                tick = (spec.schedule.name, spec.schedule.tick_time.ToMicroseconds())
                first = self.fired.setdefault(tick, task.decode())
                assert first == task.decode(), f"{tick} fired twice"


class ScheduledWorld(World):
    """A cluster with three schedules that people pause and resume."""

    weights: ClassVar[dict[str, float]] = {
        **World.weights,
        "submit": 3,
        "change_service": 0,
        "pause_one": 2,
        "resume_one": 4,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        self.clocks_ahead = (0.0, 0.0, 0.0, 0.0, 0.3, -2.0, 4.0)
        self.ticks = TickHistory(self)
        self.history = self.ticks
        # The wall clock, in microseconds, at which each was created.
        self.begins: dict[str, int] = {}

    async def start(self) -> None:
        await super().start()
        for (name, every), policy in zip(EVERY.items(), POLICIES, strict=True):
            spec = schedule_spec(name, every=every, overlap=policy, queue="work", window=8.0)
            self.begins[name] = micros(START)
            await self.callers.call(
                lambda _, token, name=name, spec=spec: e.ScheduleSubmitted(  # type: ignore[misc]
                    ScheduleName(name),
                    spec,
                    micros(START),
                    _NO_REQUEST._replace(id=f"create-{name}", digest=b"x"),
                    token,
                )
            )

    def more_duties(
        self, driver: Driver, ids: TaskIds, clock: LeaderClock
    ) -> list[Awaitable[object]]:
        return [ScheduleRuns(driver, ids, clock, lambda: None).run()]

    def pause_one(self) -> None:
        self._change(Pause("", ""))

    def resume_one(self) -> None:
        self._change(None)

    def _change(self, pause: Pause | None) -> None:
        name, wall = ScheduleName(self.rng.choice(list(EVERY))), micros(self.wall())
        self._ask(lambda token: e.SchedulePauseAsked(name, pause, wall, _NO_REQUEST, token))

    def _ask(self, make: Callable[[Pending[object]], e.Event]) -> None:
        self.spawn(self.callers.call(lambda _, token: make(token)))

    async def settle(self) -> None:
        """What a schedule has done is checked; then none makes work any more."""
        self.mischief, self.etcd_away = 0.0, False
        while self.driver is None or self.callers.under_way:
            await self.sleep(0.5)
        for name in EVERY:
            await self.callers.call(
                lambda _, token, name=name: e.SchedulePauseAsked(  # type: ignore[misc]
                    ScheduleName(name),
                    Pause("the end", ""),
                    micros(self.wall()),
                    _NO_REQUEST,
                    token,
                )
            )
        self.history.look()
        assert self.driver is not None
        for name, every in EVERY.items():
            row = self.driver.state.schedules.rows[ScheduleName(name)]
            step, anchor, begin = micros(every), at(0), self.begins[name]
            decided = (row.cursor - anchor) // step - (begin - anchor) // step
            assert row.fired + row.miss_count == decided, f"{name}: {row}"
            assert row.fired == sum(1 for schedule, _ in self.ticks.fired if schedule == name)
            await self.callers.call(
                lambda _, token, name=name: e.ScheduleDeleteAsked(  # type: ignore[misc]
                    ScheduleName(name),
                    _NO_REQUEST._replace(id=f"delete-{name}", digest=b"x"),
                    token,
                )
            )
        await super().settle()


@pytest.mark.parametrize("seed", range(6))
def test_each_tick_fires_once_or_is_missed_for_a_reason(seed: int) -> None:
    """The seed is the test's parameter: run it again with `-k [seed]`."""
    world = play(ScheduledWorld, seed, 15.0)
    assert isinstance(world, ScheduledWorld)
    assert world.terms > 1
    assert len(world.ticks.fired) > 10
