"""The calls about graphs, at a leader over the in-memory store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from quorate.runtime.ids import TaskId
from quorate.v1 import explain_pb2, job_pb2, queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.jobs import graphs
from scheduler.core.values import MemberOf, TaskLimits, TaskSpec
from tests.unit.test_jobs_api import Api, leading, refused

FAILURE = job_pb2.DEPENDENCY_CONDITION_ON_FAILURE


def graph(**tasks: Any) -> job_pb2.JobSpec:
    """A graph: by name, of whom a task waits; or (name, condition)."""
    spec = job_pb2.JobSpec(name="etl")
    for name, needs in tasks.items():
        task = spec.graph.tasks.add(name=name)
        task.task.python.entrypoint = "m:f"
        for need in needs:
            other, condition = need if isinstance(need, tuple) else (need, 0)
            task.depends_on.add(task=other, condition=condition)
    spec.graph.SetInParent()
    return spec


async def create(api: Api, spec: job_pb2.JobSpec, request_id: str = "") -> job_pb2.Job:
    request = pb.CreateJobRequest(spec=spec, request_id=request_id)
    return (await api.call("CreateJob", request)).job  # type: ignore[no-any-return]


async def states(api: Api, job: str) -> dict[str, str]:
    answer = await api.call("GetJobGraph", pb.GetJobGraphRequest(id=job))
    name_of = task_pb2.TaskState.Name
    return {
        node.name: "SKIPPED" if node.skipped else name_of(node.state).removeprefix("TASK_STATE_")
        for node in answer.nodes
    }


async def test_a_graph_runs_and_is_read():
    async with leading() as (api, _):
        job = await create(api, graph(a=(), b=["a"], h=[("a", FAILURE)], c=["b"]), "r1")
        assert job.HasField("spec")
        assert job.spec.HasField("graph")
        assert job.count == 4
        done = await api.wait(job.id)
        assert job_pb2.JobState.Name(done.state) == "JOB_STATE_SUCCEEDED"
        assert done.create_time.ToNanoseconds() <= done.start_time.ToNanoseconds()
        assert done.start_time.ToNanoseconds() <= done.finish_time.ToNanoseconds()
        with pytest.raises(QuorateError) as error:
            await api.call("CloseJob", pb.CloseJobRequest(id=job.id))
        assert error.value.reason == "JOB_IS_GRAPH"
        assert (done.counts.succeeded, done.counts.skipped, done.counts.cancelled) == (3, 1, 0)
        assert await states(api, job.id) == {
            "a": "SUCCEEDED",
            "b": "SUCCEEDED",
            "h": "SKIPPED",
            "c": "SUCCEEDED",
        }
        again = await create(api, graph(a=(), b=["a"], h=[("a", FAILURE)], c=["b"]), "r1")
        assert again.id == job.id
        found = await api.call("GetJobGraph", pb.GetJobGraphRequest(id=job.id))
        assert [edge.node for edge in found.nodes[3].depends_on] == [1]
        task = await api.call("GetTask", pb.GetTaskRequest(id=found.nodes[1].task_id))
        assert (task.task.job_id, task.task.graph_task, task.task.spec.name) == (job.id, "b", "b")
        listed = await api.call("ListTasks", pb.ListTasksRequest(job_id=job.id, page_size=3))
        assert [task.graph_task for task in listed.tasks] == ["c", "h", "b"]
        rest = await api.call(
            "ListTasks",
            pb.ListTasksRequest(job_id=job.id, page_size=3, page_token=listed.next_page_token),
        )
        assert [task.graph_task for task in rest.tasks] == ["a"]
        await api.call("CreateQueue", pb.CreateQueueRequest(queue=queue_pb2.Queue(name="other")))
        for queue, count in (("default", 4), ("other", 0)):
            of = await api.call("ListTasks", pb.ListTasksRequest(job_id=job.id, queue=queue))
            assert len(of.tasks) == count
        why = await api.call("ExplainTask", pb.ExplainTaskRequest(id=found.nodes[2].task_id))
        reason = why.explanation.reasons[0]
        assert reason.reason == explain_pb2.EXPLAIN_REASON_SKIPPED
        assert '"h" runs only if "a" fails, and that is SUCCEEDED' in reason.sentence


async def test_a_task_that_waits_is_explained():
    async with leading(agents=1) as (api, agent):
        agent.hold.set()
        await api.call("PauseQueue", pb.PauseQueueRequest(name="default"))
        job = await create(api, graph(a=(), b=["a"]))
        found = await api.call("GetJobGraph", pb.GetJobGraphRequest(id=job.id))
        why = await api.call("ExplainTask", pb.ExplainTaskRequest(id=found.nodes[1].task_id))
        reason = why.explanation.reasons[0]
        assert reason.reason == explain_pb2.EXPLAIN_REASON_BLOCKED
        assert list(reason.holders) == [found.nodes[0].task_id]
        assert 'waits for "a", which is PENDING' in reason.sentence
        await api.call("PauseJob", pb.PauseJobRequest(id=job.id))
        why = await api.call("ExplainTask", pb.ExplainTaskRequest(id=found.nodes[0].task_id))
        assert why.explanation.reasons[0].reason == explain_pb2.EXPLAIN_REASON_JOB_PAUSED


async def test_a_graph_of_ten_thousand_tasks_is_created():
    async with leading() as (api, agent):
        agent.hold.set()
        spec = graph(a=())
        for number in range(1, 10_000):
            task = spec.graph.tasks.add(name=f"t{number}")
            task.task.python.entrypoint = "m:f"
            task.depends_on.add(task="a")
        job = await create(api, spec, "big")
        assert job.counts.blocked >= 9_999
        queue = (await api.call("GetQueue", pb.GetQueueRequest(name="default"))).queue
        assert queue.counts.blocked >= 9_999
        cancelled = await api.call("CancelJob", pb.CancelJobRequest(id=job.id))
        assert cancelled.job.cancel_requested or cancelled.job.finish_time.seconds
        done = await api.wait(job.id)
        assert done.counts.cancelled + done.counts.succeeded == 10_000


async def test_results_are_passed_to_tasks_that_name_them_as_inputs():
    async with leading() as (api, agent):
        spec = graph(a=(), b=(), c=())
        spec.graph.tasks[1].inputs["x"] = "a"
        spec.graph.tasks[1].task.python.json = '["é"]'
        spec.graph.tasks[2].task.command.argv.append("sort")
        spec.graph.tasks[2].inputs["COUNT"] = "a"
        job = await create(api, spec)
        done = await api.wait(job.id)
        assert done.counts.succeeded == 3
        sent = {item.task_id: task_pb2.TaskSpec.FromString(item.spec) for item in agent.assigned}
        found = await api.call("GetJobGraph", pb.GetJobGraphRequest(id=job.id))
        assert sent[found.nodes[1].task_id].python.json == '{"args":["é"],"kwargs":{"x":0}}'
        assert dict(sent[found.nodes[2].task_id].command.env) == {"COUNT": "0"}
        assert [(edge.node, edge.condition) for edge in found.nodes[1].depends_on] == [(0, 1)]
        assert [(one.parameter, one.node) for one in found.nodes[2].inputs] == [("COUNT", 0)]


def too_many() -> job_pb2.JobSpec:
    spec = job_pb2.JobSpec()
    for number in range(10_001):
        spec.graph.tasks.add(name=f"t{number}")
    return spec


def too_many_edges() -> job_pb2.JobSpec:
    spec = graph(a=(), b=())
    for _ in range(100_001):
        spec.graph.tasks[1].depends_on.add(task="a")
    return spec


def with_input(parameter: str = "x", **fields: Any) -> job_pb2.JobSpec:
    spec = graph(a=(), b=())
    spec.graph.tasks[1].inputs[parameter] = fields.pop("of", "a")
    for name, value in fields.items():
        setattr(spec.graph.tasks[1].task.python, name, value)
    return spec


def pickled_producer() -> job_pb2.JobSpec:
    spec = with_input()
    spec.graph.tasks[0].task.python.pickle = b"x"
    return spec


def array_too() -> job_pb2.JobSpec:
    spec = graph(a=())
    spec.count = 3
    return spec


def unique(key: str, conflict: int) -> task_pb2.UniqueKey:
    return task_pb2.UniqueKey(key=key, on_conflict=task_pb2.UniqueConflict.Name(conflict))


def keyed(*conflicts: int, keys: Sequence[str] = "klm") -> job_pb2.JobSpec:
    """A graph whose tasks have unique keys."""
    spec = graph(a=(), b=(), c=())
    for task, key, conflict in zip(spec.graph.tasks, keys, conflicts, strict=False):
        task.task.unique.MergeFrom(unique(key, conflict))
    return spec


def twice() -> job_pb2.JobSpec:
    spec = graph(a=())
    spec.graph.tasks.add().CopyFrom(spec.graph.tasks[0])
    return spec


BAD = [
    (graph(), "INVALID_FIELD", "spec.graph.tasks"),
    (too_many(), "INVALID_FIELD", "spec.graph.tasks"),
    (too_many_edges(), "INVALID_FIELD", "spec.graph.tasks"),
    (graph(a=["b"], b=["c"], c=["a"]), "GRAPH_CYCLE", "spec.graph.tasks"),
    (graph(a=["a"]), "GRAPH_CYCLE", "spec.graph.tasks[0].depends_on"),
    (graph(a=["z"]), "UNKNOWN_TASK_NAME", "spec.graph.tasks[0].depends_on[0].task"),
    (graph(a=[("a", 9)]), "INVALID_FIELD", "spec.graph.tasks[0].depends_on[0].condition"),
    (twice(), "DUPLICATE_TASK_NAME", "spec.graph.tasks[1].name"),
    (with_input(of="z"), "UNKNOWN_TASK_NAME", "spec.graph.tasks[1].inputs[x]"),
    (with_input("1x"), "INVALID_FIELD", "spec.graph.tasks[1].inputs[1x]"),
    (pickled_producer(), "INVALID_FIELD", "spec.graph.tasks[1].inputs[x]"),
    (array_too(), "INVALID_FIELD", "spec.count"),
    (keyed(0), "UNIQUE_RETURN_IN_GRAPH", "spec.graph.tasks[0].task.unique.on_conflict"),
    (keyed(3, 1), "UNIQUE_RETURN_IN_GRAPH", "spec.graph.tasks[1].task.unique.on_conflict"),
    (keyed(2, 3, keys="kk"), "DUPLICATE_UNIQUE_KEY", "spec.graph.tasks[1].task.unique.key"),
    (keyed(2, keys=["k" * 257]), "INVALID_FIELD", "spec.graph.tasks[0].task.unique.key"),
    (with_input(entrypoint="bad"), "INVALID_FIELD", "spec.graph.tasks[1].task.python.entrypoint"),
]


@pytest.mark.parametrize(("spec", "reason", "field"), BAD)
async def test_bad_input_names_the_field_and_makes_nothing(spec, reason, field):
    async with leading() as (api, _):
        with pytest.raises(QuorateError) as error:
            await create(api, spec)
        assert refused(error) == ("INVALID_ARGUMENT", reason)
        assert error.value.metadata["field"].startswith(field)
        assert not (await api.call("ListJobs", pb.ListJobsRequest())).jobs
        assert not (await api.call("ListTasks", pb.ListTasksRequest())).tasks


async def test_a_unique_key_that_is_taken_refuses_the_graph_and_names_the_task():
    async with leading() as (api, _):
        there = await create(api, keyed(2))
        with pytest.raises(QuorateError) as error:
            await create(api, keyed(2, 2, keys="nk"))
        assert refused(error) == ("ALREADY_EXISTS", "TASK_ALREADY_EXISTS")
        assert error.value.metadata["graph_task"] == "b"
        assert error.value.metadata["task"] == f"{int(there.id, 16) + 1:032x}"
        assert error.value.field == "spec.graph.tasks[1].task.unique"
        assert len((await api.call("ListJobs", pb.ListJobsRequest())).jobs) == 1
        await api.wait(there.id)
        done = await api.wait((await create(api, keyed(2, 3, keys="nk"))).id)
        assert job_pb2.JobState.Name(done.state) == "JOB_STATE_SUCCEEDED"


def test_a_task_with_a_unique_key_takes_the_room_of_several_in_a_part():
    plain = TaskSpec(b"x", member=MemberOf(TaskId("")))
    specs = [plain] * 4 + [plain._replace(limits=TaskLimits(unique="k"))] * 3 + [plain] * 3
    assert list(graphs.parts(specs, 0, 8, 1 << 20)) == [(0, 5), (5, 7), (7, 10)]
    assert list(graphs.parts(specs[4:5], 0, 2, 1 << 20)) == [(0, 1)]


async def test_a_cycle_is_named():
    async with leading() as (api, _):
        with pytest.raises(QuorateError) as error:
            await create(api, graph(x=(), a=["b", "x"], b=["c"], c=["a"]))
        cycle = error.value.metadata["cycle"].split(" -> ")
        assert cycle[0] == cycle[-1]
        assert sorted(cycle[1:]) == ["a", "b", "c"]


async def test_calls_about_subtasks_refuse_a_graph_and_the_other_way():
    async with leading() as (api, _):
        job = await create(api, graph(a=()))
        for method, request in (
            ("ListSubtasks", pb.ListSubtasksRequest(id=job.id)),
            ("ListJobErrors", pb.ListJobErrorsRequest(id=job.id)),
            ("ReadJobResults", pb.ReadJobResultsRequest(id=job.id)),
            ("AppendJobItems", pb.AppendJobItemsRequest(id=job.id, items=[b"1"])),
        ):
            with pytest.raises(QuorateError) as error:
                await api.call(method, request)
            assert refused(error) == ("FAILED_PRECONDITION", "JOB_IS_GRAPH")
        array = await api.create(count=1)
        with pytest.raises(QuorateError) as error:
            await api.call("GetJobGraph", pb.GetJobGraphRequest(id=array.id))
        assert refused(error) == ("FAILED_PRECONDITION", "JOB_IS_NO_GRAPH")
        with pytest.raises(QuorateError) as error:
            await api.call("GetJobGraph", pb.GetJobGraphRequest(id="nope"))
        assert refused(error) == ("NOT_FOUND", "JOB_NOT_FOUND")
