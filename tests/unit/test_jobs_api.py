"""The calls about jobs, at a leader over the in-memory store, with agents that run chunks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from quorate.etcd.api import Range, prefix_end
from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2, node_agent_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.servicers import SCHEDULER
from tests.support.chunk_agent import ChunkAgent, Outcome, Work, running, succeed
from tests.support.memory_term import MemoryTerm, standing_by

PATIENCE = 20.0


class Context:
    """Of a call that nobody makes over a network."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def auth_context(self) -> dict[str, Any]:
        return {}


class Api:
    """Calls the servicer of a term."""

    def __init__(self, replica: MemoryTerm) -> None:
        self.replica = replica

    async def call(self, method: str, request: Any) -> Any:
        assert self.replica.term.parts is not None
        servicer = self.replica.term.parts.servicers[SCHEDULER.full_name]
        async with asyncio.timeout(PATIENCE):
            if method in servicer.answers:
                return await servicer.answers[method](request, Context())  # type: ignore[arg-type]
            return [one async for one in servicer.streams[method](request, Context())]  # type: ignore[arg-type]

    async def create(self, request_id: str = "", **fields: Any) -> job_pb2.Job:
        spec = job_pb2.JobSpec(**fields)
        if not spec.HasField("template"):
            spec.template.python.entrypoint = "m:f"
        request = pb.CreateJobRequest(spec=spec, request_id=request_id)
        return (await self.call("CreateJob", request)).job  # type: ignore[no-any-return]

    async def wait(self, job: str) -> job_pb2.Job:
        return (await self.call("WaitJob", pb.WaitJobRequest(id=job))).job  # type: ignore[no-any-return]


@asynccontextmanager
async def leading(work: Work = succeed, agents: int = 1) -> AsyncIterator[tuple[Api, ChunkAgent]]:
    """A leader with agents; the first of them."""
    etcd = MemoryEtcd()
    async with standing_by(etcd) as replica, replica.leading():
        first = ChunkAgent("n1", work)
        async with running(first, etcd, replica.settings.prefix):
            yield Api(replica), first


def refused(error: pytest.ExceptionInfo[QuorateError]) -> tuple[str, str]:
    return error.value.code.name, error.value.reason


async def test_a_job_runs_and_is_read():
    async with leading() as (api, agent):
        job = await api.create(count=1_000, name="sweep")
        assert job.state == job_pb2.JOB_STATE_ACTIVE
        done = await api.wait(job.id)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        assert done.counts == job_pb2.JobCounts(succeeded=1_000)
        assert sorted(agent.ran[job.id]) == list(range(1_000))
        assert done.spec.name == "sweep"
        found = (await api.call("GetJob", pb.GetJobRequest(id=job.id))).job
        assert found.spec.template.python.entrypoint == "m:f"
        template = task_pb2.TaskSpec.FromString(agent.templates[job.id])
        assert template.python.entrypoint == "m:f"
        assert sum(bool(item.spec) for item in agent.assigned) == 1


async def test_items_reach_the_agent_in_order_and_results_come_back():
    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        return json.dumps([position, item.decode()]).encode()

    async with leading(work) as (api, _):
        items = [f"item-{n}".encode() * 20 for n in range(9_000)]
        job = await api.create(items=items)
        done = await api.wait(job.id)
        assert done.counts.succeeded == 9_000
        found: dict[int, bytes] = {}
        for answer in await api.call("ReadJobResults", pb.ReadJobResultsRequest(id=job.id)):
            for run in answer.runs:
                found.update(enumerate(run.values, run.first))
        assert [json.loads(found[n]) for n in range(9_000)] == [
            [n, items[n].decode()] for n in range(9_000)
        ]


