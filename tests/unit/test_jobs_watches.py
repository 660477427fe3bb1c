"""WatchJobs: all jobs, those that are named, or the newest, and what changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api.servicers import SCHEDULER
from tests.unit.test_jobs_api import PATIENCE, Context, leading


async def test_a_watch_begins_with_all_and_tells_changes_and_deletions():
    async with leading() as (api, agent):
        agent.hold.set()
        job = await api.create(count=4)
        assert api.replica.term.parts is not None
        servicer = api.replica.term.parts.servicers[SCHEDULER.full_name]
        stream = servicer.streams["WatchJobs"](pb.WatchJobsRequest(), Context())  # type: ignore[arg-type]
        first = await anext(stream)
        assert [one.id for one in first.jobs] == [job.id]  # type: ignore[attr-defined]
        assert first.complete  # type: ignore[attr-defined]
        agent.hold.clear()
        async with asyncio.timeout(PATIENCE):
            async for answer in stream:
                if any(one.finish_time.seconds for one in answer.jobs):  # type: ignore[attr-defined]
                    break
            await api.call("DeleteJob", pb.DeleteJobRequest(id=job.id))
            async for answer in stream:
                if list(answer.deleted) == [job.id]:  # type: ignore[attr-defined]
                    break
        await stream.aclose()


async def test_a_watch_of_the_newest_leaves_older_ones_out_and_lets_them_come_back():
    async with leading() as (api, _):
        jobs = [(await api.create(count=1, name=f"job {n}")).id for n in range(4)]
        for job in jobs:
            await api.wait(job)
        assert api.replica.term.parts is not None
        servicer = api.replica.term.parts.servicers[SCHEDULER.full_name]
        request = pb.WatchJobsRequest(newest=2)
        stream: Any = servicer.streams["WatchJobs"](request, Context())  # type: ignore[arg-type]

        async def told(*ids: str, also: str = "") -> None:
            """These are answered, and none but these, and `also` perhaps."""
            missing = set(ids)
            async with asyncio.timeout(PATIENCE):
                while missing:
                    answer = await anext(stream)
                    found = {one.id for one in answer.jobs} | set(answer.deleted)
                    assert found <= {*ids, also}
                    missing -= found

        await told(*jobs[2:])
        await api.call("DeleteJob", pb.DeleteJobRequest(id=jobs[3]))
        await told(jobs[3], jobs[1])
        new = (await api.create(count=1)).id
        await told(new)
        await api.wait(new)
        # Pushed out, and of no interest any more.
        await api.call("DeleteJob", pb.DeleteJobRequest(id=jobs[1]))
        await api.call("DeleteJob", pb.DeleteJobRequest(id=jobs[2]))
        await told(jobs[2], jobs[0], also=new)
        await stream.aclose()
        for wrong in ({"newest": 1_001}, {"newest": -1}, {"newest": 1, "ids": jobs[:1]}):
            bad: Any = servicer.streams["WatchJobs"](pb.WatchJobsRequest(**wrong), Context())  # type: ignore[arg-type]
            with pytest.raises(QuorateError) as error:
                await anext(bad)
            assert error.value.field == "newest"
