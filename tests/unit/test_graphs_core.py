"""Graphs: who waits for whom, who is skipped, and how the job ends."""

from __future__ import annotations

import pytest

from scheduler.core.model import events as e
from scheduler.core.model.answers import JobKnown, Rejection
from scheduler.core.model.state import DEFAULT_QUEUE
from scheduler.core.values import JobState, MemberOf, PauseScope, QueuePause, TaskState
from tests.support.core import DAY, Cluster
from tests.support.core_graphs import Graphs
from tests.support.core_jobs import Jobs
from tests.support.core_log import Log
from tests.support.core_specs import spec
from tests.support.same_state import differences

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


class World:
    """A cluster with one node, and graphs."""

    def __init__(self, *, credit: int = 100) -> None:
        self.log = Log()
        self.cluster = Cluster(log=self.log)
        self.node = self.cluster.node("n1", credit=credit)
        self.graphs = Graphs(self.cluster)

    def check(self) -> None:
        """A standby knows what the leader knows."""
        self.log.flush()
        assert not differences(self.cluster.state, self.log.fold.state)

    def run(self, job, name, *, error: str = "") -> None:
        task = self.graphs.task(job, name)
        if error:
            self.node.fail(task, error)
        else:
            self.node.succeed(task)
        self.check()


@pytest.fixture
def world() -> World:
    return World()


def test_a_task_starts_once_all_that_it_waits_for_has_succeeded(world):
    job = world.graphs.create(DIAMOND)
    states = [world.graphs.states(job)]
    for name in "abcd":
        world.run(job, name)
        states.append(world.graphs.states(job))
    assert ["".join(state[0] for state in found.values()) for found in states] == [
        "RBBB",
        "SRRB",
        "SSRB",
        "SSSR",
        "SSSS",
    ]
    assert world.graphs.row(job).state is JobState.SUCCEEDED


def test_nothing_starts_before_all_tasks_are_on_record(world):
    tasks = {"a": (), "b": (), "c": ("a",)}
    job = world.graphs.create(tasks, part=1, parts=2)
    assert set(world.graphs.states(job).values()) == {"BLOCKED"}
    world.graphs.add(job, tasks, first=2)
    assert world.graphs.states(job) == {"a": "RUNNING", "b": "RUNNING", "c": "BLOCKED"}
    world.check()


def test_a_graph_begins_with_its_first_task(world):
    world.cluster.pause()
    job = world.graphs.create(DIAMOND)
    world.cluster.advance(5.0)
    assert not world.graphs.row(job).start_time
    world.cluster.pause(paused=False)
    began = world.cluster.now
    assert world.graphs.row(job).start_time == began
    # It is on record before any task of it has ended.
    assert world.log.loaded().state.jobs[job].start_time == began
    world.cluster.advance(5.0)
    world.run(job, "a")
    assert world.graphs.row(job).start_time == began


def test_a_pause_lets_a_graph_that_is_being_created_be_completed(world):
    tasks = {"a": (), "b": (), "c": ("a",)}
    asked = e.Request("a", b"1")
    job = world.graphs.create(tasks, part=1, parts=2, request=asked)
    pause = QueuePause(PauseScope.ADMISSION)
    world.cluster.call(
        lambda token: e.QueuePauseAsked(DEFAULT_QUEUE, True, e.Request(), token, pause)
    )
    # Also when the call is repeated, as after a failover.
    assert world.graphs.ask(tasks, request=asked) == JobKnown(job)
    world.graphs.add(job, tasks, first=2)
    assert world.graphs.states(job) == {"a": "RUNNING", "b": "RUNNING", "c": "BLOCKED"}
    world.check()


def test_creation_repeated_from_the_beginning_makes_nothing_twice(world):
    tasks = {"a": (), "b": (), "c": ("a",)}
    job = world.graphs.create(tasks, part=1, parts=2)
    world.graphs.add(job, tasks, part=1)
    world.graphs.add(job, tasks, part=1)
    assert list(world.graphs.states(job)) == ["a", "b", "c"]
    world.check()