async def test_results_that_came_one_by_one_are_merged_into_few_records():
    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        return b"%d" % position

    etcd = MemoryEtcd()
    agent = ChunkAgent("n1", work, batch=1)
    async with (
        standing_by(etcd) as replica,
        replica.leading(),
        running(agent, etcd, replica.settings.prefix),
    ):
        api = Api(replica)
        job = await api.create(count=300)
        await api.wait(job.id)
        below = replica.settings.prefix + f"job-results/{job.id}/".encode()
        async with asyncio.timeout(PATIENCE):
            while len((await etcd.range(Range(below, prefix_end(below)))).kvs) > 1:
                await asyncio.sleep(0.05)
        request = pb.ReadJobResultsRequest(id=job.id)
        answers = await api.call("ReadJobResults", request)
        values = [value for one in answers for run in one.runs for value in run.values]
        assert values == [b"%d" % n for n in range(300)]


async def test_results_are_followed_while_items_are_appended():
    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        return task_pb2.TaskError(type="ValueError") if item == b"bad" else item

    async with leading(work) as (api, _):
        job = await api.create(open=True)
        follow = pb.ReadJobResultsRequest(id=job.id, follow=True)
        reading = asyncio.ensure_future(api.call("ReadJobResults", follow))
        append = pb.AppendJobItemsRequest(id=job.id, items=[b"1", b"bad"])
        assert (await api.call("AppendJobItems", append)).count == 2
        more = pb.AppendJobItemsRequest(id=job.id, first_position=2, items=[b"3"])
        assert (await api.call("AppendJobItems", more)).count == 3
        assert (await api.call("AppendJobItems", more)).count == 3
        gap = pb.AppendJobItemsRequest(id=job.id, first_position=9, items=[b"9"])
        with pytest.raises(QuorateError) as error:
            await api.call("AppendJobItems", gap)
        assert refused(error) == ("OUT_OF_RANGE", "ITEMS_MISSING")
        await api.call("CloseJob", pb.CloseJobRequest(id=job.id))
        assert (await api.wait(job.id)).state == job_pb2.JOB_STATE_FAILED
        answers = await reading
        values = {run.first: list(run.values) for answer in answers for run in answer.runs}
        assert values == {0: [b"1"], 2: [b"3"]}
        others = [one for answer in answers for one in answer.others]
        assert [(one.first_index, one.state) for one in others] == [
            (1, job_pb2.SUBTASK_STATE_FAILED)
        ]
        assert answers[-1].next_position == 3


async def test_a_repeated_creation_makes_one_job():
    async with leading() as (api, _):
        items = [b"x" * 1_000] * 1_000
        first = await api.create("again", items=items)
        second = await api.create("again", items=items)
        assert second.id == first.id
        assert second.count == 1_000
        with pytest.raises(QuorateError) as error:
            await api.create("again", count=3)
        assert refused(error) == ("INVALID_ARGUMENT", "REQUEST_ID_REUSED")


async def test_failures_are_grouped_and_subtasks_listed():
    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        if position % 3 == 0:
            return task_pb2.TaskError(type="ValueError", message=f"row {position} is bad")
        return b""

    async with leading(work) as (api, _):
        job = await api.create(count=10, first_index=1, index_step=2)
        assert (await api.wait(job.id)).state == job_pb2.JOB_STATE_FAILED
        errors = await api.call("ListJobErrors", pb.ListJobErrorsRequest(id=job.id))
        (group,) = errors.groups
        assert (group.type, group.message, group.count) == ("ValueError", "row # is bad", 4)
        assert (group.first_index, group.last_index) == (1, 19)
        assert group.example.message == "row 0 is bad"
        ranges = (await api.call("ListSubtasks", pb.ListSubtasksRequest(id=job.id))).ranges
        failed, good = job_pb2.SUBTASK_STATE_FAILED, job_pb2.SUBTASK_STATE_SUCCEEDED
        assert [(one.first_index, one.last_index, one.state) for one in ranges] == [
            (1, 1, failed),
            (3, 5, good),
            (7, 7, failed),
            (9, 11, good),
            (13, 13, failed),
            (15, 17, good),
            (19, 19, failed),
        ]
        request = pb.ListSubtasksRequest(id=job.id, states=[failed], details=True, page_size=3)
        page = await api.call("ListSubtasks", request)
        assert [one.index for one in page.subtasks] == [1, 7, 13]
        assert page.subtasks[1].error.message == "row 3 is bad"
        assert page.subtasks[1].node == "n1"
        assert page.subtasks[1].attempt == 1
        request.page_token = page.next_page_token
        last = await api.call("ListSubtasks", request)
        assert [one.id for one in last.subtasks] == [f"{job.id}.19"]
        assert not last.next_page_token


