"""How hooks ended: from the agent's report to the record, the view and the command line; and that
tasks with hooks wait for older schedulers to go, whatever makes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from node_agent.core import hooks as agent
from node_agent.core.attempts import Attempt, Failure, Outcome, Reason, Result, outcome_of_kill
from node_agent.core.outbox import Report
from node_agent.engine.attempt_metrics import AttemptMetrics
from node_agent.session.messages import put_finished
from quorate.cli.tasks.details import attempts_of, details_of, hook_errors
from quorate.client.maps.plan import serves
from quorate.client.work.options import TaskOptions
from quorate.etcd.memory.store import MemoryEtcd
from quorate.internal.v1 import records_pb2 as r
from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.v1 import job_pb2, node_agent_pb2, schedule_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.agents.reports import events_of
from scheduler.api.tasks import views
from scheduler.core.model import events as e
from scheduler.core.values import HookEnd, HookEnds, TaskState
from scheduler.storage import record_kinds
from scheduler.storage.records import past_attempts
from tests.support.core import Cluster
from tests.support.core_log import Log
from tests.support.core_node import FakeNode
from tests.support.core_specs import spec
from tests.support.one_leader import PREFIX, Leader, leading

BOTH = HookEnds(HookEnd("", 0.25), HookEnd("the clean-up exited with code 9", 1.5))
AGENTS = agent.HookEnds(
    agent.HookEnd("", 0.25), agent.HookEnd("the clean-up exited with code 9", 1.5)
)


def reported(outcome: Outcome) -> e.Event:
    """What the leader makes of an agent's report."""
    response = node_agent_pb2.SessionResponse()
    put_finished(response, Report("0" * 32, 1, outcome, 0), 1_000.0)
    [event] = events_of(NodeName("n"), InstanceId("i"), response)
    return event


def test_an_agent_reports_how_they_ended_beside_any_outcome():
    for value in (Result("exit_code", 0), Failure("EXIT_CODE", "exited with code 4")):
        event = reported(Outcome(value, 1_000.0, 0.5, AGENTS))
        assert isinstance(event, e.AttemptSucceeded | e.AttemptFailed)
        assert event.hooks == BOTH
    plain = reported(Outcome(Result("exit_code", 0), 1_000.0, 0.5))
    assert isinstance(plain, e.AttemptSucceeded)
    assert plain.hooks is None


def test_an_attempt_that_was_ended_keeps_how_they_ended():
    attempt = Attempt("t", 1, None)
    attempt.killed = Reason.TIMEOUT
    assert outcome_of_kill(attempt, Outcome(None, 1.0, 1.0, AGENTS)).hooks == AGENTS


def test_an_agent_may_say_anything():
    response = node_agent_pb2.SessionResponse()
    item = response.finished.add(task_id="0" * 32, attempt=1)
    item.result.exit_code = 0
    item.hooks.cleanup.error = "x" * 5_000
    item.hooks.cleanup.duration.seconds = -(2**62)
    item.hooks.setup.duration.seconds = 2**62
    [event] = events_of(NodeName("n"), InstanceId("i"), response)
    assert isinstance(event, e.AttemptSucceeded)
    assert event.hooks is not None
    setup, cleanup = event.hooks
    assert setup is not None
    assert cleanup is not None
    assert (setup.seconds, cleanup.seconds, len(cleanup.error)) == (1e6, 0.0, 256)


def test_a_node_counts_them():
    metrics = AttemptMetrics()
    metrics.exited(Outcome(Result("exit_code", 0), 1_000.0, 0.5, AGENTS))
    metrics.exited(Outcome(Result("exit_code", 0), 1_000.0, 0.5))
    [family] = [one for one in metrics.collect() if one.name == "quorate_agent_hooks_ended"]
    counted = {tuple(sample.labels.values()): sample.value for sample in family.samples}
    assert counted["setup", "succeeded"] == 1
    assert counted["cleanup", "failed"] == 1
    assert counted["setup", "failed"] == counted["cleanup", "succeeded"] == 0


def test_a_map_with_hooks_is_made_of_tasks_as_arrays_take_none():
    assert serves(TaskOptions())
    assert not serves(TaskOptions(set_up=["true"]))
    assert not serves(TaskOptions(clean_up="m:f"))


def ended(node: FakeNode, task: TaskId, error: str = "", snooze: float = 0.0) -> None:
    number, start = node.has.pop(task)
    named = (node.instance, task, number, start, node.cluster.now)
    if not error:
        result = task_pb2.TaskResult(exit_code=0)
        node.cluster.step(e.AttemptSucceeded(*named, result, hooks=BOTH))
        return
    message = task_pb2.TaskError(type=error, message="no")
    failed = e.AttemptFailed(*named, error, "no", message, snooze=snooze, hooks=BOTH)
    node.cluster.step(failed)


def seen(log: Log, task: TaskId) -> task_pb2.Task:
    key = next(key for key in log.kept if key.startswith(b"runs/") and task.encode() in key)
    run = r.RunRecord.FromString(log.kept[key])
    return views.task("default", task, None, run, now=0.0, full=True)