def test_a_failure_skips_what_wants_success_transitively_and_starts_its_handler(world):
    job = world.graphs.create(
        {"a": (), "b": ("a",), "c": ("b",), "h": (("a", "failure"),), "z": (("c", "always"),)}
    )
    world.run(job, "a", error="ValueError")
    assert world.graphs.states(job) == {
        "a": "FAILED",
        "b": "SKIPPED",
        "c": "SKIPPED",
        "h": "RUNNING",
        "z": "RUNNING",
    }
    world.run(job, "h")
    world.run(job, "z")
    assert world.graphs.row(job).state is JobState.FAILED


def test_a_handler_of_what_succeeded_is_skipped_and_the_job_succeeds(world):
    job = world.graphs.create({"a": (), "h": (("a", "failure"),)})
    world.run(job, "a")
    assert world.graphs.states(job) == {"a": "SUCCEEDED", "h": "SKIPPED"}
    assert world.graphs.row(job).state is JobState.SUCCEEDED


def test_a_clean_up_that_fails_does_not_fail_the_job(world):
    job = world.graphs.create({"a": (), "z": (("a", "always", "cleanup"),)})
    world.run(job, "a")
    world.run(job, "z", error="OSError")
    assert world.graphs.row(job).state is JobState.SUCCEEDED


def test_cancel_ends_what_runs_and_what_waits(world):
    job = world.graphs.create(DIAMOND)
    world.graphs.cancel(job)
    states = world.graphs.states(job)
    assert (states["b"], states["d"]) == ("CANCELLED", "CANCELLED")
    assert not world.graphs.row(job).finished
    world.node.fail(world.graphs.task(job, "a"), "CANCELLED")
    assert set(world.graphs.states(job).values()) == {"CANCELLED"}
    assert world.graphs.row(job).state is JobState.CANCELLED
    world.check()


def test_a_paused_job_starts_nothing_until_it_is_resumed(world):
    world = World(credit=1)
    job = world.graphs.create({"a": (), "b": (), "c": ("a",)})
    world.graphs.pause(job)
    running = [name for name, state in world.graphs.states(job).items() if state == "RUNNING"]
    world.run(job, running[0])
    states = world.graphs.states(job)
    assert set(states.values()) == {"SUCCEEDED", "BLOCKED"}
    world.graphs.pause(job, paused=False)
    world.check()
    assert "RUNNING" in world.graphs.states(job).values()
    assert "BLOCKED" in {*world.graphs.states(job).values(), "BLOCKED"}


def test_an_attempt_that_comes_back_while_the_job_is_paused_waits(world):
    job = world.graphs.create({"a": ()})
    world.graphs.pause(job)
    world.node.give_back(world.graphs.task(job, "a"))
    assert world.graphs.states(job) == {"a": "BLOCKED"}
    world.graphs.pause(job, paused=False)
    assert world.graphs.states(job) == {"a": "RUNNING"}
    world.check()


def test_retrying_a_task_reopens_the_job_and_what_was_skipped_because_of_it(world):
    job = world.graphs.create({"a": (), "b": ("a",), "c": ("b",), "o": ()})
    world.run(job, "o")
    world.run(job, "a", error="ValueError")
    assert world.graphs.row(job).state is JobState.FAILED
    world.graphs.retry_task(world.graphs.task(job, "a"))
    assert world.graphs.states(job) == {
        "a": "RUNNING",
        "b": "BLOCKED",
        "c": "BLOCKED",
        "o": "SUCCEEDED",
    }
    world.check()
    for name in "abc":
        world.run(job, name)
    assert world.graphs.row(job).state is JobState.SUCCEEDED


def test_a_skipped_task_is_not_retried_by_itself(world):
    job = world.graphs.create({"a": (), "b": ("a",)})
    world.run(job, "a", error="ValueError")
    answer = world.graphs.retry_task(world.graphs.task(job, "b"))
    assert isinstance(answer, Rejection)
    assert answer.reason == "TASK_SKIPPED"