async def test_an_open_job_that_is_left_alone_closes_itself():
    async with leading() as (api, _):
        job = await api.create(open=True, items=[b"1"], close_after_idle={"seconds": 1})
        done = await api.wait(job.id)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        assert done.count == 1


async def test_a_subtask_is_read_and_waited_for_as_a_task():
    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        if position == 1:
            return task_pb2.TaskError(type="ValueError", message="bad")
        return b"%d" % position

    async with leading(work) as (api, agent):
        agent.hold.set()
        job = await api.create(count=3, first_index=10, index_step=5)
        waiting = pb.WaitTaskRequest(id=f"{job.id}.15")
        waiting.timeout.FromMilliseconds(10)
        found = (await api.call("WaitTask", waiting)).task
        assert found.state in (task_pb2.TASK_STATE_RUNNING, task_pb2.TASK_STATE_PENDING)
        agent.hold.clear()
        waiting.timeout.FromSeconds(10)
        found = (await api.call("WaitTask", waiting)).task
        assert (found.id, found.state) == (f"{job.id}.15", task_pb2.TASK_STATE_FAILED)
        assert (found.error.type, found.failures, found.attempt) == ("ValueError", 1, 1)
        assert found.attempts[0].node == "n1"
        last = (await api.call("GetTask", pb.GetTaskRequest(id=f"{job.id}.20"))).task
        await api.wait(job.id)
        last = (await api.call("GetTask", pb.GetTaskRequest(id=f"{job.id}.20"))).task
        assert last.result.json == "2"
        assert last.spec.python.entrypoint == "m:f"
        for unknown in ("11", "25", "5", "015", "x", "-10"):
            with pytest.raises(QuorateError) as error:
                await api.call("GetTask", pb.GetTaskRequest(id=f"{job.id}.{unknown}"))
            assert refused(error) == ("NOT_FOUND", "TASK_NOT_FOUND"), unknown


async def test_a_job_is_paused_cancelled_retried_and_deleted():
    async with leading() as (api, agent):
        agent.hold.set()
        job = await api.create(count=10)
        paused = (await api.call("PauseJob", pb.PauseJobRequest(id=job.id))).job
        assert paused.state == job_pb2.JOB_STATE_PAUSED
        with pytest.raises(QuorateError) as error:
            await api.call("DeleteJob", pb.DeleteJobRequest(id=job.id))
        assert refused(error) == ("FAILED_PRECONDITION", "JOB_NOT_FINISHED")
        await api.call("ResumeJob", pb.ResumeJobRequest(id=job.id))
        await api.call("CancelJob", pb.CancelJobRequest(id=job.id))
        cancelled = await api.wait(job.id)
        assert cancelled.state == job_pb2.JOB_STATE_CANCELLED
        assert cancelled.counts.cancelled == 10
        agent.hold.clear()
        again = (await api.call("RetryJob", pb.RetryJobRequest(id=job.id))).job
        assert again.round == 1
        done = await api.wait(job.id)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        await api.call("DeleteJob", pb.DeleteJobRequest(id=job.id))
        with pytest.raises(QuorateError) as error:
            await api.call("GetJob", pb.GetJobRequest(id=job.id))
        assert refused(error) == ("NOT_FOUND", "JOB_NOT_FOUND")


async def test_jobs_are_listed_newest_first_and_found_by_text():
    async with leading() as (api, _):
        jobs = [await api.create(count=1, name=f"sweep {n}") for n in range(3)]
        page = await api.call("ListJobs", pb.ListJobsRequest(page_size=2))
        assert [job.id for job in page.jobs] == [jobs[2].id, jobs[1].id]
        rest = pb.ListJobsRequest(page_size=2, page_token=page.next_page_token)
        assert [job.id for job in (await api.call("ListJobs", rest)).jobs] == [jobs[0].id]
        found = await api.call("ListJobs", pb.ListJobsRequest(text="SWEEP 1"))
        assert [job.id for job in found.jobs] == [jobs[1].id]


