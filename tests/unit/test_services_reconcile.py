"""Which replicas are started and ended, situation by situation."""

from __future__ import annotations

from quorate.runtime.ids import TaskId
from scheduler.core.handlers.services.reconcile import DesiredState, Plan, ReplicaSeen, plan


def seen(name: str, *, current: bool = True, ready: bool = True, waiting: bool = False):
    return ReplicaSeen(TaskId(name), current, ready and not waiting, waiting)


def old(name: str, *, ready: bool = True, waiting: bool = False):
    return seen(name, current=False, ready=ready, waiting=waiting)


def starting(name: str):
    return seen(name, ready=False)


def ends(what: Plan) -> list[str]:
    return sorted(what.end)


def test_a_new_service_gets_all_its_replicas() -> None:
    assert plan(DesiredState(3, 1, 0), []) == Plan((), 3)


def test_a_service_as_wished_is_left_alone() -> None:
    assert plan(DesiredState(2, 1, 0), [seen("1"), seen("2")]) == Plan((), 0)
    assert plan(DesiredState(2, 1, 0), [seen("1"), starting("2")]) == Plan((), 0)


def test_scaling_down_ends_what_is_not_ready_first_then_the_newest() -> None:
    replicas = [seen("1"), starting("2"), seen("3"), seen("4")]
    assert ends(plan(DesiredState(2, 1, 0), replicas)) == ["2", "4"]


def test_an_update_starts_with_the_surge_and_ends_nobody_before_it_is_ready() -> None:
    replicas = [old("1"), old("2")]
    assert plan(DesiredState(2, 1, 0), replicas) == Plan((), 1)
    assert plan(DesiredState(2, 1, 0), [*replicas, starting("3")]) == Plan((), 0)
    # Ready: one of the old ones goes, and its room is taken at once.
    assert plan(DesiredState(2, 1, 0), [*replicas, seen("3")]) == Plan((TaskId("2"),), 1)
    assert plan(DesiredState(2, 1, 0), [old("1"), seen("3"), starting("4")]) == Plan((), 0)
    assert plan(DesiredState(2, 1, 0), [old("1"), seen("3"), seen("4")]) == Plan((TaskId("1"),), 0)


def test_max_unavailable_ends_old_ones_before_new_ones_are_ready() -> None:
    assert plan(DesiredState(3, 1, 2), [old("1"), old("2"), old("3")]) == Plan(
        (TaskId("3"), TaskId("2")), 3
    )


def test_an_outdated_replica_without_a_process_is_ended_at_once() -> None:
    replicas = [old("1", waiting=True), old("2")]
    assert plan(DesiredState(2, 1, 0), replicas) == Plan((TaskId("1"),), 2)


def test_an_update_replaces_replicas_that_never_became_ready() -> None:
    replicas = [old("1", ready=False), old("2", ready=False)]
    assert plan(DesiredState(2, 1, 0), replicas) == Plan((), 1)
    assert plan(DesiredState(2, 1, 0), [*replicas, starting("3")]) == Plan((), 0)
    assert plan(DesiredState(2, 1, 0), [*replicas, seen("3")]) == Plan((TaskId("2"),), 1)


def test_an_update_of_an_update_that_does_not_start_ends_the_failing_one_first() -> None:
    replicas = [old("1"), old("2"), old("3", ready=False)]
    assert plan(DesiredState(2, 1, 0), replicas) == Plan((TaskId("3"),), 1)


def test_nobody_is_wanted_any_longer() -> None:
    replicas = [seen("1"), starting("2"), old("3"), old("4", ready=False), old("5", waiting=True)]
    assert ends(plan(DesiredState(0, 0, 0), replicas)) == ["1", "2", "3", "4", "5"]


def test_a_smaller_surge_makes_room_by_those_that_are_not_ready() -> None:
    replicas = [*(old(str(n)) for n in range(2)), starting("5"), starting("6"), starting("7")]
    what = plan(DesiredState(3, 1, 0), replicas)
    assert what == Plan((TaskId("7"),), 0)
