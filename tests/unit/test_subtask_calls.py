"""Subtasks by their ids, `<job>.<index>`: output, explanations, and calls that are not for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from quorate.internal.v1.records_pb2 import CandidateRecord
from quorate.runtime.errors import QuorateError
from quorate.v1 import explain_pb2, job_pb2, node_agent_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.storage import keys, record_kinds
from tests.support.chunk_agent import ChunkAgent, Outcome
from tests.unit.test_jobs_api import Api, leading, refused


async def output(api: Api, task: str, **fields: Any) -> tuple[bytes, int]:
    """What StreamTaskLogs gives, and the offset of the first piece."""
    answers = await api.call("StreamTaskLogs", pb.StreamTaskLogsRequest(id=task, **fields))
    data = b"".join(answer.chunk.data for answer in answers)
    assert {answer.chunk.attempt for answer in answers} <= {1}
    return data, answers[0].chunk.offset if answers else 0


def writing(agents: list[ChunkAgent]) -> Any:
    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        (agent,) = agents
        (name,) = (one.task_id for one in agent.assigned if one.chunk is chunk)
        index = chunk.first_index + chunk.index_step * position
        agent.write(name, index, b"".join(b"%d line %d\n" % (index, n) for n in range(5)))
        if position == 1:
            return task_pb2.TaskError(type="ValueError", message="bad")
        return b"" if position % 2 else b"1"

    return work


async def test_the_output_of_a_subtask_is_its_own():
    agents: list[ChunkAgent] = []
    async with leading(writing(agents)) as (api, agent):
        agents.append(agent)
        job = await api.create(count=100, first_index=10)
        await api.wait(job.id)
        # With a result, failed, without a result.
        for index in (10, 11, 13, 109):
            whole = b"".join(b"%d line %d\n" % (index, n) for n in range(5))
            assert await output(api, f"{job.id}.{index}") == (whole, 0)
            assert (await output(api, f"{job.id}.{index}", follow=True))[0] == whole
            tail = (await output(api, f"{job.id}.{index}", tail_lines=2))[0]
            assert tail == b"%d line 3\n%d line 4\n" % (index, index)
            assert await output(api, f"{job.id}.{index}", offset=9) == (whole[9:], 9)
        task = (await api.call("GetTask", pb.GetTaskRequest(id=f"{job.id}.13"))).task
        assert task.attempts[0].node == "n1"
        with pytest.raises(QuorateError) as error:
            await output(api, f"{job.id}.10", attempt=2)
        assert refused(error) == ("NOT_FOUND", "ATTEMPT_NOT_FOUND")
        agent.gone = True
        with pytest.raises(QuorateError) as error:
            await output(api, f"{job.id}.10")
        assert refused(error) == ("NOT_FOUND", "LOG_GONE")
        assert "node 'n1'" in error.value.message
        with pytest.raises(QuorateError) as error:
            await output(api, f"{job.id}.1")
        assert refused(error) == ("NOT_FOUND", "TASK_NOT_FOUND")


async def test_output_is_followed_until_the_subtask_has_ended():
    agents: list[ChunkAgent] = []
    async with leading(writing(agents)) as (api, agent):
        agents.append(agent)
        agent.hold.set()
        job = await api.create(count=2)
        with pytest.raises(QuorateError) as error:
            # It is out with a chunk at once, or soon.
            await output(api, f"{job.id}.0", attempt=2)
        assert refused(error) == ("NOT_FOUND", "ATTEMPT_NOT_FOUND")
        following = asyncio.ensure_future(output(api, f"{job.id}.0", follow=True))
        while not agent.assigned:
            await asyncio.sleep(0.005)
        agent.hold.clear()
        assert (await following)[0].startswith(b"0 line 0\n0 line 1\n")


async def test_a_subtask_is_explained_whatever_it_does():
    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        if position == 1:
            return task_pb2.TaskError(type="ValueError", message="bad")
        return b""

    async def told(task: str) -> tuple[str, str]:
        answer = await api.call("ExplainTask", pb.ExplainTaskRequest(id=task))
        found = answer.explanation
        assert found.task.id == task
        reason = explain_pb2.ExplainReason.Name(found.reasons[0].reason)
        return reason.removeprefix("EXPLAIN_REASON_"), found.sentence

    async with leading(work) as (api, agent):
        agent.hold.set()
        job = await api.create(count=4, max_parallel=1)
        while not agent.assigned:
            await asyncio.sleep(0.005)
        assert (await told(f"{job.id}.0"))[0] in ("ASSIGNED", "RUNNING")
        reason, sentence = await told(f"{job.id}.3")
        assert reason == "MAX_PARALLEL"
        assert sentence.endswith("1 of 1 in use")
        agent.hold.clear()
        await api.wait(job.id)
        assert await told(f"{job.id}.0") == ("SUCCEEDED", "attempt 1 succeeded on node n1")
        reason, sentence = await told(f"{job.id}.1")
        assert reason == "FAILED"
        assert sentence.startswith("attempt 1 failed on node n1 with ValueError: bad")
        agent.hold.set()
        other = await api.create(count=100)
        await api.call("CancelJob", pb.CancelJobRequest(id=other.id))
        agent.hold.clear()
        await api.wait(other.id)
        assert await told(f"{other.id}.99") == ("CANCELLED", "the task was cancelled")


async def test_a_subtask_says_since_when_its_node_runs_it():
    async with leading() as (api, agent):
        agent.hold.set()
        job = await api.create(count=4, max_parallel=1)
        while not agent.assigned:
            await asyncio.sleep(0.005)

        async def attempts(index: int) -> list[task_pb2.Attempt]:
            answer = await api.call("GetTask", pb.GetTaskRequest(id=f"{job.id}.{index}"))
            return list(answer.task.attempts)

        (first,) = await attempts(0)
        assert (first.number, first.node) == (1, "n1")
        assert first.assign_time.ToNanoseconds() >= job.create_time.ToNanoseconds()
        assert not await attempts(3)
        agent.hold.clear()
        await api.wait(job.id)
        (first,) = await attempts(0)
        assert (first.node, first.HasField("start_time")) == ("n1", False)


async def test_calls_about_whole_tasks_say_what_to_call_instead():
    async with leading() as (api, _):
        job = await api.create(count=2)
        name = f"{job.id}.1"
        requests: dict[str, Any] = {
            "PauseTask": pb.PauseTaskRequest(id=name),
            "ResumeTask": pb.ResumeTaskRequest(id=name),
            "RetryTask": pb.RetryTaskRequest(id=name, spec={"command": {"argv": ["true"]}}),
            "DeleteTask": pb.DeleteTaskRequest(id=name),
            "UpdateTask": pb.UpdateTaskRequest(task={"id": name, "spec": {"priority": 1}}),
        }
        for method, request in requests.items():
            with pytest.raises(QuorateError) as error:
                await api.call(method, request)
            assert refused(error) == ("FAILED_PRECONDITION", "TASK_IS_SUBTASK"), method
            assert job.id in error.value.message
            field = "task" if method == "UpdateTask" else "id"
            unknown = type(request)()
            if field == "id":
                unknown.id = f"{job.id}.2"
            else:
                unknown.task.id = f"{job.id}.2"
            with pytest.raises(QuorateError) as error:
                await api.call(method, unknown)
            assert refused(error) == ("NOT_FOUND", "TASK_NOT_FOUND"), method


async def test_one_subtask_is_retried_and_cancelled():
    failing = [1, 2]

    def work(chunk: node_agent_pb2.Chunk, position: int, item: bytes) -> Outcome:
        if position in failing:
            return task_pb2.TaskError(type="ValueError", message=f"bad {len(failing)}")
        return b""

    async def states(job: str) -> str:
        answer = await api.call("ListSubtasks", pb.ListSubtasksRequest(id=job, details=True))
        return "".join(job_pb2.SubtaskState.Name(one.state)[14] for one in answer.subtasks)

    async with leading(work) as (api, agent):
        job = await api.create(count=4)
        await api.wait(job.id)
        assert await states(job.id) == "SFFS"
        failing.remove(2)
        name = f"{job.id}.2"
        answer = await api.call("RetryTask", pb.RetryTaskRequest(id=name, request_id="r"))
        assert (answer.task.id, answer.task.queue) == (name, "default")
        await api.wait(job.id)
        assert await states(job.id) == "SFSS"
        with pytest.raises(QuorateError) as error:
            await api.call("RetryTask", pb.RetryTaskRequest(id=f"{job.id}.2"))
        assert refused(error) == ("FAILED_PRECONDITION", "TASK_NOT_RETRIABLE")
        # It fails again: its newest error counts, and no other one is gone.
        await api.call("RetryTask", pb.RetryTaskRequest(id=f"{job.id}.1"))
        await api.wait(job.id)
        task = (await api.call("GetTask", pb.GetTaskRequest(id=f"{job.id}.1"))).task
        assert (task.error.message, task.attempt) == ("bad 1", 2)
        (group,) = (await api.call("ListJobErrors", pb.ListJobErrorsRequest(id=job.id))).groups
        assert group.count == 1
        agent.hold.set()
        other = await api.create(count=100, max_parallel=1)
        last = f"{other.id}.99"
        cancelled = (await api.call("CancelTask", pb.CancelTaskRequest(id=last))).task
        assert cancelled.state == task_pb2.TASK_STATE_CANCELLED
        with pytest.raises(QuorateError) as error:
            await api.call("CancelTask", pb.CancelTaskRequest(id=f"{job.id}.0"))
        assert refused(error) == ("FAILED_PRECONDITION", "TASK_FINISHED")
        agent.hold.clear()
        finished = await api.wait(other.id)
        assert (finished.counts.cancelled, finished.counts.succeeded) == (1, 98)


async def test_many_subtasks_are_cancelled_and_retried_by_one_call():
    async with leading() as (api, agent):
        agent.hold.set()
        job = await api.create(count=50, max_parallel=1)
        while not agent.assigned:
            await asyncio.sleep(0.005)
        ids = [f"{job.id}.{index}" for index in range(20, 50)]
        count = pb.CancelTasksRequest(ids=[*ids, f"{job.id}.50"], validate_only=True)
        counted = await api.call("CancelTasks", count)
        assert (counted.cancelled, counted.not_found) == (30, 1)
        done = await api.call("CancelTasks", pb.CancelTasksRequest(ids=ids, request_id="r"))
        assert (done.cancelled, done.stopping, done.finished) == (30, 0, 0)
        assert await api.call("CancelTasks", pb.CancelTasksRequest(ids=ids, request_id="r")) == done
        agent.hold.clear()
        assert (await api.wait(job.id)).counts.cancelled == 30
        again = pb.RetryTasksRequest(ids=[*ids, f"{job.id}.0"], validate_only=True)
        counted = await api.call("RetryTasks", again)
        assert (counted.retried, counted.skipped) == (30, 1)
        assert (await api.call("RetryTasks", pb.RetryTasksRequest(ids=ids))).retried == 30
        assert (await api.wait(job.id)).counts.succeeded == 50
        with pytest.raises(QuorateError) as error:
            await api.call("RetryTasks", pb.RetryTasksRequest(ids=ids, max_rate=5))
        assert (refused(error)[0], error.value.field) == ("INVALID_ARGUMENT", "max_rate")


async def test_calls_about_many_whole_tasks_name_the_subtask_and_what_to_call_instead():
    async with leading() as (api, _):
        job = await api.create(count=2)
        update = {"spec": {"priority": 1}}
        # Subtasks that are not there are counted, as tasks are.
        ids = [f"{job.id}.2", f"{job.id}.x"]
        assert (await api.call("DeleteTasks", pb.DeleteTasksRequest(ids=ids))).not_found == 2
        changed = await api.call("UpdateTasks", pb.UpdateTasksRequest(ids=ids, task=update))
        assert changed.not_found == 2
        ids = [f"{job.id}.2", f"{job.id}.1"]
        for method, request, instead in (
            ("DeleteTasks", pb.DeleteTasksRequest(ids=ids), "DeleteJob"),
            ("UpdateTasks", pb.UpdateTasksRequest(ids=ids, task=update), "UpdateJob"),
        ):
            with pytest.raises(QuorateError) as error:
                await api.call(method, request)
            assert refused(error) == ("FAILED_PRECONDITION", "TASK_IS_SUBTASK")
            assert (error.value.field, error.value.metadata["task"]) == ("ids[1]", ids[1])
            assert instead in error.value.message


async def test_many_subtasks_are_not_changed_while_an_older_scheduler_is_a_candidate():
    async with leading() as (api, _):
        job = await api.create(count=2)
        kinds = set(record_kinds.RECORD_KINDS) - {record_kinds.SUBTASK_CHANGE}
        record = CandidateRecord(name="s9", record_kinds=kinds)
        key = api.replica.settings.prefix + keys.ELECTION + b"/7fffffff"
        await api.replica.etcd.put(key, record.SerializeToString())
        for method, request in (
            ("CancelTasks", pb.CancelTasksRequest(ids=[f"{job.id}.1"])),
            ("RetryTasks", pb.RetryTasksRequest(ids=[f"{job.id}.1"])),
        ):
            with pytest.raises(QuorateError) as error:
                await api.call(method, request)
            assert error.value.reason == "SCHEDULER_TOO_OLD"
            assert error.value.metadata["kind"] == record_kinds.SUBTASK_CHANGE
