"""The comparison of states: it compares every field, also one that is new."""

from __future__ import annotations

import pytest

from scheduler.core.model.state import State
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import spec
from tests.support.same_state import EXCEPTIONS, differences, names_of


def leader_and_standby() -> tuple[State, State]:
    log = Log()
    c = Cluster(log=log)
    c.node("n1", credit=1)
    c.submit()
    c.submit(spec(priority=3))
    log.flush()
    return c.state, log.fold.state


def test_a_standby_that_folded_everything_does_not_differ():
    assert differences(*leader_and_standby()) == []


def test_an_attribute_that_is_new_is_compared():
    leader, standby = leader_and_standby()
    leader.something_new = 1  # type: ignore[attr-defined]
    assert differences(leader, standby) == ["state.something_new: 1 is not None"]


@pytest.mark.parametrize("field", ["attempt", "priority", "needs", "past", "cancel_requested"])
def test_a_field_of_a_task_that_differs_is_named(field):
    leader, standby = leader_and_standby()
    task = next(iter(standby.tasks))
    setattr(standby.tasks[task], field, "another")
    assert [line.partition(":")[0] for line in differences(leader, standby)] == [
        f"state.tasks[{task!r}].{field}"
    ]


def test_every_exception_is_of_a_field_that_there_is():
    state = State()
    for owner, name in EXCEPTIONS:
        known = names_of(state if owner is State else owner)
        assert name in known, f"{owner.__name__}.{name}"
