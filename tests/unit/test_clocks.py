"""Leaders whose clocks are not the others': who is told, what is due when, and what may expire."""

from __future__ import annotations

import pytest
import structlog.testing

from quorate.doctor.cluster_checks import check_replicas
from quorate.doctor.finding import Level
from quorate.runtime.attempts.outcomes import SNOOZED
from quorate.runtime.ids import InstanceId
from quorate.runtime.timing.clock import SimulatedClock, TermClock
from quorate.v1 import cluster_pb2
from scheduler.core.model import events as e
from scheduler.core.model.invariants import check
from scheduler.core.values import BulkAct, TaskState
from scheduler.engine.clocks import Clocks
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_specs import START, spec, spec_update

HOUR = 3_600.0


def clocks(*, ahead: float, latest: float = 0.0) -> tuple[Clocks, SimulatedClock]:
    clock = SimulatedClock(START + ahead)
    return Clocks(TermClock(clock), latest), clock


def tell(found: Clocks, *behind: float, at: float) -> None:
    for number, seconds in enumerate(behind):
        found.report(InstanceId(f"i{number}"), at - seconds)


# -- how far


def test_the_offset_is_that_from_the_middle_node_so_that_one_wrong_clock_changes_nothing():
    found, clock = clocks(ahead=0.0)
    assert found.offset is None
    tell(found, 0.0, 0.1, -90_000.0, at=clock.wall())
    assert found.offset == pytest.approx(0.0, abs=0.2)
    found.forget(InstanceId("i2"))
    assert found.offset == pytest.approx(0.05, abs=0.01)


def test_a_leader_far_from_the_nodes_says_so_once_and_when_it_is_over():
    found, clock = clocks(ahead=HOUR)
    with structlog.testing.capture_logs() as lines:
        found.look()
        tell(found, HOUR, HOUR, at=clock.wall())
        found.look()
        found.look()
        tell(found, 0.0, 0.0, at=clock.wall())
        found.look()
        found.look()
    assert [(line["event"], line["ahead"]) for line in lines] == [
        ("clock_far_from_the_nodes", HOUR),
        ("clock_agrees_with_the_nodes", 0.0),
    ]


@pytest.mark.parametrize(
    ("ahead", "words"), [(HOUR, "3600 s ahead of"), (-60.0, "60 s behind"), (0.4, "")]
)
def test_the_doctor_warns_of_clocks_that_are_far_apart(ahead: float, words: str):
    cluster = cluster_pb2.Cluster()
    cluster.clock_offset.FromNanoseconds(round(ahead * 1e9))
    found = [each for each in check_replicas(cluster, local=True) if each.subject == "clocks"]
    if not words:
        assert found == []
        return
    (finding,) = found
    assert finding.level is Level.WARNING
    assert words in finding.text


# -- what expires


def test_expiry_goes_by_the_log_where_no_node_tells_the_time():
    found, clock = clocks(ahead=25 * HOUR, latest=START)
    assert found.expiry() == START
    clock.advance(10.0)
    assert found.expiry() == START + 10.0


def test_expiry_goes_by_the_nodes_where_they_tell():
    found, clock = clocks(ahead=25 * HOUR, latest=START + 25 * HOUR)
    tell(found, 25 * HOUR, 25 * HOUR + 0.1, at=clock.wall())
    assert found.expiry() == pytest.approx(START, abs=1.0)


def test_expiry_goes_by_the_leaders_clock_where_the_nodes_agree():
    """However long the cluster was idle, or down, before."""
    found, clock = clocks(ahead=0.0, latest=START - 50 * HOUR)
    tell(found, 0.0, at=clock.wall())
    assert found.expiry() == clock.wall()


def test_a_leader_that_is_behind_expires_late_and_never_early():
    found, clock = clocks(ahead=-HOUR, latest=START)
    tell(found, -HOUR, at=clock.wall())
    assert found.expiry() == clock.wall()


# -- what is due


