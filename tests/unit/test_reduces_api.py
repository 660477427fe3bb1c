"""Jobs with a reduce through the API: bad input, phases, results, and how a node reads them."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from quorate.v1 import job_pb2, node_agent_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from tests.support.chunk_agent import ChunkAgent, Outcome
from tests.support.server import until
from tests.unit.test_jobs_api import Api, leading, refused


def reducing(fan_in: int = 0, **fields: Any) -> job_pb2.JobReduce:
    reduce = job_pb2.JobReduce(fan_in=fan_in)
    reduce.template.python.entrypoint = "m:reduce"
    for name, value in fields.items():
        setattr(reduce.template, name, value)
    return reduce


def number(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
    return b"%d" % position


async def get(api: Api, job: str) -> job_pb2.Job:
    found: job_pb2.Job = (await api.call("GetJob", pb.GetJobRequest(id=job))).job
    return found


async def listed(api: Api, **fields: Any) -> list[str]:
    answer = await api.call("ListJobs", pb.ListJobsRequest(**fields))
    return [job.id for job in answer.jobs]


async def test_levels_run_and_the_last_result_is_the_jobs():
    async with leading(number) as (api, agent):
        job = await api.create(count=25, reduce=reducing(10), name="sums")
        assert (job.reduce.level, job.reduce.levels) == (0, 2)
        assert job.spec.reduce.fan_in == 10
        done = await api.wait(job.id)
        assert done.state == job_pb2.JOB_STATE_SUCCEEDED
        assert done.result.json == "0"
        found = await get(api, job.id)
        assert found.result.json == "0"
        assert found.spec.reduce.template.python.entrypoint == "m:reduce"
        first, last = found.reduce.started
        assert (found.reduce.level, first.count, last.count) == (2, 3, 1)
        assert first.counts == job_pb2.JobCounts(succeeded=3)
        assert last.state == job_pb2.JOB_STATE_SUCCEEDED
        # Each agent gets the template of reduces once for each level, and what they reduce.
        inputs = [item.reduce for item in agent.assigned if item.HasField("reduce")]
        assert {one.job_id for one in inputs} == {job.id, first.id}
        assert {(one.count, one.fan_in) for one in inputs} == {(25, 10), (3, 10)}
        level = await get(api, first.id)
        assert level.parent == job.id
        assert level.spec.name == "sums"
        assert level.spec.template.python.entrypoint == "m:reduce"


async def test_levels_are_listed_only_as_parts_of_their_job():
    async with leading(number) as (api, _):
        job = await api.create(count=3, reduce=reducing())
        done = await api.wait(job.id)
        level = done.reduce.started[0].id
        assert await listed(api) == [job.id]
        assert await listed(api, parent=job.id) == [level]
        with pytest.raises(QuorateError) as error:
            await listed(api, parent="0" * 32)
        assert refused(error) == ("NOT_FOUND", "JOB_NOT_FOUND")
        for method, request in (
            ("CancelJob", pb.CancelJobRequest(id=level)),
            ("RetryJob", pb.RetryJobRequest(id=level)),
            ("DeleteJob", pb.DeleteJobRequest(id=level)),
        ):
            with pytest.raises(QuorateError) as error:
                await api.call(method, request)
            assert refused(error) == ("FAILED_PRECONDITION", "PART_OF_JOB")
            assert error.value.metadata["parent"] == job.id


async def test_errors_of_a_reduce_are_errors_of_the_job():
    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        if chunk.count == 1:
            return task_pb2.TaskError(type="ValueError", message="too few")
        return b"1"

    async with leading(work) as (api, _):
        job = await api.create(count=2, reduce=reducing())
        done = await api.wait(job.id)
        assert done.state == job_pb2.JOB_STATE_FAILED
        assert done.reason == "1 reduce failed"
        assert not done.HasField("result")
        errors = await api.call("ListJobErrors", pb.ListJobErrorsRequest(id=job.id))
        assert [(group.type, group.count) for group in errors.groups] == [("ValueError", 1)]


def _command() -> job_pb2.JobReduce:
    reduce = job_pb2.JobReduce()
    reduce.template.command.argv.append("true")
    return reduce


@pytest.mark.parametrize(
    ("reduce", "field"),
    [
        (reducing(1), "spec.reduce.fan_in"),
        (reducing(-1), "spec.reduce.fan_in"),
        (reducing(10_000_001), "spec.reduce.fan_in"),
        (job_pb2.JobReduce(), "spec.reduce.template"),
        (_command(), "spec.reduce.template.python"),
        (reducing(affinity_key="a"), "spec.reduce.template.affinity_key"),
        (reducing(priority=1_000_000), "spec.reduce.template.priority"),
    ],
)
async def test_bad_reduces_are_refused_by_their_field(reduce: job_pb2.JobReduce, field: str):
    async with leading(agents=0) as (api, _):
        with pytest.raises(QuorateError) as error:
            await api.create(count=1, reduce=reduce)
        assert error.value.code.name == "INVALID_ARGUMENT"
        assert error.value.field == field
        assert await listed(api) == []


async def page(
    agent: ChunkAgent, chunk: str, ask: int, position: int
) -> node_agent_pb2.ResultsPage:
    await agent.read_results(chunk, ask, position)

    async def there() -> bool:
        return ask in agent.pages

    await until(there, f"page {ask}")
    return agent.pages[ask]


def values(found: node_agent_pb2.ResultsPage) -> dict[int, bytes]:
    return {
        position: value
        for run in found.runs
        for position, value in enumerate(run.values, run.first)
    }


async def test_a_node_reads_results_of_what_it_reduces_and_of_nothing_else():
    async with leading(number) as (api, agent):
        agent.hold_reduces = True
        job = await api.create(count=5_000, reduce=reducing())
        other = await api.create(count=3)
        await api.wait(other.id)

        def held() -> list[node_agent_pb2.Assignment]:
            return [item for item in agent.assigned if item.HasField("reduce")]

        async def given() -> bool:
            return bool(held())

        await until(given, "the chunk of the reduce")
        chunk = held()[0].task_id
        first = await page(agent, chunk, 1, 0)
        assert (first.first_position, first.next_position, first.error) == (0, 4_096, "")
        assert values(first) == {n: b"%d" % n for n in range(4_096)}
        rest = await page(agent, chunk, 2, first.next_position)
        assert values(rest) == {n: b"%d" % n for n in range(4_096, 5_000)}
        assert rest.next_position == 5_000
        # Beyond its end, of no chunk, of a chunk that is no reduce: no answer, and no harm.
        await agent.read_results(chunk, 3, 5_000)
        await agent.read_results(chunk, 4, -1)
        await agent.read_results("0" * 32, 5, 0)
        await agent.read_results(agent.assigned[0].task_id, 6, 0)
        assert (await page(agent, chunk, 7, 4_999)).next_position == 5_000
        assert sorted(agent.pages) == [1, 2, 7]
        agent.hold_reduces = False
        assert (await api.wait(job.id)).state == job_pb2.JOB_STATE_SUCCEEDED