def test_retry_of_the_job_runs_what_failed_again_and_decides_anew_what_was_skipped(world):
    job = world.graphs.create({"a": (), "b": ("a",), "h": (("a", "failure"),), "o": ()})
    world.run(job, "o")
    world.run(job, "a", error="ValueError")
    world.run(job, "h")
    world.graphs.retry(job)
    world.check()
    assert world.graphs.states(job) == {
        "a": "RUNNING",
        "b": "BLOCKED",
        "h": "SUCCEEDED",
        "o": "SUCCEEDED",
    }
    world.run(job, "a")
    world.run(job, "b")
    assert world.graphs.row(job).state is JobState.SUCCEEDED
    refused = world.graphs.retry(job)
    assert isinstance(refused, Rejection)
    assert refused.reason == "NOTHING_TO_RETRY"


def test_more_failures_than_allowed_end_the_job(world):
    job = world.graphs.create({"a": (), "b": (), "c": ("b",)}, max_failures=0)
    world.run(job, "a", error="ValueError")
    assert world.graphs.states(job)["c"] == "CANCELLED"
    world.node.fail(world.graphs.task(job, "b"), "CANCELLED")
    assert world.graphs.row(job).state is JobState.FAILED
    world.check()


def test_cancelled_tasks_are_no_failures_and_can_be_retried(world):
    job = world.graphs.create({"a": (), "b": (), "c": ("b",)}, max_failures=0)
    world.graphs.cancel(job)
    for name in "ab":
        world.node.fail(world.graphs.task(job, name), "CANCELLED")
    assert world.graphs.row(job).state is JobState.CANCELLED
    for name in "abc":
        world.graphs.retry_task(world.graphs.task(job, name))
    assert world.graphs.states(job) == {"a": "RUNNING", "b": "RUNNING", "c": "BLOCKED"}
    for name in "abc":
        world.run(job, name)
    assert world.graphs.row(job).state is JobState.SUCCEEDED


def test_a_backoff_that_a_leader_ahead_of_time_began_is_cut_when_the_job_goes_on(world):
    job = world.graphs.create({"a": ()}, what=spec(attempts=2, backoff=1.0, max_backoff=2.0))
    world.cluster.now += 90_000.0
    world.node.fail(world.graphs.task(job, "a"), "OSError")
    world.graphs.pause(job)
    assert world.graphs.states(job) == {"a": "BLOCKED"}
    world.cluster.now -= 90_000.0
    world.graphs.pause(job, paused=False)
    world.check()
    assert world.graphs.states(job) == {"a": "SCHEDULED"}
    world.cluster.advance(3.0)
    assert world.graphs.states(job) == {"a": "RUNNING"}


def test_deleting_a_graph_deletes_its_tasks_and_nothing_else_does(world):
    other = world.cluster.submit()
    job = world.graphs.create(DIAMOND)
    for name in "abcd":
        world.run(job, name)
    refused = world.cluster.delete(world.graphs.task(job, "a"))
    assert isinstance(refused, Rejection)
    assert refused.reason == "TASK_IN_JOB"
    tasks = world.graphs.ids(job)
    world.graphs.delete(job)
    assert [world.cluster.state_of(task) for task in tasks] == [None] * 4
    assert world.cluster.state_of(other) is TaskState.RUNNING
    world.check()
    assert not [key for key in world.log.kept if b"tasks/" in key and tasks[0].encode() in key]


def test_a_job_whose_end_is_not_committed_is_not_deleted(world):
    """It is on record as live: neither retention nor a caller may delete it, also when it had ended
    before and was retried."""
    cluster = world.cluster
    job = world.graphs.create({"a": ()})
    child = cluster.submit(spec()._replace(member=MemberOf(job)))
    world.run(job, "a", error="OSError")
    world.node.succeed(child)
    cluster.commit_late = True
    world.graphs.retry(job)
    cluster.commit()
    world.node.succeed(world.graphs.task(job, "a"))
    assert world.graphs.row(job).state is JobState.SUCCEEDED
    token = cluster.token()
    cluster.step(e.JobDeleteAsked(job, e.Request(), token))
    cluster.now += 10 * DAY
    cluster.retain()
    assert job in cluster.state.jobs
    cluster.commit()
    answer = cluster.reply(token)
    assert isinstance(answer, Rejection)
    assert (answer.reason, "is ending" in answer.message) == ("JOB_NOT_FINISHED", True)
    cluster.retain()
    assert job not in cluster.state.jobs
    assert not cluster.state.queues[DEFAULT_QUEUE].retained


