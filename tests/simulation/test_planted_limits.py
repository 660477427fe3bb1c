"""Faults of limits, arrays and schedules that are planted on purpose: each must be found."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from quorate.runtime.ids import TaskId
from scheduler.core.arrays.positions import BLOCK
from scheduler.core.handlers.start_limits import Hold, hold
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.jobs import moves
from scheduler.core.model.limits.permits import SHARE
from scheduler.core.model.rows import JobRow, TaskRow
from scheduler.core.model.state import State
from scheduler.core.placement import pipeline, room
from scheduler.core.queues.lines import Line
from scheduler.core.queues.rates import Latest
from scheduler.core.queues.slot_time import SlotTime
from scheduler.core.values import Rate
from tests.simulation.planted import SEEDS, found
from tests.simulation.schedulers import CheckedFold, CheckedMachine
from tests.simulation.world import ONE_CLOCK, World
from tests.support.jumping_loop import JumpingLoop


class PlantedWorld(World):
    """A busy world. `planted`: what of the product is replaced: (owner, name, by what)."""

    planted: ClassVar[tuple[Any, str, object] | None] = None
    seconds: ClassVar[float] = 6.0
    weights: ClassVar[dict[str, float]] = {
        **World.weights,
        "submit": 16,
        "submit_job": 5,
        "change_service": 2,
        "kill_agent": 2,
        "kill_leader": 1.5,
        "depose_leader": 1.5,
    }

    def __init__(self, seed: int, loop: JumpingLoop) -> None:
        super().__init__(seed, loop)
        self.clocks_ahead = ONE_CLOCK


class PermitsOfLostAttemptsStay(PlantedWorld):
    """An attempt that was lost with its node does not free its permits of shared limits."""

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            row = self.state.tasks.get(event.task) if isinstance(event, e.AttemptLost) else None
            held = row.limits.shared if row is not None and row.limits is not None else ()
            out = super().step(event, now)
            for name in held:
                self.state.permits.running[name] = self.state.permits.running.get(name, 0) + 1
            return out


def _hold_nothing_shared(state: State, row: TaskRow, now: float) -> Hold:
    held = hold(state, row, now)
    return Hold.NOTHING if held is Hold.LANE else held


class SharedLimitsAreNotAsked(PlantedWorld):
    """Whether a shared limit is full is not asked."""

    planted = (pipeline, "hold", _hold_nothing_shared)


class StartsAreNotOnRecord(PlantedWorld):
    """What was taken of rate limits is the leader's memory: a new one has all starts again."""

    class machine_type(CheckedMachine):
        def place(self, now: float, limit: int, first_chunk: TaskId | None = None) -> fx.Effects:
            out = super().place(now, limit, first_chunk)
            out.rates = None
            return out


def _one_less(self: Latest, rate: Rate, arrival: float, start: float) -> float:
    return arrival - rate.interval


class StartsAreGivenBackTwice(PlantedWorld):
    """A start that never was is given back although it has come again."""

    # Many are returned before they begin, and little else happens.
    mischief = 0.12
    weights: ClassVar[dict[str, float]] = {
        "submit": 10,
        "cancel_some": 2,
        "retry_some": 4,
        "change_limits": 3,
        "nothing": 40,
    }
    seconds: ClassVar[float] = 12.0
    planted = (Latest, "without", _one_less)


