"""Arrays in graphs, at a leader over the in-memory store."""

from __future__ import annotations

import pytest

from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.v1 import explain_pb2, job_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.storage import keys, record_kinds
from tests.unit.test_graphs_api import create, graph, states
from tests.unit.test_jobs_api import leading

EACH = job_pb2.DEPENDENCY_CONDITION_EACH


def with_arrays(spec: job_pb2.JobSpec, **arrays: job_pb2.GraphArray | int) -> job_pb2.JobSpec:
    """A graph of which these tasks are arrays: of so many subtasks."""
    for task in spec.graph.tasks:
        found = arrays.get(task.name)
        if isinstance(found, int):
            task.array.count = found
            task.array.SetInParent()
        elif found is not None:
            task.array.CopyFrom(found)
    return spec


async def test_a_graph_with_arrays_runs_and_is_read():
    async with leading(agents=1) as (api, _):
        items = job_pb2.GraphArray(items=[b"1", b"2", b"3"], first_index=5)
        spec = with_arrays(graph(a=(), b=["a"], c=[("b", EACH)], d=["c"]), b=items, c=3)
        job = await create(api, spec, "r1")
        done = await api.wait(job.id)
        assert job_pb2.JobState.Name(done.state) == "JOB_STATE_SUCCEEDED"
        assert (done.count, done.counts.succeeded) == (4, 4)
        assert set((await states(api, job.id)).values()) == {"SUCCEEDED"}
        found = await api.call("GetJobGraph", pb.GetJobGraphRequest(id=job.id))
        array = found.nodes[1]
        assert (array.task_id, array.count, array.counts.succeeded) == ("", 3, 3)
        assert found.nodes[2].depends_on[0].condition == EACH
        view = (await api.call("GetJob", pb.GetJobRequest(id=array.job_id))).job
        assert (view.parent, view.graph_task, view.spec.name) == (job.id, "b", "b")
        assert view.spec.template.python.entrypoint == "m:f"
        subtasks = await api.call("ListSubtasks", pb.ListSubtasksRequest(id=array.job_id))
        assert [(one.first_index, one.last_index) for one in subtasks.ranges] == [(5, 7)]
        listed = await api.call("ListJobs", pb.ListJobsRequest())
        assert [one.id for one in listed.jobs] == [job.id]
        parts = await api.call("ListJobs", pb.ListJobsRequest(parent=job.id))
        assert {one.graph_task for one in parts.jobs} == {"b", "c"}
        again = await create(api, spec, "r1")
        assert again.id == job.id
        assert (await api.wait(job.id)).counts.succeeded == 4
        for call, request in (
            ("CancelJob", pb.CancelJobRequest),
            ("RetryJob", pb.RetryJobRequest),
            ("DeleteJob", pb.DeleteJobRequest),
            ("CloseJob", pb.CloseJobRequest),
        ):
            with pytest.raises(QuorateError) as error:
                await api.call(call, request(id=array.job_id))
            assert error.value.reason == "PART_OF_JOB"
        listed = await api.call("ListTasks", pb.ListTasksRequest(job_id=job.id))
        assert [task.graph_task for task in listed.tasks] == ["d", "a"]
        await api.call("DeleteJob", pb.DeleteJobRequest(id=job.id))
        assert not (await api.call("ListJobs", pb.ListJobsRequest(parent=""))).jobs


async def test_what_holds_a_subtask_back_is_explained():
    async with leading(agents=1) as (api, agent):
        agent.hold.set()
        await api.call("PauseQueue", pb.PauseQueueRequest(name="default"))
        spec = with_arrays(graph(t=(), a=["t"], b=[("a", EACH)]), a=2, b=2)
        job = await create(api, spec)
        found = await api.call("GetJobGraph", pb.GetJobGraphRequest(id=job.id))
        first, second = (node.job_id for node in found.nodes[1:])
        why = await api.call("ExplainTask", pb.ExplainTaskRequest(id=f"{first}.1"))
        reason = why.explanation.reasons[0]
        assert reason.reason == explain_pb2.EXPLAIN_REASON_BLOCKED
        assert 'waits for "t", which is PENDING' in reason.sentence
        why = await api.call("ExplainTask", pb.ExplainTaskRequest(id=f"{second}.1"))
        reason = why.explanation.reasons[0]
        assert reason.sentence == 'waits for subtask 1 of "a" to succeed'
        assert list(reason.holders) == [f"{first}.1"]
        await api.call("PauseJob", pb.PauseJobRequest(id=job.id))
        view = (await api.call("GetJob", pb.GetJobRequest(id=second))).job
        assert view.state == job_pb2.JOB_STATE_PAUSED
        assert view.counts.blocked == 2
        why = await api.call("ExplainTask", pb.ExplainTaskRequest(id=f"{second}.0"))
        assert why.explanation.reasons[0].reason == explain_pb2.EXPLAIN_REASON_JOB_PAUSED