def test_retention_deletes_a_graph_as_a_whole(world):
    job = world.graphs.create(DIAMOND)
    for name in "abcd":
        world.run(job, name)
    tasks = world.graphs.ids(job)
    world.cluster.retain()
    assert world.cluster.state_of(tasks[0]) is TaskState.SUCCEEDED
    world.cluster.advance(90_000.0)
    world.cluster.retain()
    assert [world.cluster.state_of(task) for task in tasks] == [None] * 4
    assert job not in world.cluster.state.jobs
    world.check()


def test_only_so_many_tasks_of_finished_graphs_are_kept(world):
    world.cluster.queue("few", count=5)
    array = Jobs(world.cluster).create(0, queue="few")
    graphs = [world.graphs.create({"a": (), "b": ("a",)}, queue="few") for _ in range(4)]
    for job in graphs[:3]:
        for name in "ab":
            world.run(job, name)
    world.run(graphs[3], "a")
    world.cluster.retain()
    # Of one that is live every task is kept, and arrays have no part in this.
    assert list(world.cluster.state.jobs) == [array, *graphs[1:]]
    assert world.cluster.state_of(world.graphs.task(graphs[3], "a")) is TaskState.SUCCEEDED
    world.check()


def test_a_wide_graph_is_skipped_in_parts(world):
    count = 500
    job = world.graphs.create({"a": (), **{f"t{n}": ("a",) for n in range(count)}})
    world.run(job, "a", error="ValueError")
    states = list(world.graphs.states(job).values())
    assert states.count("SKIPPED") == count
    assert world.graphs.row(job).state is JobState.FAILED


def test_a_new_leader_goes_on_with_what_was_left(world):
    count = 300
    job = world.graphs.create({"a": (), **{f"t{n}": ("a",) for n in range(count)}})
    world.cluster.hold_parts = True
    world.node.fail(world.graphs.task(job, "a"), "ValueError")
    left = list(world.graphs.states(job).values()).count("BLOCKED")
    assert 0 < left < count
    world.log.flush()
    world.cluster.hold_parts = False
    world.cluster.lead(world.log.fold.state)
    assert list(world.graphs.states(job).values()).count("SKIPPED") == count
    assert world.graphs.row(job).state is JobState.FAILED


def test_a_new_leader_ends_a_job_whose_last_task_ended_while_others_were_due(world):
    job = world.graphs.create({"a": ()})
    world.run(job, "a", error="ValueError")
    world.cluster.hold_parts = True
    world.graphs.retry(job)
    world.graphs.retry_task(world.graphs.task(job, "a"))
    world.node.succeed(world.graphs.task(job, "a"))
    assert world.graphs.row(job).state is JobState.ACTIVE
    world.cluster.hold_parts = False
    world.cluster.lead(world.log.loaded().state)
    assert world.graphs.row(job).state is JobState.SUCCEEDED
    world.check()


def test_a_start_deadline_counts_from_when_the_dependencies_hold(world):
    what = spec(start_deadline=10.0)
    job = world.graphs.create({"a": (), "b": ("a",), "h": (("b", "failure"),)}, what=what)
    world.cluster.advance(60.0)
    world.check()
    assert world.graphs.states(job)["b"] == "BLOCKED"
    world.cluster.pause("default")
    world.run(job, "a")
    task = world.graphs.task(job, "b")
    row = world.cluster.state.tasks[task]
    assert (row.state, row.expire_at) == (TaskState.PENDING, world.cluster.now + 10.0)
    world.cluster.lead(world.log.loaded().state)
    world.cluster.advance(9.0)
    assert world.graphs.states(job)["b"] == "PENDING"
    world.cluster.advance(2.0)
    assert world.graphs.states(job) == {"a": "SUCCEEDED", "b": "EXPIRED", "h": "PENDING"}
    world.check()
    # Retried with the graph, it has its time again.
    world.cluster.advance(20.0)
    assert world.graphs.states(job)["h"] == "EXPIRED"
    world.graphs.retry(job)
    world.check()
    row = world.cluster.state.tasks[task]
    assert (row.state, row.expire_at) == (TaskState.PENDING, world.cluster.now + 10.0)
    assert world.cluster.state.tasks[world.graphs.task(job, "h")].expire_at == -10.0
