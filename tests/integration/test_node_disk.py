"""A node that cannot write, seen from the cluster: it says so, tasks say why they wait, and run."""

from __future__ import annotations

import asyncio

from quorate.v1 import node_pb2
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.served import Caller, Served, caller_of_served, served_by
from tests.support.small_disk import mend, spoil

served = served_by(nodes=1)
caller = caller_of_served
COMMAND = t.TaskSpec(command=t.CommandWork(argv=["true"]))


async def until_state(caller: Caller, wanted: int) -> node_pb2.Node:
    async with asyncio.timeout(60):
        while True:
            node: node_pb2.Node = (await caller.call("GetNode", pb.GetNodeRequest(name="n1"))).node
            if node.state == wanted:
                return node
            await asyncio.sleep(0.1)


async def test_tasks_wait_for_a_node_that_cannot_write_and_say_so(
    served: Served, caller: Caller
) -> None:
    data = served.folder / "n1"
    await until_state(caller, node_pb2.NODE_STATE_READY)
    spoil(data)
    node = await until_state(caller, node_pb2.NODE_STATE_UNWRITABLE)
    assert node.stats.disk_error == "Is a directory"
    create = pb.CreateTaskRequest(spec=COMMAND, request_id="waits")
    task = (await caller.call("CreateTask", create)).task
    why = "node n1 cannot write to its disk (Is a directory) and takes no work"
    assert task.pending_reason.startswith(why)
    batch = pb.BatchCreateTasksRequest(specs=[COMMAND], request_id="batch")
    assert (await caller.call("BatchCreateTasks", batch)).warnings[0].startswith(why)
    got = (await caller.call("GetTask", pb.GetTaskRequest(id=task.id))).task
    assert (got.state, got.attempt) == (t.TASK_STATE_PENDING, 0)
    assert got.pending_reason.startswith(why)
    mend(data)
    node = await until_state(caller, node_pb2.NODE_STATE_READY)
    assert not node.stats.disk_error
    wait = pb.WaitTaskRequest(id=task.id)
    wait.timeout.FromSeconds(30)
    ended = (await caller.call("WaitTask", wait)).task
    assert (ended.state, ended.attempt, ended.pending_reason) == (t.TASK_STATE_SUCCEEDED, 1, "")