def test_each_attempt_has_them_on_record_and_a_new_leader_keeps_them():
    log = Log()
    c = Cluster(log=log)
    node = c.node("n", credit=1)
    task = c.submit(spec(attempts=3, backoff=1.0))
    node.start(task)
    ended(node, task, "ValueError")
    for state in (c.state, log.followed(), log.loaded().state):
        assert state.tasks[task].past[0].hooks == BOTH
    c.advance(1.0)
    ended(node, task, "SNOOZED", 5.0)
    c.lead(log.followed())
    node.open()
    node.credit(1)
    assert c.row(task).snoozes == 1
    assert log.loaded().state.tasks[task].snoozes == 1
    c.advance(5.0)
    ended(node, task)
    assert c.state_of(task) is TaskState.SUCCEEDED
    found = seen(log, task)
    assert (found.snoozes, found.failures) == (1, 1)
    assert [attempt.error.type for attempt in found.attempts] == ["ValueError", "SNOOZED", ""]
    for attempt in found.attempts:
        assert attempt.hooks.setup.duration.ToMilliseconds() == 250
        assert attempt.hooks.cleanup.error == "the clean-up exited with code 9"
    key = next(key for key in log.kept if key.startswith(b"runs/"))
    assert past_attempts(r.RunRecord.FromString(log.kept[key]))[-1].hooks == BOTH


def text_of(shown: Any) -> str:
    text = StringIO()
    Console(file=text, width=200).print(shown)
    return text.getvalue()


def test_the_command_line_shows_them():
    task = task_pb2.Task(id="0" * 32, state=task_pb2.TASK_STATE_FAILED, attempt=1)
    task.spec.command.argv.append("true")
    task.spec.hooks.setup.argv.extend(["mkdir", "a b"])
    task.spec.hooks.cleanup.entrypoint = "m:f"
    task.spec.hooks.cleanup.timeout.seconds = 5
    attempt = task.attempts.add(number=1, node="n")
    attempt.start_time.seconds, attempt.finish_time.seconds = 10, 11
    attempt.hooks.setup.duration.FromMilliseconds(250)
    attempt.hooks.cleanup.error = "the clean-up exited with code 9"
    shown = text_of(details_of(task))
    assert "mkdir 'a b'" in shown
    assert "m:f (timeout 5 s)" in shown
    assert "ok (set-up ok in 250 ms, clean-up failed)" in text_of(attempts_of(task))
    assert list(hook_errors(task)) == ["Attempt 1: the clean-up exited with code 9"]


def hooked() -> task_pb2.TaskSpec:
    made = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    made.hooks.setup.argv.append("true")
    return made


@pytest.fixture
async def leader() -> AsyncIterator[Leader]:
    async with leading(MemoryEtcd()) as leader:
        yield leader


async def older(leader: Leader) -> None:
    """A scheduler that knows everything but hooks."""
    kinds = [kind for kind in record_kinds.RECORD_KINDS if kind != record_kinds.TASK_HOOKS]
    record = CandidateRecord(name="old", version="0.9", record_kinds=kinds)
    await leader.etcd.put(PREFIX + b"election/scheduler/2", record.SerializeToString())


def schedule(name: str) -> schedule_pb2.Schedule:
    return schedule_pb2.Schedule(
        name=name, spec=schedule_pb2.ScheduleSpec(cron="0 * * * *", task=hooked())
    )


async def test_no_call_makes_a_task_with_hooks_while_a_scheduler_is_older(leader: Leader):
    graph = job_pb2.JobSpec()
    graph.graph.tasks.add(name="a", task=hooked())
    plain = task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]))
    made = await leader.call("CreateTask", pb.CreateTaskRequest(spec=plain))
    await leader.call("CancelTask", pb.CancelTaskRequest(id=made.task.id))
    simple = schedule("simple")
    simple.spec.task.CopyFrom(plain)
    await leader.call("CreateSchedule", schedule_pb2.CreateScheduleRequest(schedule=simple))
    await older(leader)
    calls = [
        ("CreateTask", pb.CreateTaskRequest(spec=hooked())),
        ("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=[plain, hooked()])),
        ("CreateJob", pb.CreateJobRequest(spec=graph)),
        ("CreateSchedule", schedule_pb2.CreateScheduleRequest(schedule=schedule("hooked"))),
        ("UpdateSchedule", schedule_pb2.UpdateScheduleRequest(schedule=schedule("simple"))),
        ("RetryTask", pb.RetryTaskRequest(id=made.task.id, spec=hooked())),
        # What the tasks of such a call have is not looked at before.
        ("RetryTasks", pb.RetryTasksRequest(ids=[made.task.id])),
        ("RetryTasks", pb.RetryTasksRequest(states=[task_pb2.TASK_STATE_CANCELLED])),
    ]
    for method, request in calls:
        with pytest.raises(QuorateError) as error:
            await leader.call(method, request)
        assert error.value.reason == "SCHEDULER_TOO_OLD", method
        assert error.value.metadata["kind"] == record_kinds.TASK_HOOKS
    count = pb.RetryTasksRequest(ids=[made.task.id], validate_only=True)
    assert (await leader.call("RetryTasks", count)).retried == 1
    await leader.call("RetryTask", pb.RetryTaskRequest(id=made.task.id))
    await leader.call("CreateTask", pb.CreateTaskRequest(spec=plain))
