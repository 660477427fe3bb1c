"""Reads of a job's values: bounded memory, and no values that are not there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from quorate.runtime.errors import QuorateError
from quorate.v1 import node_agent_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.api import page_tokens
from scheduler.api.jobs import reading
from scheduler.api.servicers import SCHEDULER
from scheduler.storage.held import Held
from tests.support.chunk_agent import Outcome
from tests.unit.test_jobs_api import Context, leading, refused


def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
    if position % 7 == 3:
        return task_pb2.TaskError(type="ValueError", message="no" * 20)
    return json.dumps([position] * 20).encode()


def test_what_is_held_are_the_first_values_in_whatever_order_they_come() -> None:
    held: Held[str] = Held(30, 4_096)
    for position in (9, 2, 7, 2, 5, 1):
        held.put(position, str(position), 10)
    held.trim()
    assert sorted(held) == [(1, "1"), (2, "2"), (5, "5")]
    assert held.end == 7
    held.put(8, "8", 10)
    held.put(2, "a larger one", 100)
    held.trim()
    assert list(held) == [(1, "1")]
    assert held.end == 2


async def test_results_larger_than_what_is_held_are_read_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "HELD_BYTES", 10_000)
    async with leading(work) as (api, _):
        job = await api.create(count=5_000)
        await api.wait(job.id)
        found: dict[int, Any] = {}
        for answer in await api.call("ReadJobResults", pb.ReadJobResultsRequest(id=job.id)):
            for run in answer.runs:
                found.update(enumerate(map(json.loads, run.values), run.first))
        assert found == {n: [n] * 20 for n in range(5_000) if n % 7 != 3}


async def test_details_of_subtasks_are_cut_into_pages_of_bounded_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, "PAGE_BYTES", 2_000)
    async with leading(work) as (api, _):
        job = await api.create(items=[b"an item of some length"] * 300)
        await api.wait(job.id)
        found, token, pages = [], "", 0
        while pages == 0 or token:
            ask = pb.ListSubtasksRequest(id=job.id, details=True, page_size=100, page_token=token)
            answer = await api.call("ListSubtasks", ask)
            assert answer.ByteSize() < 3_000
            found += answer.subtasks
            token, pages = answer.next_page_token, pages + 1
        assert [one.index for one in found] == list(range(300))
        assert all(one.item == b"an item of some length" for one in found)
        for one in found:
            if one.index % 7 == 3:
                assert one.error.type == "ValueError"
                assert one.node == "n1"
            else:
                assert json.loads(one.result.json) == [one.index] * 20


async def test_subtasks_are_listed_from_a_position_on() -> None:
    async with leading(work) as (api, _):
        job = await api.create(count=10, first_index=5, index_step=2)
        await api.wait(job.id)
        ask = pb.ListSubtasksRequest(id=job.id, details=True, page_size=2, first_position=7)
        answer = await api.call("ListSubtasks", ask)
        assert [one.index for one in answer.subtasks] == [19, 21]
        # The token says where its page begins.
        ask.page_token = answer.next_page_token
        answer = await api.call("ListSubtasks", ask)
        assert [one.index for one in answer.subtasks] == [23]
        assert not answer.next_page_token
        beyond = pb.ListSubtasksRequest(id=job.id, details=True, first_position=5_000)
        answer = await api.call("ListSubtasks", beyond)
        assert not answer.subtasks
        assert not answer.next_page_token
        beyond.first_position = -1
        with pytest.raises(QuorateError) as error:
            await api.call("ListSubtasks", beyond)
        assert refused(error)[0] == "INVALID_ARGUMENT"
        assert error.value.field == "first_position"


async def test_large_examples_of_many_errors_fit_into_one_answer() -> None:
    def fail(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        return task_pb2.TaskError(type=f"Error{position}", traceback="x" * 300_000)

    async with leading(fail) as (api, _):
        job = await api.create(count=20)
        await api.wait(job.id)
        answer = await api.call("ListJobErrors", pb.ListJobErrorsRequest(id=job.id))
        assert len(answer.groups) == 20
        assert answer.groups[0].example.traceback
        assert answer.ByteSize() < 4 << 20


async def test_who_reads_results_of_a_job_that_is_deleted_is_told_so() -> None:
    async with leading(work) as (api, _):
        job = await api.create(count=9_000)
        await api.wait(job.id)
        assert api.replica.term.parts is not None
        servicer = api.replica.term.parts.servicers[SCHEDULER.full_name]
        read = servicer.streams["ReadJobResults"]
        stream = read(pb.ReadJobResultsRequest(id=job.id), Context())  # type: ignore[arg-type]
        first: Any = await anext(stream)
        assert first.runs
        await api.call("DeleteJob", pb.DeleteJobRequest(id=job.id))
        # Not: all others succeeded with None.
        with pytest.raises(QuorateError) as error:
            _ = [answer async for answer in stream]
        assert refused(error) == ("NOT_FOUND", "JOB_NOT_FOUND")


async def test_a_page_token_with_a_number_that_cannot_be_is_stale() -> None:
    async with leading() as (api, _):
        job = await api.create(count=3)
        for position in ("9" * 5_000, "٣", "-1"):
            token = page_tokens.encode("subtasks", (job.id, [], False), position)
            with pytest.raises(QuorateError) as error:
                await api.call("ListSubtasks", pb.ListSubtasksRequest(id=job.id, page_token=token))
            assert refused(error) == ("INVALID_ARGUMENT", "STALE_PAGE_TOKEN")


async def test_running_subtasks_have_their_node() -> None:
    async with leading() as (api, agent):
        agent.hold.set()
        job = await api.create(count=3)
        while not agent.assigned:
            await api.call("WaitJob", pb.WaitJobRequest(id=job.id, timeout={"nanos": 1_000_000}))
        ask = pb.ListSubtasksRequest(id=job.id, details=True)
        subtasks = (await api.call("ListSubtasks", ask)).subtasks
        assert subtasks[0].node == "n1"
        agent.hold.clear()


@pytest.mark.parametrize("seconds", [1e300, float("inf"), float("nan"), -5.0])
async def test_a_job_is_shown_whatever_its_agents_say_of_its_time(seconds: float) -> None:
    async with leading() as (api, agent):
        agent.each = seconds
        job = await api.create(count=3)
        await api.wait(job.id)
        [listed] = (await api.call("ListJobs", pb.ListJobsRequest())).jobs
        assert listed.average_duration.seconds >= 0
