"""ExplainTask: each reason of the contract is produced by calls, and read from the answer.

What callers do are calls; what agents say are the events that a session makes of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from quorate.etcd.memory.store import MemoryEtcd
from quorate.runtime.ids import InstanceId, NodeName, TaskId
from quorate.v1 import explain_pb2, job_pb2, limit_pb2, pause_pb2, queue_pb2, task_pb2
from quorate.v1 import scheduler_pb2 as pb
from scheduler.core.model import events as e
from scheduler.core.model.limits.bounds import Limits
from scheduler.engine.driver import PLACED_AT_ONCE
from tests.support.core_specs import node_row
from tests.support.one_leader import Leader, leading
from tests.unit import test_jobs_api

NODE, NAME = InstanceId("n1-1"), NodeName("n1")
Case = Callable[[Leader], Awaitable[TaskId]]
CASES: dict[str, Case] = {}


def case(make: Case) -> Case:
    """The case of the reason of this name."""
    CASES[make.__name__.upper()] = make
    return make


def node(leader: Leader, credit: int = 4, **row: Any) -> None:
    """An agent registers, is connected, and says how many tasks it takes."""
    leader.driver.handle(
        (
            e.NodeRegistered(node_row(NAME, NODE, **row)),
            e.SessionOpened(NAME, NODE, (), ()),
            e.CreditReported(NAME, NODE, credit),
        )
    )


def work(**fields: Any) -> task_pb2.TaskSpec:
    return task_pb2.TaskSpec(command=task_pb2.CommandWork(argv=["true"]), **fields)


async def create(leader: Leader, **fields: Any) -> TaskId:
    answer = await leader.call("CreateTask", pb.CreateTaskRequest(spec=work(**fields)))
    return TaskId(answer.task.id)


async def limit(leader: Leader, **fields: Any) -> None:
    await leader.call(
        "UpdateQueue",
        pb.UpdateQueueRequest(
            queue=queue_pb2.Queue(name="default", **fields), update_mask={"paths": list(fields)}
        ),
    )


def fails(leader: Leader, task: TaskId) -> None:
    error = task_pb2.TaskError(type="OSError", message="no space")
    leader.driver.handle((e.AttemptFailed(NODE, task, 1, 1.0, 2.0, "OSError", "no space", error),))


def succeeds(leader: Leader, task: TaskId) -> None:
    leader.driver.handle((e.AttemptSucceeded(NODE, task, 1, 1.0, 2.0, None),))


def graph(tasks: int = 2) -> pb.CreateJobRequest:
    """Each task but the first runs if the first one fails."""
    spec = job_pb2.JobSpec()
    for number in range(tasks):
        one = spec.graph.tasks.add(name=f"t{number}", task=work())
        if number:
            one.depends_on.add(task="t0", condition=job_pb2.DEPENDENCY_CONDITION_ON_FAILURE)
    return pb.CreateJobRequest(spec=spec)


async def created(leader: Leader) -> list[TaskId]:
    job = (await leader.call("CreateJob", graph())).job.id
    found = await leader.call("GetJobGraph", pb.GetJobGraphRequest(id=job))
    return [TaskId(one.task_id) for one in found.nodes]


@case
async def queue_paused(leader: Leader) -> TaskId:
    await leader.call("PauseQueue", pb.PauseQueueRequest(name="default"))
    return await create(leader)


@case
async def paused(leader: Leader) -> TaskId:
    pause = pause_pb2.Pause(name="p", labels={"team": "a"})
    await leader.call("CreatePause", pause_pb2.CreatePauseRequest(pause=pause))
    return await create(leader, labels={"team": "a"})


@case
async def task_paused(leader: Leader) -> TaskId:
    task = await create(leader)
    await leader.call("PauseTask", pb.PauseTaskRequest(id=task))
    return task


@case
async def job_paused(leader: Leader) -> TaskId:
    job = (await leader.call("CreateJob", graph())).job.id
    await leader.call("PauseJob", pb.PauseJobRequest(id=job))
    found = await leader.call("GetJobGraph", pb.GetJobGraphRequest(id=job))
    return TaskId(found.nodes[0].task_id)


@case
async def not_before(leader: Leader) -> TaskId:
    return await create(leader, not_before={"seconds": int(time.time()) + 3600})


@case
async def backoff(leader: Leader) -> TaskId:
    node(leader)
    retry = task_pb2.RetryPolicy(max_attempts=3, initial_backoff={"seconds": 60})
    task = await create(leader, retry=retry)
    fails(leader, task)
    return task


@case
async def limit_reached(leader: Leader) -> TaskId:
    node(leader)
    await limit(leader, max_running=1)
    await create(leader)
    return await create(leader)


@case
async def order(leader: Leader) -> TaskId:
    node(leader)
    await create(leader, ordering_key="account")
    return await create(leader, ordering_key="account")


@case
async def replaces(leader: Leader) -> TaskId:
    node(leader)
    unique = task_pb2.UniqueKey(key="report", on_conflict=task_pb2.UNIQUE_CONFLICT_REPLACE)
    await create(leader, unique=unique)
    return await create(leader, unique=unique)


@case
async def job_loading(leader: Leader) -> TaskId:
    creation = asyncio.create_task(leader.call("CreateJob", graph(5_000)))
    while not leader.driver.state.tasks:
        await asyncio.sleep(0)
    assert not creation.done()
    return next(iter(leader.driver.state.tasks))


@case
async def blocked(leader: Leader) -> TaskId:
    return (await created(leader))[1]


@case
async def skipped(leader: Leader) -> TaskId:
    node(leader)
    first, second = await created(leader)
    succeeds(leader, first)
    return second


@case
async def no_node(leader: Leader) -> TaskId:
    return await create(leader)


@case
async def no_node_fits(leader: Leader) -> TaskId:
    node(leader, cpu=2.0)
    return await create(leader, resources={"cpu": 3.0})


@case
async def nodes_busy(leader: Leader) -> TaskId:
    node(leader, credit=0)
    return await create(leader)


@case
async def reserved(leader: Leader) -> TaskId:
    """A large task waits, and keeps what is free of the node."""
    leader.driver.machine.limits = Limits(reserve_after=0.001)
    node(leader, cpu=4.0)
    await create(leader, resources={"cpu": 3.0})
    task = await create(leader, resources={"cpu": 4.0})
    while leader.driver.state.reservation is None:
        # Whatever happens, the leader looks at what waits again.
        await create(leader, resources={"cpu": 4.0})
    return task


@case
async def turn(leader: Leader) -> TaskId:
    await create(leader)
    return await create(leader)


@case
async def starting(leader: Leader) -> TaskId:
    """So many are placed at once; this one is next."""
    specs = [work()] * (PLACED_AT_ONCE + 1)
    answer = await leader.call("BatchCreateTasks", pb.BatchCreateTasksRequest(specs=specs))
    node(leader, credit=2 * PLACED_AT_ONCE, slots=2 * PLACED_AT_ONCE)
    return TaskId(answer.ids[-1])


@case
async def assigned(leader: Leader) -> TaskId:
    node(leader)
    return await create(leader)


@case
async def running(leader: Leader) -> TaskId:
    task = await assigned(leader)
    leader.driver.handle((e.AttemptStarted(NODE, task, 1, 1.0),))
    return task


@case
async def stopping(leader: Leader) -> TaskId:
    task = await running(leader)
    await leader.call("CancelTask", pb.CancelTaskRequest(id=task))
    return task


@case
async def node_unreachable(leader: Leader) -> TaskId:
    task = await running(leader)
    leader.driver.handle((e.SessionClosed(NAME, NODE),))
    return task


@case
async def succeeded(leader: Leader) -> TaskId:
    task = await running(leader)
    succeeds(leader, task)
    return task


@case
async def failed(leader: Leader) -> TaskId:
    task = await running(leader)
    fails(leader, task)
    return task


@case
async def crash_limit(leader: Leader) -> TaskId:
    node(leader)
    task = await create(leader, retry=task_pb2.RetryPolicy(max_attempts=9, crash_limit=1))
    leader.driver.handle((e.AttemptStarted(NODE, task, 1, 1.0), e.NodeLost(NAME, NODE, "gone")))
    return task


@case
async def cancelled(leader: Leader) -> TaskId:
    task = await create(leader)
    await leader.call("CancelTask", pb.CancelTaskRequest(id=task))
    return task


@case
async def expired(leader: Leader) -> TaskId:
    task = await create(leader, start_deadline={"nanos": 1_000_000})
    await leader.call("WaitTask", pb.WaitTaskRequest(id=task))
    return task


@case
async def dropped(leader: Leader) -> TaskId:
    await limit(leader, max_length=1, length_policy=limit_pb2.LENGTH_POLICY_DROP_OLDEST)
    task = await create(leader)
    await create(leader)
    return task


CASES["LIMIT"] = CASES.pop("LIMIT_REACHED")
PREFIX = "EXPLAIN_REASON_"
# In the order of several, others come before these.
NEVER_FIRST = {"TURN"}


# Of subtasks alone, and so below.
OF_SUBTASKS = {"MAX_PARALLEL"}
NAMES = [name.removeprefix(PREFIX) for name in explain_pb2.ExplainReason.keys()[1:]]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OF_SUBTASKS])
async def test_calls_produce_each_reason(name: str) -> None:
    async with leading(MemoryEtcd()) as leader:
        task = await CASES[name](leader)
        answer = await leader.call("ExplainTask", pb.ExplainTaskRequest(id=task))
        found = [explain_pb2.ExplainReason.Name(one.reason) for one in answer.explanation.reasons]
        assert PREFIX + name in (found if name in NEVER_FIRST else found[:1])
        assert answer.explanation.sentence == answer.explanation.reasons[0].sentence


async def test_calls_produce_the_reason_of_subtasks() -> None:
    async with test_jobs_api.leading() as (api, agent):
        agent.hold.set()
        job = await api.create(count=9, max_parallel=1)
        while not agent.assigned:
            await asyncio.sleep(0)
        answer = await api.call("ExplainTask", pb.ExplainTaskRequest(id=f"{job.id}.8"))
        (reason, *_) = answer.explanation.reasons
        assert reason.reason == explain_pb2.EXPLAIN_REASON_MAX_PARALLEL
        assert answer.explanation.sentence == reason.sentence