async def refusal(api, spec):
    with pytest.raises(QuorateError) as error:
        await create(api, spec)
    return error.value.reason, error.value.metadata.get("field", "")


async def test_bad_arrays_are_refused_and_leave_nothing():
    async with leading() as (api, _):
        field = "spec.graph.tasks[1]"
        each = graph(a=(), b=[("a", EACH)])
        assert await refusal(api, each) == (
            "EACH_NEEDS_ARRAYS",
            f"{field}.depends_on[0].condition",
        )
        assert (await refusal(api, with_arrays(graph(a=(), b=[("a", EACH)]), a=2, b=3)))[0] == (
            "EACH_COUNTS_DIFFER"
        )
        twice = with_arrays(graph(a=(), c=(), b=[("a", EACH), ("c", EACH)]), a=2, b=2, c=2)
        assert (await refusal(api, twice))[1] == "spec.graph.tasks[2].depends_on[1].condition"
        into = with_arrays(graph(a=(), b=()), b=2)
        into.graph.tasks[1].inputs["x"] = "a"
        assert await refusal(api, into) == ("ARRAY_INPUT", f"{field}.inputs")
        out_of = with_arrays(graph(a=(), b=()), a=2)
        out_of.graph.tasks[0].task.python.pickle = b"x"
        out_of.graph.tasks[1].inputs["x"] = "a"
        assert await refusal(api, out_of) == ("INVALID_FIELD", f"{field}.inputs[x]")
        many = with_arrays(graph(a=(), b=()), b=20_000_000)
        assert (await refusal(api, many))[1] == "spec.graph.tasks"
        keyed = with_arrays(graph(a=(), b=()), b=2)
        keyed.graph.tasks[1].task.ordering_key = "k"
        assert (await refusal(api, keyed))[1] == f"{field}.task.ordering_key"
        limited = with_arrays(graph(a=(), b=()), b=2)
        limited.graph.tasks[1].task.limits.append("nowhere")
        assert await refusal(api, limited) == ("LIMIT_NOT_FOUND", f"{field}.task.limits")
        count = with_arrays(graph(a=(), b=()), b=job_pb2.GraphArray(count=3, items=[b"1"]))
        assert (await refusal(api, count))[1] == f"{field}.array.count"
        share = with_arrays(graph(a=(), b=()), b=job_pb2.GraphArray(count=3, max_failure_share=2))
        assert (await refusal(api, share))[1] == f"{field}.array.max_failure_share"
        names = [f"t{number}" for number in range(1_001)]
        lots = with_arrays(graph(**dict.fromkeys(names, ())), **dict.fromkeys(names, 1))
        assert (await refusal(api, lots))[1] == "spec.graph.tasks"
        assert not (await api.call("ListJobs", pb.ListJobsRequest())).jobs


@pytest.mark.parametrize(
    ("kind", "field"),
    [("graph-array", "array"), ("graph-deadline", "start_deadline"), ("graph-keys", "unique")],
)
async def test_what_an_older_scheduler_would_do_wrong_is_refused_while_one_is_there(kind, field):
    async with leading() as (api, _):
        record = CandidateRecord(name="s9", record_kinds=set(record_kinds.RECORD_KINDS) - {kind})
        key = api.replica.settings.prefix + keys.ELECTION + b"/7fffffff"
        await api.replica.etcd.put(key, record.SerializeToString())
        spec = graph(a=(), b=["a"])
        if field == "array":
            with_arrays(spec, b=2)
        elif field == "unique":
            unique = spec.graph.tasks[1].task.unique
            unique.key, unique.on_conflict = "k", task_pb2.UNIQUE_CONFLICT_REJECT
        else:
            spec.graph.tasks[1].task.start_deadline.seconds = 5
        with pytest.raises(QuorateError) as error:
            await create(api, spec)
        assert (error.value.reason, error.value.metadata["kind"]) == ("SCHEDULER_TOO_OLD", kind)
        assert not (await api.call("ListJobs", pb.ListJobsRequest())).jobs
        await create(api, graph(a=(), b=["a"]))