async def test_a_job_goes_on_at_the_next_leader():
    etcd = MemoryEtcd()
    agent = ChunkAgent("n1", batch=8)
    async with (
        standing_by(etcd, "s1") as one,
        standing_by(etcd, "s2") as two,
        running(agent, etcd, one.settings.prefix),
    ):
        async with one.leading():
            job = await Api(one).create(items=[b"%d" % n for n in range(5_000)])
            async with asyncio.timeout(PATIENCE):
                while len(agent.ran.get(job.id, ())) < 1_000:
                    await asyncio.sleep(0.01)
        async with two.leading():
            done = await Api(two).wait(job.id)
            assert done.counts.succeeded == 5_000
    assert sorted(set(agent.ran[job.id])) == list(range(5_000))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"count": 10**9}, "spec.count"),
    ({"count": -1}, "spec.count"),
    ({"count": 3, "items": [b"1"]}, "spec.count"),
    ({"count": 3, "open": True}, "spec.count"),
    ({"items": [b"1", b"x" * ((1 << 20) + 1), b"3"]}, "spec.items[1]"),
    ({"items": [b"1", b"\xff"]}, "spec.items[1]"),
    ({"index_step": -1, "count": 1}, "spec.index_step"),
    ({"first_index": -1, "count": 1}, "spec.first_index"),
    ({"max_failure_share": 1.5, "count": 1}, "spec.max_failure_share"),
    ({"max_failures": -1, "count": 1}, "spec.max_failures"),
    ({"max_parallel": -1, "count": 1}, "spec.max_parallel"),
    ({"close_after_idle": {"nanos": 1}, "open": True}, "spec.close_after_idle"),
    ({"labels": {"": "x"}, "count": 1}, "spec.labels"),
    (
        {"template": {"command": {"argv": ["echo", "{}"]}}, "count": 1},
        "spec.template.command.argv[1]",
    ),
    ({"template": {"command": {"argv": []}}, "count": 1}, "spec.template.command.argv"),
    (
        {"template": {"command": {"argv": ["a"]}, "not_before": {"seconds": 1}}, "count": 1},
        "spec.template.not_before",
    ),
    (
        {"template": {"command": {"argv": ["a"]}, "affinity_key": "k"}, "count": 1},
        "spec.template.affinity_key",
    ),
    (
        {"template": {"command": {"argv": ["a"]}, "ordering_key": "k"}, "count": 1},
        "spec.template.ordering_key",
    ),
    (
        {"template": {"command": {"argv": ["a"]}, "start_deadline": {"seconds": 5}}, "count": 1},
        "spec.template.start_deadline",
    ),
    (
        {"template": {"command": {"argv": ["a"]}, "retry": {"max_attempts": 900}}, "count": 1},
        "spec.template.retry.max_attempts",
    ),
]


async def test_bad_specs_are_refused_with_field_and_limit_and_nothing_is_made():
    async with leading() as (api, _):
        for fields, field in BAD:
            with pytest.raises(QuorateError) as error:
                await api.create(**fields)
            assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT, fields
            assert error.value.field == field
        with pytest.raises(QuorateError) as error:
            await api.create(count=10**9)
        assert "10000000" in error.value.message
        assert not (await api.call("ListJobs", pb.ListJobsRequest())).jobs
        # Braces that are escaped are no item.
        await api.create(template={"command": {"argv": ["echo", "{{}}", "{index}"]}}, count=1)


async def test_the_largest_array_is_accepted_and_costs_nothing_until_it_runs():
    async with leading() as (api, agent):
        agent.hold.set()
        job = await api.create(count=10_000_000)
        assert (await api.call("GetJob", pb.GetJobRequest(id=job.id))).job.count == 10_000_000
        page = await api.call("ListSubtasks", pb.ListSubtasksRequest(id=job.id))
        assert page.ranges[-1].state == job_pb2.SUBTASK_STATE_PENDING
        assert page.next_page_token
        empty = await api.create(count=0)
        assert empty.state == job_pb2.JOB_STATE_SUCCEEDED