def test_what_waits_for_a_time_waits_for_it_after_a_leader_ahead_of_time():
    log = Log()
    c = Cluster(log=log)
    # A leader an hour ahead writes an hour ahead.
    c.now = START + HOUR
    n = c.node("n1")
    held = c.submit()
    waiting = c.submit(what=spec(not_before=START + 2 * HOUR))
    c.now = START + 1.0
    c.lead(log.followed())
    n.open()
    n.credit(4)
    assert c.state_of(waiting) is TaskState.SCHEDULED
    c.advance(2 * HOUR - 2.0)
    assert c.state_of(waiting) is TaskState.SCHEDULED
    c.advance(1.5)
    assert c.state_of(waiting) is TaskState.RUNNING
    # Its own instants follow one another all the same.
    n.succeed(held)
    done = c.state.finished[held]
    assert done.finish_time >= START + HOUR
    check(c.state)


def test_a_retry_that_a_leader_ahead_of_time_put_off_comes_within_its_longest_backoff():
    log = Log()
    c = Cluster(log=log)
    c.now = START + HOUR
    n = c.node("n1")
    task = c.submit(what=spec(attempts=3, backoff=1.0))
    n.fail(task)
    assert c.state_of(task) is TaskState.SCHEDULED
    c.now = START
    c.lead(log.followed())
    n.open()
    n.credit(4)
    longest = c.row(task).retry.max_backoff
    assert c.row(task).not_before <= START + longest * 1.2
    c.advance(longest * 1.2 + 1.0)
    assert c.state_of(task) is TaskState.RUNNING
    check(c.state)


def test_a_snooze_under_a_leader_ahead_of_time_takes_as_long_as_was_asked_for():
    log = Log()
    c = Cluster(log=log, now=START + 25 * HOUR)
    n = c.node("n1")
    task = c.submit()
    c.step(
        e.AttemptFailed(n.instance, task, 1, c.now, c.now, SNOOZED, "", None, (), 2 * HOUR),
    )
    n.has.clear()
    assert c.row(task).not_before == START + 27 * HOUR
    c.now = START
    c.lead(log.followed())
    n.open()
    n.credit(4)
    assert c.row(task).not_before == START + 2 * HOUR
    c.advance(2 * HOUR + 1.0)
    assert c.state_of(task) is TaskState.RUNNING


@pytest.mark.parametrize("paused", [False, True])
def test_what_a_caller_put_off_after_a_failure_is_left_alone(paused: bool):
    """It is no backoff, however long: neither the next leader nor a resume cuts it."""
    log = Log()
    c = Cluster(log=log)
    n = c.node("n1")
    task = c.submit(what=spec(attempts=3, backoff=1.0, max_backoff=2.0))
    n.fail(task)
    later = c.now + HOUR
    update = spec_update(not_before=later)
    c.call(
        lambda token: e.BulkAsked(
            [task], frozenset(), e.Request(), token, act=BulkAct.UPDATE, update=update
        )
    )
    if paused:
        c.call(lambda token: e.TaskPauseAsked(task, True, e.Request(), token))
        c.call(lambda token: e.TaskPauseAsked(task, False, e.Request(), token))
    else:
        c.lead(log.followed())
    assert c.row(task).not_before == later
    assert c.state_of(task) is TaskState.SCHEDULED


def test_a_task_given_away_by_a_leader_ahead_of_time_ends_no_earlier_than_that():
    c = Cluster(now=START + 25 * HOUR)
    node = c.node("n1")
    task = c.submit()
    assigned = c.row(task).assign_time
    c.now = START
    c.lead(c.state)
    node.lose()
    assert c.row(task).past[0].finish_time >= assigned
    again = c.node("n2")
    c.now = START + 25 * HOUR
    c.lead(c.state)
    again.open()
    again.give_back(task)
    again.credit(1)
    assigned = c.row(task).assign_time
    c.now = START
    c.lead(c.state)
    c.cancel(task)
    again.give_back(task)
    assert c.state.finished[task].finish_time >= assigned


def test_the_instant_of_the_last_record_is_what_a_standby_takes_for_the_logs_time():
    log = Log()
    c = Cluster(log=log)
    c.now = START + 25 * HOUR
    c.submit()
    c.now = START + 1.0
    c.lead(log.followed())
    c.submit()
    for fold in (log.fold, log.loaded()):
        assert fold.latest < START + 2.0
