"""Faults of graphs, members of jobs, reduces, placement, pauses and changes that are planted on
purpose: each must be found."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from scheduler.core.graphs.members import Members
from scheduler.core.handlers.bulk import retry
from scheduler.core.handlers.chunks import reduces
from scheduler.core.handlers.controls import suspension
from scheduler.core.handlers.limits import unique
from scheduler.core.handlers.tasks import creation
from scheduler.core.model import effects as fx
from scheduler.core.model import events as e
from scheduler.core.model.rows import JobRow, Reservation, TaskRow
from scheduler.core.placement import choosing, pipeline
from scheduler.core.placement.strategies.strategy import Room
from tests.simulation.kinds import Arrays, Changing, Graphs, Placing
from tests.simulation.planted import SEEDS, found
from tests.simulation.schedulers import CheckedFold, CheckedMachine
from tests.simulation.world import World


class TasksOfGraphsDoNotWait(Graphs):
    """A task of a graph starts although what it waits for runs."""

    planted = (Members, "ready", lambda self, member: True)


class ConditionsAreNotLookedAt(Graphs):
    """A task runs on whatever way the task that it waits for ended."""

    planted = (Members, "broken", lambda self, member: None)


class AttemptsThatAreOverAddTasks(Graphs):
    """An attempt that was given up adds tasks to its job."""

    planted = (creation, "refuse_child", lambda state, parent: None)


def _live_nodes(self: Members[JobRow]) -> int:
    return sum(node.live for node in self.nodes)


class JobsEndBeforeWhatWasAdded(Graphs):
    """A graph is over when its own tasks are, whatever these have added."""

    planted = (Members, "live", property(_live_nodes))


class GraphsTakeTheKeysOfOthers(Graphs):
    """Nobody asks who has the unique keys of a graph's tasks."""

    graph_keys = 0.3
    planted = (unique, "refuse_node", lambda state, queue, spec, place, own=None: None)


class MergedResultsLoseOne(Arrays):
    """When results are merged into fewer records, one is left out."""

    begin_with = 32

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            if isinstance(event, e.JobResultsRead) and event.records and event.records[-1]:
                *others, (first, kind, values) = event.records[-1]
                shorter = [*others, (first, kind, values[:-1])]
                event = event._replace(records=[*event.records[:-1], shorter])
            return super().step(event, now)


class ReducesBeginTooEarly(Arrays):
    """The next level of reduces has one reduce too few."""

    planted = (reduces, "size_of_next", lambda count, fan_in: max(1, count // max(1, fan_in)))


class TaintsAreNotAsked(Placing):
    """Nodes with taints take every task."""

    planted = (choosing, "not_tolerated", lambda taints, rules: None)


class StandbysForgetTaints(Placing):
    """Under a new leader no node has a taint of an operator."""

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            if not key.startswith(b"controls/"):
                super().put(key, value, mod_revision, lease)


class StandbysForgetMatchingPauses(Placing):
    """Under a new leader nothing is paused by label or tenant."""

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            if not key.startswith(b"pauses/"):
                super().put(key, value, mod_revision, lease)


def _keeping_nothing(held: Reservation, row: TaskRow, room: Room) -> Room:
    return room


class ReservedRoomIsTaken(Placing):
    """Small tasks take the room that is kept for a large one."""

    weights: ClassVar[dict[str, float]] = {**Placing.weights, "submit": 30}
    planted = (pipeline, "keeping", _keeping_nothing)


class RetriesDoNotTakeTheirKey(Changing):
    """A task that is retried by hand does not ask who has its unique key."""

    planted = (retry, "refuse_duplicate", lambda state, queue, specs, retried=False: None)


class RetriesBeginAnewUnderANewLeader(Changing):
    """How far a call that retries many has come is not on record."""

    begin_with = 19

    # Most tasks fail: one call has many to retry, and takes several parts.
    outcomes: ClassVar[dict[str, float]] = {"": 20, "ValueError": 30, "Fatal": 45, "RETURN": 5}
    weights: ClassVar[dict[str, float]] = {
        **Changing.weights,
        "submit": 8,
        "retry_some": 30,
        "kill_leader": 20,
        "depose_leader": 20,
    }

    class fold_type(CheckedFold):
        def put(self, key: bytes, value: bytes, mod_revision: int, lease: int = 0) -> None:
            super().put(key, value, mod_revision, lease)
            if key.startswith(b"dedup/"):
                for row in self.state.dedup.values():
                    if row.counts and row.progress < row.count:
                        row.progress, row.counts = 0, ()


class ResumedProgramsStayStopped(Changing):
    """What an agent has suspended is not compared with the log in a new session."""

    begin_with = 37

    planted = (suspension, "settle", lambda state, instance, rows, suspended, out: None)
    # Little else happens: a program has to be resumed while its agent is out of reach.
    weights: ClassVar[dict[str, float]] = {
        **Changing.weights,
        **dict.fromkeys(("cancel_some", "delete_some", "update_some", "move_some"), 0),
        **dict.fromkeys(("pause_queue", "resume_queue"), 0),
        "retry_some": 1,
        "pause_task": 14,
        "resume_task": 14,
        "break_session": 20,
        "nothing": 30,
    }


class MovedTasksStayWhereTheyWere(Changing):
    """The records of a task that goes to another queue are not deleted in the old one."""

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            out = super().step(event, now)
            if isinstance(event, e.BulkContinued):
                out.writes = [one for one in out.writes if not isinstance(one, fx.DropTask)]
            return out


class SnoozesCountAsFailures(Changing):
    """An attempt that asks to run again later has failed."""

    class machine_type(CheckedMachine):
        def step(self, event: e.Event, now: float) -> fx.Effects:
            if isinstance(event, e.AttemptFailed) and event.snooze:
                row = self.state.tasks.get(event.task)
                if row is not None and row.failures + 1 < row.retry.max_attempts:
                    row.failures += 1
            return super().step(event, now)


FAULTS: list[type[World]] = [
    TasksOfGraphsDoNotWait,
    ConditionsAreNotLookedAt,
    AttemptsThatAreOverAddTasks,
    JobsEndBeforeWhatWasAdded,
    GraphsTakeTheKeysOfOthers,
    MergedResultsLoseOne,
    ReducesBeginTooEarly,
    TaintsAreNotAsked,
    StandbysForgetTaints,
    StandbysForgetMatchingPauses,
    ReservedRoomIsTaken,
    RetriesDoNotTakeTheirKey,
    RetriesBeginAnewUnderANewLeader,
    ResumedProgramsStayStopped,
    MovedTasksStayWhereTheyWere,
    SnoozesCountAsFailures,
]


@pytest.mark.parametrize("world", FAULTS, ids=lambda world: world.__name__)
def test_a_planted_fault_is_found(world: type[World], monkeypatch: pytest.MonkeyPatch) -> None:
    planted: tuple[Any, str, object] | None = getattr(world, "planted", None)
    if planted is not None:
        monkeypatch.setattr(*planted)
    assert found(world, 6.0) is not None, f"{SEEDS} seeds did not find it"
