"""Progress at the leader: whose word counts, how long it stays, what a watch gets of it."""

from __future__ import annotations

from quorate.runtime.ids import TaskId
from quorate.v1 import node_agent_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.agents.reports import events_of, opened
from scheduler.api.tasks.running import progress
from scheduler.api.tasks.running.progress import EVERY, ProgressFeed
from scheduler.api.tasks.watch_pick import Pick, Place
from scheduler.core.model import events as e
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec


def say(
    node: FakeNode, task: TaskId, fraction: float | None, text: str = "", attempt: int = 1
) -> None:
    event = e.ProgressReported(node.instance, task, attempt, fraction, text, 0.0)
    out = node.cluster.step(event)
    assert (out.writes, out.after) == ([], []), "it is memory alone"


def shown(cluster: Cluster, task: TaskId) -> task_pb2.Task:
    view = task_pb2.Task(id=task, state=task_pb2.TASK_STATE_RUNNING)
    view.attempt = cluster.state.tasks[task].attempt if task in cluster.state.tasks else 0
    progress.add(view, cluster.state)
    return view


def test_the_newest_progress_of_the_attempt_on_record_is_shown():
    c = Cluster(log=Log())
    n = c.node("n1")
    task = c.submit()
    n.start(task)
    assert not shown(c, task).HasField("progress")
    say(n, task, 0.25, "epoch 1")
    say(n, task, 0.5, "epoch 2")
    found = shown(c, task).progress
    assert (found.fraction, found.text) == (0.5, "epoch 2")
    say(n, task, None, "saving")
    assert not shown(c, task).progress.HasField("fraction")


def test_a_stale_or_unknown_attempt_has_no_say():
    c = Cluster()
    n, other = c.node("n1"), c.node("n2", credit=0)
    task = c.submit()
    n.start(task)
    say(n, task, 0.9, "", attempt=2)
    say(other, task, 0.9)
    say(n, c.new_id(), 0.9)
    assert not c.state.progress.newest


def test_it_goes_with_the_attempt():
    c = Cluster()
    n = c.node("n1")
    first, second, third = (c.submit(spec(attempts=2)) for _ in range(3))
    for task in (first, second, third):
        n.start(task)
        say(n, task, 0.5)
    n.succeed(first)
    n.fail(second)
    n.lose()
    assert not c.state.progress.newest, "memory is bounded by what runs"


def test_a_new_leader_learns_it_from_the_inventory():
    first = node_agent_pb2.SessionResponse()
    first.inventory.running.add(task_id="a" * 32, attempt=3)
    first.inventory.progress.add(task_id="a" * 32, attempt=3, fraction=9.0, text="x" * 999, age=5)
    _, event = opened("n1", "i1", first)  # type: ignore[arg-type]
    assert isinstance(event, e.ProgressReported)
    assert (event.attempt, event.fraction, len(event.text), event.age) == (3, 1.0, 256, 5.0)


def test_an_agent_that_lies_about_it_is_held_to_the_bounds():
    message = node_agent_pb2.SessionResponse()
    message.progress.add(task_id="a", fraction=float("nan"), text="\x1b\n", age=float("nan"))
    (event,) = events_of("n1", "i1", message)  # type: ignore[arg-type]
    assert isinstance(event, e.ProgressReported)
    assert event.fraction is None
    assert "\x1b" not in event.text
    assert event.age == 0.0


def feed(cluster: Cluster, **request: object) -> ProgressFeed:
    asked = pb.WatchTasksRequest(progress=True, **request)  # type: ignore[arg-type]
    return ProgressFeed(cluster.state, Pick(asked, Place(7, 0)), 100.0)


def events(feed: ProgressFeed, now: float) -> list[pb.TaskEvent]:
    answer = feed.answer(now)
    if answer is None:
        return []
    response = pb.WatchTasksResponse.FromString(answer.SerializeToString())
    assert response.resume_token, "the watch goes on from where it is"
    return list(response.events)


def test_a_watch_gets_the_newest_once_a_second():
    c = Cluster()
    n = c.node("n1")
    task = c.submit()
    n.start(task)
    watch = feed(c)
    assert events(watch, 100.0) == []
    for step in range(1000):
        say(n, task, step / 1000)
    (event,) = events(watch, 100.0)
    assert event.kind == pb.TaskEvent.KIND_PROGRESS
    assert event.revision == 0
    assert event.task.id == task
    assert event.task.progress.fraction == 0.999
    say(n, task, 1.0)
    assert events(watch, 100.0 + EVERY / 2) == []
    assert len(events(watch, 100.0 + EVERY)) == 1
    assert events(watch, 100.0 + 9 * EVERY) == []


def test_a_watch_gets_what_its_filters_let_through():
    c = Cluster()
    n = c.node("n1")
    one, other = c.submit(), c.submit()
    watches = [
        feed(c, ids=[one]),
        feed(c, queue="elsewhere"),
        feed(c, job_id="f" * 32),
        feed(c, states=[task_pb2.TASK_STATE_FAILED]),
        feed(c, states=[task_pb2.TASK_STATE_RUNNING]),
    ]
    for task in (one, other):
        n.start(task)
        say(n, task, 0.5)
    found = [{event.task.id for event in events(watch, 101.0)} for watch in watches]
    assert found == [{one}, set(), set(), set(), {one, other}]