class SubtasksCountWithoutTheirChunk(PlantedWorld):
    """A late report counts for subtasks that wait again."""

    mischief = 0.15
    weights: ClassVar[dict[str, float]] = {
        **PlantedWorld.weights,
        "submit": 4,
        "submit_job": 10,
        "cut_off_agent": 6,
        "pause_queue": 4,
    }

    class machine_type(CheckedMachine):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self._jobs: dict[TaskId, JobRow] = {}

        def place(self, now: float, limit: int, first_chunk: TaskId | None = None) -> fx.Effects:
            out = super().place(now, limit, first_chunk)
            for chunk, row in self.state.chunks.items():
                assert row.job is not None
                self._jobs[chunk] = row.job
            return out

        def step(self, event: e.Event, now: float) -> fx.Effects:
            out = super().step(event, now)
            if isinstance(event, e.ChunkReported) and event.chunk not in self.state.chunks:
                job = self._jobs.get(event.chunk)
                for position, _ in event.succeeded if job is not None else ():
                    assert job is not None
                    number, place = divmod(position, BLOCK)
                    if not job.finished and job.array.pending_mask(number) >> place & 1:
                        job.array.succeed(number, 1 << place)
                        out.writes.append(fx.PutJobBlock(job, number))
                        moves.account(self.state, job)
            return out


class StandbysForgetChunks(PlantedWorld):
    """A standby does not know which subtasks are out."""

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            if not key.startswith(b"chunks/"):
                super().put(key, value, mod_revision, lease)


class CursorsFollowInTheNextTxn(PlantedWorld):
    """A schedule's cursor is written with the event that comes after its task."""

    weights: ClassVar[dict[str, float]] = {**PlantedWorld.weights, "create_schedules": 20}

    class machine_type(CheckedMachine):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self._late: list[Any] = []

        def step(self, event: e.Event, now: float) -> fx.Effects:
            out = super().step(event, now)
            late, self._late = self._late, []
            if isinstance(event, e.ScheduleDue):
                self._late = [put for put in out.writes if isinstance(put, fx.PutSchedule)]
                out.writes = [put for put in out.writes if not isinstance(put, fx.PutSchedule)]
            out.writes = [*late, *out.writes]
            return out


class StandbysForgetPauses(PlantedWorld):
    """Under a new leader no queue is paused."""

    weights: ClassVar[dict[str, float]] = {**PlantedWorld.weights, "pause_queue": 3}

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            super().put(key, value, mod_revision, lease)
            if key.startswith(b"queues/"):
                for queue in self.state.queues.values():
                    self.state.set_pause(queue, None, paused=False)


def _newest(self: Line) -> TaskId:
    return max(self.tasks)


class TheNewestOfAKeyGoesFirst(PlantedWorld):
    """Tasks of an ordering key go in the wrong order."""

    planted = (Line, "head", _newest)


class ResourcesAreNotCounted(PlantedWorld):
    """A node takes whatever it has slots for."""

    planted = (room, "fits_beside", lambda node, needs: True)


class SharesAreNotCorrectedOnRecord(PlantedWorld):
    """What a tenant is charged when an attempt ends is not written."""

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            out = super().step(event, now)
            out.writes = [
                put
                for put in out.writes
                if not (isinstance(put, fx.PutRate) and put.name[0] == SHARE)
            ]
            return out


class ChargesOfQueuesStay(PlantedWorld):
    """What a queue was charged for an attempt is kept when the attempt ends."""

    planted = (SlotTime, "correct", lambda self, *given: None)


FAULTS: list[type[PlantedWorld]] = [
    PermitsOfLostAttemptsStay,
    SharedLimitsAreNotAsked,
    StartsAreNotOnRecord,
    StartsAreGivenBackTwice,
    SubtasksCountWithoutTheirChunk,
    StandbysForgetChunks,
    CursorsFollowInTheNextTxn,
    StandbysForgetPauses,
    TheNewestOfAKeyGoesFirst,
    ResourcesAreNotCounted,
    SharesAreNotCorrectedOnRecord,
    ChargesOfQueuesStay,
]


@pytest.mark.parametrize("world", FAULTS, ids=lambda world: world.__name__)
def test_a_planted_fault_is_found(
    world: type[PlantedWorld], monkeypatch: pytest.MonkeyPatch
) -> None:
    if world.planted is not None:
        monkeypatch.setattr(*world.planted)
    assert found(world, world.seconds) is not None, f"{SEEDS} seeds did not find it"
