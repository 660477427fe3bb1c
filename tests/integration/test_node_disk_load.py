"""A disk that fails under load: every task succeeds, none counts a failure or a crash for it."""

from __future__ import annotations

import asyncio

from quorate.v1 import node_pb2
from quorate.v1 import scheduler_pb2 as pb
from quorate.v1 import task_pb2 as t
from tests.support.served import Caller, Served, caller_of_served, served_by
from tests.support.small_disk import mend, spoil

served = served_by(nodes=2)
caller = caller_of_served
# Long enough for the node to find out while they last: it writes every ten seconds.
TASKS, SECONDS = 150, 0.3
SPEC = t.TaskSpec(command=t.CommandWork(argv=["sleep", str(SECONDS)]))


async def nodes(caller: Caller) -> dict[str, node_pb2.Node]:
    found = (await caller.call("ListNodes", pb.ListNodesRequest())).nodes
    return {node.name: node for node in found}


async def test_the_tasks_of_a_node_that_cannot_write_run_elsewhere(
    served: Served, caller: Caller
) -> None:
    batch = pb.BatchCreateTasksRequest(specs=[SPEC] * TASKS, request_id="load")
    ids = (await caller.call("BatchCreateTasks", batch)).ids
    spoil(served.folder / "n1")
    try:
        async with asyncio.timeout(60):
            while (await nodes(caller))["n1"].state != node_pb2.NODE_STATE_UNWRITABLE:
                await asyncio.sleep(0.1)
            # What it ran goes on; nothing new comes.
            while (await nodes(caller))["n1"].assigned:
                await asyncio.sleep(0.1)
        for task in ids:
            wait = pb.WaitTaskRequest(id=task)
            wait.timeout.FromSeconds(60)
            ended = (await caller.call("WaitTask", wait)).task
            assert ended.state == t.TASK_STATE_SUCCEEDED, ended
            assert (ended.failures, ended.crashes) == (0, 0), ended
        assert (await nodes(caller))["n1"].state == node_pb2.NODE_STATE_UNWRITABLE
    finally:
        mend(served.folder / "n1")
    last = (await caller.call("GetTask", pb.GetTaskRequest(id=ids[-1]))).task
    assert last.attempts[-1].node == "n2"
